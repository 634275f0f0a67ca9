"""What is known of a remote's snapshots, how far each log was taken from one, and what was written since the newest."""

from __future__ import annotations

from sqlite_utils import Database

from registry.schema import migrations, split

_SNAPSHOTS = """
-- those that were read here to their end and found whole; ``covers`` is JSON, device to number
CREATE TABLE snapshots (
    remote TEXT NOT NULL, name TEXT NOT NULL, covers TEXT NOT NULL, verified_at TEXT NOT NULL, PRIMARY KEY (remote, name)
) WITHOUT ROWID;
-- batches and bytes since the newest snapshot, and when this machine writes the next if no other does before
CREATE TABLE log_growth (
    remote TEXT PRIMARY KEY, batches INTEGER NOT NULL DEFAULT 0, bytes INTEGER NOT NULL DEFAULT 0, due_ms INTEGER
) WITHOUT ROWID;
-- batches up to ``base`` came out of a snapshot
ALTER TABLE cursors ADD COLUMN base INTEGER NOT NULL DEFAULT 0;
-- up to which number a log's batches were deleted by this machine
CREATE TABLE trims (
    remote TEXT NOT NULL, device TEXT NOT NULL, trimmed INTEGER NOT NULL, PRIMARY KEY (remote, device)
) WITHOUT ROWID;
"""


@migrations()
def m026_snapshots(db: Database) -> None:
    for statement in split(_SNAPSHOTS):
        db.execute(statement)
