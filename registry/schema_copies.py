"""The table of files that were moved to another drive and whose sources are still to be deleted."""

from __future__ import annotations

from sqlite_utils import Database

from registry.schema import migrations, split

_COPIES = """
CREATE TABLE copied (
    source TEXT PRIMARY KEY, target TEXT NOT NULL, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, inode INTEGER NOT NULL
) WITHOUT ROWID;
"""


@migrations()
def m010_copies(db: Database) -> None:
    for statement in split(_COPIES):
        db.execute(statement)
