"""The LoRAs that a person names to be looked at: of the library, or files that no library knows."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from registry import here, library, scan
from registry.database import Registry
from registry.errors import NotFoundError, UsageError

_STRENGTH = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)")


@dataclass(frozen=True)
class Subject:
    """``sha256`` is empty for a file that the library does not know."""

    name: str
    path: Path
    sha256: str
    strength: float = 1.0


def subject(registry: Registry, text: str) -> Subject:
    """What ``text`` means: a reference or a path, with ``:0.8`` behind it for a strength.

    Raises ``NotFoundError`` for what is not here and ``UsageError`` for a name of several models.
    """
    try:
        return _named(registry, text, 1.0)
    except NotFoundError:
        ref, colon, strength = text.rpartition(":")
        if not colon or not _STRENGTH.fullmatch(strength):
            raise
        return _named(registry, ref, float(strength))


def _named(registry: Registry, ref: str, strength: float) -> Subject:
    try:
        model, version = library.resolve(registry, ref)
    except NotFoundError:
        path = Path(ref)
        if not path.is_file():
            raise
        return Subject(path.stem, path, "", strength)
    found = library.version(registry, scan.hashed(registry, version))
    if lying := here.file_of(found):
        file, place = lying
        return Subject(library.show(registry, model).name, place, file.sha256, strength)
    raise NotFoundError(f"the file of {ref} is not on this machine", here.how_to_get(registry.db, model, ref))


def check_are_different(subjects: list[Subject]) -> None:
    """Raises ``UsageError`` if one file is named twice."""
    paths = [one.path.resolve() for one in subjects]
    if len(set(paths)) < len(paths):
        raise UsageError("one LoRA is named twice", "name it once, with the sum of its strengths")
