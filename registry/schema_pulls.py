"""The queue of downloads. Work of this machine: none of it syncs."""

from __future__ import annotations

from sqlite_utils import Database

from registry.schema import migrations, split

_PULLS = """
-- ``same`` is what is wanted in one normal form: nothing is queued twice. ``folder`` and ``site`` are NULL for the usual
-- ones, ``choice`` says which file of a version and how its path is made, ``remote_*`` what was found on the site
CREATE TABLE pulls (
    id INTEGER PRIMARY KEY AUTOINCREMENT, same TEXT NOT NULL UNIQUE, ref TEXT NOT NULL, title TEXT NOT NULL, site TEXT,
    folder TEXT, choice TEXT NOT NULL, state TEXT NOT NULL, position INTEGER NOT NULL, done INTEGER NOT NULL DEFAULT 0,
    total INTEGER NOT NULL DEFAULT 0, error TEXT NOT NULL DEFAULT '', tries INTEGER NOT NULL DEFAULT 0,
    remote_version INTEGER NOT NULL DEFAULT 0, remote_file INTEGER NOT NULL DEFAULT 0, sha256 TEXT NOT NULL DEFAULT '',
    verified INTEGER NOT NULL DEFAULT 0, path TEXT NOT NULL DEFAULT '', version_id TEXT NOT NULL DEFAULT '', pid INTEGER, pid_started REAL,
    added_at TEXT NOT NULL, finished_at TEXT,
    CHECK (state IN ('queued', 'running', 'paused', 'done', 'failed'))
);
CREATE INDEX pulls_position ON pulls (position);
CREATE INDEX pulls_remote ON pulls (remote_version, remote_file) WHERE state = 'done';
"""


@migrations()
def m013_pulls(db: Database) -> None:
    for statement in split(_PULLS):
        db.execute(statement)
