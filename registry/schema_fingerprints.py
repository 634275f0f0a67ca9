"""Fingerprints of LoRAs by the hash of their file: what norms and likeness are told from."""

from __future__ import annotations

from sqlite_utils import Database

from registry.schema import migrations, split

_FINGERPRINTS = """
-- names of modules, which many LoRAs share
CREATE TABLE fingerprint_layouts (id TEXT PRIMARY KEY, modules TEXT NOT NULL) WITHOUT ROWID;
-- ``problem``: why there is none; then ``layout`` and ``norm`` are empty. The numbers lie in a file of hubman's folder.
CREATE TABLE fingerprints (
    sha256 TEXT PRIMARY KEY, arithmetic INTEGER NOT NULL, layout TEXT, norm REAL, ranks INTEGER NOT NULL DEFAULT 0,
    blocks TEXT NOT NULL DEFAULT '{}', untold INTEGER NOT NULL DEFAULT 0, problem TEXT, at TEXT NOT NULL
) WITHOUT ROWID;
"""


@migrations()
def m023_fingerprints(db: Database) -> None:
    for statement in split(_FINGERPRINTS):
        db.execute(statement)
