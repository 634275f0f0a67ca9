"""Where a pulled file goes: a folder, a path made from what the site tells, and a name that harms nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from hubman.civitai.names import safe_name
from hubman.civitai.records import RemoteFile, RemoteModel, RemoteVersion
from registry import path_template
from registry.errors import HubError
from registry.hashing import hash_file

FIELDS = tuple(field for field in path_template.FIELDS if field not in {"rank", "run"})
"""What a path may name: what is known before the file is here."""


def check(template: str) -> None:
    """Raises :class:`registry.errors.UsageError` for a template that makes no path."""
    path_template.parts(template, FIELDS)


def place(into: Path, template: str, model: RemoteModel, version: RemoteVersion, file: RemoteFile) -> Path:
    """The path below ``into``; without a ``template`` the site's own name of the file, made harmless.

    A name from outside never chooses a folder by itself. Raises :class:`registry.errors.UsageError`.
    """
    plain = safe_name(file.name, fallback=f"civitai-{version.id}")
    if not template:
        return into / plain
    name = Path(plain)
    folders, stem = path_template.fill(path_template.parts(template, FIELDS), _values(name.stem, model, version, file))
    return into.joinpath(*folders) / safe_name(stem + name.suffix, fallback=f"civitai-{version.id}")


def _values(stem: str, model: RemoteModel, version: RemoteVersion, file: RemoteFile) -> dict[str, str]:
    found = {
        "base": version.base_model,
        "type": model.type,
        "creator": model.creator,
        "model": model.name,
        "version": version.name,
        "tag": next(iter(model.tags), ""),
        "trigger": next(iter(version.trained_words), ""),
        "yyyy": version.published_at[:4] or str(datetime.now(UTC).year),
        "hash8": file.sha256[:8],
        "name": stem,
        "original": stem,
    }
    return {field: value.strip() or path_template.UNKNOWN for field, value in found.items()}


def free(wanted: Path, file: RemoteFile, version_id: int) -> Path:
    """``wanted``, unless another file has that name; a file with this content is used as it is. Raises :class:`HubError`."""
    for path in (
        wanted,
        wanted.with_stem(f"{wanted.stem}-{version_id}"),
        wanted.with_stem(f"{wanted.stem}-{file.id}"),
    ):
        if not path.exists() or (file.sha256 and path.is_file() and hash_file(path).sha256 == file.sha256):
            return path
    raise HubError(f"{wanted} and its alternatives are taken by other files", "move them, or choose another folder")
