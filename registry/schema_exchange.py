"""When the lines of an import that wait were read, and what finds the files that they speak of."""

from __future__ import annotations

from sqlite_utils import Database

from registry.schema import migrations, split

_EXCHANGE = """
-- where the clock and the journal stood when the line of that key in ``imports_waiting`` was read
CREATE TABLE imports_read (key TEXT PRIMARY KEY, stamp TEXT NOT NULL, entry INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX files_size ON files (size);
"""


@migrations()
def m008_exchange(db: Database) -> None:
    for statement in split(_EXCHANGE):
        db.execute(statement)
