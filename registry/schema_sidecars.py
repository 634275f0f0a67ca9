"""What each sidecar on this disk says of which file, the files that were written, and lines that wait for their file."""

from __future__ import annotations

from sqlite_utils import Database

from registry.schema import migrations, split

_SIDECARS = """
ALTER TABLE versions ADD COLUMN negative_prompt TEXT;

-- One row a sidecar and the content that it lies beside, as it was read last; not synced. ``said`` maps fields to values,
-- ``place`` is the model file, ``digest`` the SHA-256 of the sidecar's bytes, ``problem`` why it could not be understood.
CREATE TABLE sidecars (
    sha256 TEXT NOT NULL, path TEXT NOT NULL, place TEXT NOT NULL, dialect TEXT NOT NULL, digest TEXT, said TEXT NOT NULL,
    is_of_other INTEGER NOT NULL DEFAULT 0, problem TEXT, read_at TEXT NOT NULL, PRIMARY KEY (sha256, path)
) WITHOUT ROWID;
CREATE INDEX sidecars_place ON sidecars (place);
CREATE INDEX sidecars_path ON sidecars (path);

-- Files that an entry of the journal wrote: what they held before (packed; NULL for nothing), and the SHA-256 of what
-- they hold since (NULL where they were removed).
CREATE TABLE journal_writes (
    entry INTEGER NOT NULL, number INTEGER NOT NULL, path TEXT NOT NULL, before BLOB, after TEXT,
    PRIMARY KEY (entry, number)
) WITHOUT ROWID;

-- Lines of an import whose file is not here yet, by what it is known by.
CREATE TABLE imports_waiting (key TEXT PRIMARY KEY, line TEXT NOT NULL, at TEXT NOT NULL) WITHOUT ROWID;
"""


@migrations()
def m006_sidecars(db: Database) -> None:
    for statement in split(_SIDECARS):
        db.execute(statement)
