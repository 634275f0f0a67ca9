"""Edits of one field that did not know of each other, and the list of what a person has to choose between."""

from __future__ import annotations

from sqlite_utils import Database

from registry.schema import migrations, split

_RACES = """
-- state: what a person said and no later edit knew of, beside the later word that shows (``facts``)
CREATE TABLE rivals (
    item TEXT NOT NULL, field TEXT NOT NULL, stamp TEXT NOT NULL, value TEXT NOT NULL,
    PRIMARY KEY (item, field, stamp, value)
) WITHOUT ROWID;

-- a projection but for the rows of kind ``local``, which an import or a scan leaves; an id is never given twice
CREATE TABLE lost_edits_now (
    id INTEGER PRIMARY KEY AUTOINCREMENT, item TEXT NOT NULL, field TEXT NOT NULL, kept TEXT NOT NULL, lost TEXT NOT NULL,
    lost_stamp TEXT NOT NULL, seen INTEGER NOT NULL DEFAULT 0, kept_stamp TEXT NOT NULL DEFAULT '',
    kind TEXT NOT NULL DEFAULT 'local', CHECK (kind IN ('value', 'text', 'trash', 'local'))
);
INSERT INTO lost_edits_now (id, item, field, kept, lost, lost_stamp, seen)
    SELECT id, item, field, kept, lost, lost_stamp, seen FROM lost_edits;
DROP TABLE lost_edits;
ALTER TABLE lost_edits_now RENAME TO lost_edits;
CREATE INDEX lost_edits_item ON lost_edits (item, kind);
"""


@migrations()
def m027_races(db: Database) -> None:
    for statement in split(_RACES):
        db.execute(statement)
