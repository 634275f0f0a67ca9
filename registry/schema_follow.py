"""What Civitai answered, kept: by hash, whole pages of models and versions, and which updates were told. None of it syncs."""

from __future__ import annotations

from sqlite_utils import Database

from registry.schema import migrations, split

_FOLLOW = """
ALTER TABLE models ADD COLUMN upstream_mode TEXT;
CREATE INDEX models_civitai ON models (civitai_id) WHERE civitai_id IS NOT NULL;

-- a file's hash and what came of asking for it: the numbers of the version and model that hold it, else NULL and how
-- often in a row it was not found. ``by_tensors``: 1 if it was found by the hash of its tensors, 0 if not found so
-- either, NULL if not asked for so. ``pictures``: how many the version's page has; ``pictured``: up to how many were
-- fetched, NULL if its whole answer was not asked for yet.
CREATE TABLE upstream_hashes (
    sha256 TEXT PRIMARY KEY, version INTEGER, model INTEGER, asked_at TEXT NOT NULL, misses INTEGER NOT NULL DEFAULT 0,
    by_tensors INTEGER, is_written INTEGER NOT NULL DEFAULT 0, pictures INTEGER NOT NULL DEFAULT 0,
    pictured INTEGER
) WITHOUT ROWID;
CREATE INDEX upstream_hashes_model ON upstream_hashes (model) WHERE model IS NOT NULL;

-- whole answers, as JSON compressed by zlib; ``body`` is NULL for a model that nobody has seen
CREATE TABLE archived_models (
    number INTEGER PRIMARY KEY, name TEXT NOT NULL DEFAULT '', creator TEXT NOT NULL DEFAULT '' COLLATE NOCASE,
    newest INTEGER NOT NULL DEFAULT 0, published_at TEXT NOT NULL DEFAULT '', asked_at TEXT NOT NULL, seen_at TEXT,
    gone_at TEXT, body BLOB
);
CREATE INDEX archived_models_creator ON archived_models (creator);
CREATE TABLE archived_versions (number INTEGER PRIMARY KEY, model INTEGER NOT NULL, seen_at TEXT NOT NULL, body BLOB NOT NULL);
CREATE INDEX archived_versions_model ON archived_versions (model);

-- versions that were told as news
CREATE TABLE updates_told (version INTEGER PRIMARY KEY, told_at TEXT NOT NULL);
"""


@migrations()
def m014_follow(db: Database) -> None:
    for statement in split(_FOLLOW):
        db.execute(statement)
