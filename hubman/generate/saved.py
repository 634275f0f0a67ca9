"""Recipes of pictures: a request under a name, to be drawn again or changed."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from hubman.generate.files import replace_file
from hubman.generate.request import DrawRequest, check
from registry.decodable import decodable
from registry.errors import DamagedFileError, NotFoundError, UsageError

FOLDER = "recipes"
SUFFIX = ".json"


class Saved(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A recipe. ``axes`` are those of the grid that it was set up with, as they were typed."""

    name: str
    request: DrawRequest
    axes: tuple[str, ...] = ()


def folder(home: Path) -> Path:
    """Where recipes lie below hubman's folder of data."""
    return home / "generations" / FOLDER


def file_of(home: Path, name: str) -> Path:
    """Where the recipe of this name lies. Raises ``UsageError`` for a name without letters and digits."""
    stem = re.sub(r"[^\w.-]+", "-", name.strip(), flags=re.UNICODE).strip("-.")[:80]
    if not stem:
        raise UsageError(f"{name!r} is no name for a recipe", "write some letters")
    return folder(home) / f"{stem}{SUFFIX}"


def save(home: Path, saved: Saved) -> Path:
    """Write a recipe, in the place of an older one of its name. Raises ``HubError``."""
    path = file_of(home, saved.name)
    replace_file(path, lambda file: file.write(msgspec.json.format(msgspec.json.encode(saved))))
    return path


def load(path: Path) -> Saved:
    """Read a recipe. Raises ``NotFoundError``, ``DamagedFileError``, and ``UsageError`` for one that can't be drawn."""
    try:
        saved = msgspec.json.decode(path.read_bytes(), type=decodable(Saved))
    except FileNotFoundError as error:
        raise NotFoundError(f"there is no recipe {path.stem}", "save one first") from error
    except (OSError, msgspec.MsgspecError) as error:
        raise DamagedFileError(f"the recipe {path.name} can't be read ({error})", "save it again") from error
    check(saved.request)
    return saved


def names(home: Path) -> list[Path]:
    """All recipes, the newest first."""
    found = folder(home).glob(f"*{SUFFIX}")
    return sorted((path for path in found if path.is_file()), key=lambda path: -path.stat().st_mtime)
