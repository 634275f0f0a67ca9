"""Zip files from outside: known by their first bytes, and opened only where they hold models and nothing that runs."""

from __future__ import annotations

import shutil
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from hubman.civitai.names import safe_name
from registry.errors import DamagedFileError, HubError

_MAGIC = b"PK\x03\x04"
_MODELS = frozenset({".safetensors", ".sft", ".gguf", ".ckpt", ".pt", ".pth", ".bin"})
_PICKLED = frozenset({".ckpt", ".pt", ".pth", ".bin"})
"""PyTorch writes these as zip files."""
_HARMLESS = frozenset({".txt", ".md", ".json", ".yaml", ".yml", ".png", ".jpg", ".jpeg", ".webp", ".html", ".pdf", ""})
_MOST_FILES = 1000
_MOST_GROWTH = 20
"""Weights hardly shrink: an archive that grows so many times over is a bomb."""


def is_archive(path: Path) -> bool:
    """Whether the file is a zip of other files, whatever it is called."""
    with path.open("rb") as file:
        return file.read(4) == _MAGIC and path.suffix.lower() not in _PICKLED


def name_truly(path: Path) -> Path:
    """Give an archive that is called a model the ending ``.zip``; its path then. Raises :class:`HubError`."""
    if path.suffix.lower() == ".zip":
        return path
    target = path.with_suffix(".zip")
    if target.exists():
        raise HubError(f"{path} is an archive, and {target.name} is there already", "move it, then pull again")
    return path.rename(target)


def unpack(path: Path, note: Callable[[list[Path]], None] = lambda _models: None) -> list[Path]:
    """The models of an archive, beside it and under names that harm nothing; the archive is gone then.

    Those that an earlier try left there are taken as they are. ``note`` hears of all before the archive goes.

    Empty, with the archive as it was, when it holds anything that is neither a model nor a text nor a picture. Raises
    :class:`DamagedFileError` for one that is broken or a bomb, and :class:`HubError` where there is no room.
    """
    found: dict[Path, None] = {}
    made: list[Path] = []
    try:
        with zipfile.ZipFile(path) as archive:
            members = [info for info in archive.infolist() if not info.is_dir()]
            models = [info for info in members if _suffix(info) in _MODELS]
            if not models or not all(_is_welcome(info) for info in members):
                return []
            _check(path, members, models)
            for info in models:
                target, is_here = _place(archive, info, path.parent)
                if not is_here:
                    _extract(archive, info, target)
                    made.append(target)
                found[target] = None
    except HubError:
        _remove(made)
        raise
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, EOFError) as error:
        _remove(made)
        raise DamagedFileError(f"{path} can't be unpacked ({error})", "it is kept as it is") from error
    note(list(found))
    path.unlink()
    return list(found)


def _remove(paths: list[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def _suffix(info: zipfile.ZipInfo) -> str:
    return PurePosixPath(info.filename.replace("\\", "/")).suffix.lower()


def _is_welcome(info: zipfile.ZipInfo) -> bool:
    is_link = stat.S_ISLNK(info.external_attr >> 16)
    return not is_link and _suffix(info) in _MODELS | _HARMLESS


def _check(path: Path, members: list[zipfile.ZipInfo], models: list[zipfile.ZipInfo]) -> None:
    size = sum(info.file_size for info in models)
    if len(members) > _MOST_FILES or size > _MOST_GROWTH * path.stat().st_size:
        raise DamagedFileError(f"{path} grows beyond measure when it is unpacked", "it is kept as it is")
    if size > shutil.disk_usage(path.parent).free:
        raise HubError(f"{path.parent} has no room for {size >> 20} MiB more", "make room, then unpack it")


def _place(archive: zipfile.ZipFile, info: zipfile.ZipInfo, folder: Path) -> tuple[Path, bool]:
    """Where a member goes, and whether it is there already."""
    name = safe_name(info.filename, fallback="model")
    target, number = folder / name, 1
    while target.exists():
        if _is_same(archive, info, target):
            return target, True
        number += 1
        target = (folder / name).with_stem(f"{Path(name).stem}-{number}")
    return target, False


def _is_same(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path) -> bool:
    if not path.is_file() or path.stat().st_size != info.file_size:
        return False
    with archive.open(info) as packed, path.open("rb") as plain:
        while piece := packed.read(1 << 20):
            if plain.read(len(piece)) != piece:
                return False
    return True


def _extract(archive: zipfile.ZipFile, info: zipfile.ZipInfo, target: Path) -> None:
    fresh = target.with_name(f"{target.name}.part")
    left = info.file_size
    try:
        with archive.open(info) as source, fresh.open("wb") as sink:
            while piece := source.read(1 << 20):
                left -= len(piece)
                if left < 0:
                    raise DamagedFileError(f"{info.filename!r} is longer than its archive says", "it is kept packed")
                sink.write(piece)
        fresh.rename(target)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
