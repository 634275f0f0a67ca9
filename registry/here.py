"""Where the content of a file of the library lies on this machine now."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from registry.records import FileRow, VersionRow


def place_of(file: FileRow) -> Path | None:
    """The first place that has it: what was there at the last scan and still is. None where none has."""
    places = (Path(place.path) for place in file.places if place.state == "present")
    return next((place for place in places if place.is_file()), None)


def file_of(version: VersionRow) -> tuple[FileRow, Path] | None:
    """The first of a version's files that is here, and where."""
    return next(((file, place) for file in version.files if (place := place_of(file))), None)


def is_here(db: sqlite3.Connection, sha256: str) -> bool:
    """Whether this machine has these bytes; those on a drive that is away for now need no second copy, and one is no
    help against numbers that are no good.
    """
    return bool(db.execute(f"SELECT 1 FROM places WHERE sha256 = ? AND {IS_HERE}", (sha256,)).fetchone())  # noqa: S608


IS_HERE = "state <> 'missing' AND (state <> 'damaged' OR verified_at NOT NULL)"
"""The condition in SQL for a place that counts as having its file's bytes."""
