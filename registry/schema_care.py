"""What care of a remote remembers of other devices and of what lies there. Facts of this machine: none of it syncs."""

from __future__ import annotations

from sqlite_utils import Database

from registry.schema import migrations, split

_CARE = """
-- the newest head that was read of each device: its number and its clock, and when it was read
CREATE TABLE heads_seen (
    remote TEXT NOT NULL, device TEXT NOT NULL, seq INTEGER NOT NULL, hlc TEXT NOT NULL, seen_at TEXT NOT NULL,
    PRIMARY KEY (remote, device)
) WITHOUT ROWID;
-- objects whose bytes were read and found right: batches by their key, blobs by ``blob/`` and their SHA-256
CREATE TABLE proved (
    remote TEXT NOT NULL, key TEXT NOT NULL, size INTEGER NOT NULL, proved_at TEXT NOT NULL, PRIMARY KEY (remote, key)
) WITHOUT ROWID;
-- devices whose changes are taken although their clock is more than a year ahead
CREATE TABLE released (device TEXT PRIMARY KEY, released_at TEXT NOT NULL) WITHOUT ROWID;
"""


@migrations()
def m030_care(db: Database) -> None:
    for statement in split(_CARE):
        db.execute(statement)
