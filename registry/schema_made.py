"""The table of folders that entries of the journal made, so that taking an entry back leaves none of them behind."""

from __future__ import annotations

from sqlite_utils import Database

from registry.schema import migrations, split

_MADE = """
CREATE TABLE journal_folders (entry INTEGER NOT NULL, path TEXT NOT NULL, PRIMARY KEY (entry, path)) WITHOUT ROWID;
"""


@migrations()
def m012_made(db: Database) -> None:
    for statement in split(_MADE):
        db.execute(statement)
