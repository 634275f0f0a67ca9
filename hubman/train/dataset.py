"""A folder of training images: what is in it, with captions and measurements."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from hubman.progress import Progress, Report, silent
from hubman.train.files import write_atomically
from hubman.train.pictures import SUFFIXES, Picture, measure
from registry.errors import HubError, NotFoundError

CAPTION_SUFFIXES = (".txt", ".caption")


class DatasetImage(msgspec.Struct, frozen=True):
    """One image file of a dataset and its caption."""

    path: Path
    picture: Picture
    caption: str | None
    """``None`` where no caption file exists."""
    caption_error: str = ""
    """Why an existing caption file cannot be used."""

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def usable(self) -> bool:
        return not self.picture.error


class Dataset(msgspec.Struct, frozen=True):
    """The images of one folder, in the order of their names."""

    folder: Path
    images: tuple[DatasetImage, ...]

    @property
    def usable(self) -> tuple[DatasetImage, ...]:
        """The images that can be decoded."""
        return tuple(image for image in self.images if image.usable)

    @property
    def fingerprint(self) -> str:
        """SHA-256 over what training sees: the sorted pixel hashes and captions. File names do not count."""
        rows = sorted(f"{image.picture.pixels}\0{image.caption or ''}" for image in self.usable)
        return hashlib.sha256("\n".join(rows).encode()).hexdigest()


class _Cached(msgspec.Struct, frozen=True):
    size: int
    mtime_ns: int
    picture: Picture


class _Cache(msgspec.Struct, frozen=True):
    version: int = 1
    pictures: dict[str, _Cached] = {}


def image_files(folder: Path) -> list[Path]:
    """The image files directly in ``folder``, by name. Raises HubError where the folder cannot be listed."""
    if not folder.is_dir():
        raise NotFoundError(f"{folder} is not a folder", "give the folder that holds the training images")
    try:
        entries = sorted(folder.iterdir(), key=lambda path: path.name)
    except OSError as error:
        raise HubError(f"{folder} cannot be read ({error.strerror})", "check its permissions") from error
    named = [path for path in entries if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")]
    return [path for path in named if path.is_file() or path.is_symlink()]


def read_dataset(folder: Path, cache: Path | None = None, report: Report = silent) -> Dataset:
    """Decode and measure every image in ``folder``; ``cache`` is a file that remembers unchanged ones.

    A damaged image is part of the result, with its error. Raises NotFoundError where there is no image at all.
    """
    paths = image_files(folder)
    if not paths:
        inside = [entry.name for entry in folder.iterdir() if entry.is_dir()]
        hint = f"images are expected directly in it; did you mean {inside[0]}?" if inside else "put the images there"
        raise NotFoundError(f"{folder} holds no images", hint)
    known = _read_cache(cache)
    pictures = _measure_all(paths, known, report)
    if cache is not None:
        _write_cache(cache, pictures)
    images = []
    for path in paths:
        caption, problem = read_caption(path)
        images.append(DatasetImage(path, pictures[path].picture, caption, problem))
    return Dataset(folder, tuple(images))


def caption_path(image: Path) -> Path:
    """The caption file that belongs to ``image``: an existing one, else where a new one goes (``.txt``)."""
    for suffix in CAPTION_SUFFIXES:
        if image.with_suffix(suffix).is_file():
            return image.with_suffix(suffix)
    return image.with_suffix(CAPTION_SUFFIXES[0])


def read_caption(image: Path) -> tuple[str | None, str]:
    """The caption of ``image`` in one line, or None; and why an existing file cannot be used."""
    path = caption_path(image)
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        return None, ""
    except UnicodeDecodeError:
        return None, f"{path.name} is not UTF-8 text"
    except OSError as error:
        return None, f"{path.name} cannot be read ({error.strerror})"
    return " ".join(text.split()), ""


def _measure_all(paths: list[Path], known: dict[str, _Cached], report: Report) -> dict[Path, _Cached]:
    def look(path: Path) -> _Cached:
        try:
            stat = path.stat()
        except OSError as error:
            return _Cached(0, 0, Picture(error=f"cannot be read ({error.strerror})"))
        before = known.get(str(path.absolute()))
        if before is not None and (before.size, before.mtime_ns) == (stat.st_size, stat.st_mtime_ns):
            return before
        return _Cached(stat.st_size, stat.st_mtime_ns, measure(path))

    # Decoding and filtering release the GIL, so threads use every core.
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        found: dict[Path, _Cached] = {}
        for path, cached in zip(paths, pool.map(look, paths), strict=True):
            found[path] = cached
            report(Progress(stage="read images", done=len(found), total=len(paths), unit="images"))
    return found


def _read_cache(path: Path | None) -> dict[str, _Cached]:
    if path is None:
        return {}
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Cache).pictures
    except (OSError, msgspec.DecodeError):
        return {}


def _write_cache(path: Path, pictures: dict[Path, _Cached]) -> None:
    entries: Iterable[tuple[Path, _Cached]] = pictures.items()
    content = _Cache(pictures={str(image.absolute()): cached for image, cached in entries})
    write_atomically(path, msgspec.json.encode(content))
