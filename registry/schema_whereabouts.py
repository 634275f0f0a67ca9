"""Where models are, as a column of the listing; which weights sync brought here, and which a person let go of."""

from __future__ import annotations

from sqlite_utils import Database

from registry import whereabouts
from registry.schema import migrations, split

_FETCHED = """
-- weights that sync brought here, from which remote, whole: only those are let go of where there is too much
CREATE TABLE fetched (sha256 TEXT PRIMARY KEY, remote TEXT NOT NULL, at TEXT NOT NULL) WITHOUT ROWID;
-- weights that a person let go of here: no policy brings them back
CREATE TABLE dropped (sha256 TEXT PRIMARY KEY, at TEXT NOT NULL) WITHOUT ROWID;
"""


@migrations()
def m028_whereabouts(db: Database) -> None:
    for statement in split(_FETCHED):
        db.execute(statement)
    # A registry from before the listing had its present order got the column with it.
    if "whereabouts" not in {row[1] for row in db.execute("PRAGMA table_info(listing)")}:
        db.execute("ALTER TABLE listing ADD COLUMN whereabouts TEXT NOT NULL DEFAULT 'nowhere'")
    whereabouts.refresh_all(db.conn)
