"""The folders of pictures that are watched for what was drawn with which model. Nothing in them is ever changed."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import msgspec

from registry import roots, timestamps, usage
from registry.database import Registry
from registry.errors import NotFoundError


class ImageFolder(msgspec.Struct, frozen=True, kw_only=True):
    """A watched folder, with how many pictures were looked at there and how many of them say what they were drawn with."""

    path: Path
    pictures: int
    told: int
    is_here: bool


def add(registry: Registry, folder: Path) -> Path:
    """Watch ``folder`` from the next scan on; returns the watched folder that covers it, which may be one above it.

    A watched folder below it becomes part of it. Raises what :func:`registry.roots.checked` raises.
    """
    path = roots.checked(folder)
    with registry.transaction() as db:
        known = _paths(db)
        covering = next((one for one in known if path.is_relative_to(one)), None)
        if covering is not None:
            return covering
        for one in known:
            if one.is_relative_to(path):
                db.execute("DELETE FROM image_folders WHERE path = ?", (str(one),))
        db.execute("INSERT INTO image_folders VALUES (?, ?)", (str(path), timestamps.now()))
    return path


def remove(registry: Registry, folder: Path, *, forget: bool = False) -> int:
    """Watch a folder no more. Its pictures stay counted, unless ``forget``: then those that hubman did not draw and that
    lie in no other watched folder count no more; returns how many those are.

    Raises :class:`NotFoundError`.
    """
    path = roots.absolute(folder)
    with registry.transaction() as db:
        if not db.execute("DELETE FROM image_folders WHERE path = ?", (str(path),)).rowcount:
            raise NotFoundError(f"{folder} is no watched folder", "hubman images ls shows them")
        images = [row[0] for row in db.execute(f"SELECT DISTINCT image {_BELOW} AND image NOT NULL", _below(path))]
        db.execute(f"DELETE {_BELOW}", _below(path))
        lost = [image for image in images if _is_nowhere_else(db, image)] if forget else []
        usage.forget(db, lost)
    return len(lost)


_BELOW = "FROM image_files WHERE (folder = :path OR substr(folder, 1, length(:start)) = :start)"


def _below(path: Path) -> dict[str, str]:
    return {"path": str(path), "start": f"{str(path).rstrip('/')}/"}


def _is_nowhere_else(db: sqlite3.Connection, image: int) -> bool:
    """Whether no watched folder has a picture any more, and hubman did not draw it."""
    sql = (
        "SELECT 1 FROM images WHERE id = ? AND content NOT LIKE 'hubman:%' "
        "AND NOT EXISTS (SELECT 1 FROM image_files WHERE image = images.id)"
    )
    return db.execute(sql, (image,)).fetchone() is not None


def all_folders(registry: Registry) -> list[ImageFolder]:
    """By path."""
    found = []
    for path in _paths(registry.db):
        count, told = registry.db.execute(f"SELECT count(*), count(image) {_BELOW}", _below(path)).fetchone()
        found.append(ImageFolder(path=path, pictures=count, told=told, is_here=os.path.isdir(path)))  # noqa: PTH112
    return found


def _paths(db: sqlite3.Connection) -> list[Path]:
    return [Path(row[0]) for row in db.execute("SELECT path FROM image_folders ORDER BY path")]
