"""Finding the places of a file by what moves along with it."""

from __future__ import annotations

from sqlite_utils import Database

from registry.schema import migrations


@migrations()
def m011_places(db: Database) -> None:
    db.execute("CREATE INDEX places_inode ON places (inode)")
