"""Where the content of a file of the library lies on this machine now."""

from __future__ import annotations

import shlex
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


def how_to_get(db: sqlite3.Connection, model: str, name: str) -> str:
    """What to do about a model none of whose files is here."""
    sql = "SELECT l.whereabouts FROM models m JOIN listing l ON l.number = m.search_id WHERE m.id = ?"
    row = db.execute(sql, (model,)).fetchone()
    if row is not None and row[0] == "elsewhere":
        return f"hubman fetch {shlex.quote(name)} brings it here"
    return "hubman scan finds it where it moved, hubman pull brings it from Civitai"


def is_here(db: sqlite3.Connection, sha256: str) -> bool:
    """Whether this machine has these bytes; those on a drive that is away for now need no second copy, and one is no
    help against numbers that are no good.
    """
    return bool(db.execute(f"SELECT 1 FROM places WHERE sha256 = ? AND {IS_HERE}", (sha256,)).fetchone())  # noqa: S608 - a condition of ours


IS_HERE = "state <> 'missing' AND (state <> 'damaged' OR verified_at NOT NULL)"
"""The condition in SQL for a place that counts as having its file's bytes."""
