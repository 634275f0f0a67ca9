"""Which files are listed and not hashed yet."""

from __future__ import annotations

from sqlite_utils import Database

from registry.schema import migrations, split

_UNHASHED = """
-- ``told``: the words and texts, by set or field, that sidecars and not a person said of the item.
CREATE TABLE unhashed (item TEXT PRIMARY KEY, is_described INTEGER NOT NULL DEFAULT 0, told TEXT NOT NULL DEFAULT '{}') WITHOUT ROWID;
-- what a provisional name turned out to be
CREATE TABLE settled (item TEXT PRIMARY KEY, version TEXT NOT NULL) WITHOUT ROWID;
"""


@migrations()
def m005_unhashed(db: Database) -> None:
    for statement in split(_UNHASHED):
        db.execute(statement)
