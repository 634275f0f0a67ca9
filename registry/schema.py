"""The tables, as named migrations; each runs in one transaction with the record of having run.

Two kinds of tables: *state* that syncs (``facts``, ``set_members``, ``texts``, ``counters`` and what they are
stamped with) is the truth of everything that a person or a machine said of an item; ``models``, ``versions`` and
``search`` are projections of it, rebuilt from it at any time (see :mod:`registry.projection`).
"""

from __future__ import annotations

from sqlite_utils import Database, Migrations

from registry.schema_journal import JOURNAL

migrations = Migrations("registry")

_FIRST = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

-- state: what was said of an item, by whom, when ---------------------------------------------------------------
CREATE TABLE facts (
    item TEXT NOT NULL, field TEXT NOT NULL, source TEXT NOT NULL, value TEXT NOT NULL, stamp TEXT NOT NULL,
    PRIMARY KEY (item, field, source)
) WITHOUT ROWID;
CREATE TABLE set_members (
    item TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL, dot TEXT NOT NULL,
    PRIMARY KEY (item, name, value, dot)
) WITHOUT ROWID;
CREATE INDEX set_members_value ON set_members (name, value);
CREATE TABLE texts (
    item TEXT NOT NULL, field TEXT NOT NULL, dot TEXT NOT NULL, value TEXT NOT NULL,
    PRIMARY KEY (item, field, dot)
) WITHOUT ROWID;
CREATE TABLE records (kind TEXT NOT NULL, id TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (kind, id)) WITHOUT ROWID;
CREATE TABLE removed_dots (dot TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE counters (
    item TEXT NOT NULL, name TEXT NOT NULL, device TEXT NOT NULL, total INTEGER NOT NULL,
    PRIMARY KEY (item, name, device)
) WITHOUT ROWID;
CREATE TABLE lost_edits (
    id INTEGER PRIMARY KEY, item TEXT NOT NULL, field TEXT NOT NULL, kept TEXT NOT NULL, lost TEXT NOT NULL,
    lost_stamp TEXT NOT NULL, seen INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE unknown_changes (id INTEGER PRIMARY KEY, body TEXT NOT NULL UNIQUE);
CREATE TABLE devices (
    id TEXT PRIMARY KEY, name TEXT NOT NULL DEFAULT '', policy TEXT NOT NULL DEFAULT '{}',
    app_version TEXT NOT NULL DEFAULT '', seen_at TEXT
) WITHOUT ROWID;
CREATE TABLE holdings (
    device TEXT NOT NULL, sha256 TEXT NOT NULL, state TEXT NOT NULL, stamp TEXT NOT NULL,
    PRIMARY KEY (device, sha256)
) WITHOUT ROWID;

-- projections ---------------------------------------------------------------------------------------------------
CREATE TABLE models (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, kind TEXT NOT NULL, creator TEXT, description TEXT, notes TEXT,
    rating INTEGER NOT NULL DEFAULT 0, favourite INTEGER NOT NULL DEFAULT 0, alias TEXT, origin TEXT NOT NULL,
    nsfw_level INTEGER NOT NULL DEFAULT 0, permissions TEXT NOT NULL DEFAULT '{}', civitai_id INTEGER,
    upstream_deleted INTEGER NOT NULL DEFAULT 0, added_at TEXT NOT NULL, deleted_at TEXT,
    version_id TEXT NOT NULL, versions INTEGER NOT NULL, tag_list TEXT NOT NULL DEFAULT '[]', search_id INTEGER NOT NULL,
    sources TEXT NOT NULL DEFAULT '{}'
) WITHOUT ROWID;
CREATE INDEX models_search ON models (search_id);
CREATE INDEX models_name ON models (name COLLATE NOCASE, id, deleted_at);
CREATE INDEX models_added ON models (added_at DESC, name COLLATE NOCASE, id, deleted_at);
CREATE INDEX models_alias ON models (alias);
CREATE TABLE versions (
    id TEXT PRIMARY KEY, model_id TEXT NOT NULL, name TEXT NOT NULL, base_model TEXT, architecture TEXT,
    strength REAL, strength_min REAL, strength_max REAL, civitai_id INTEGER, changelog TEXT, run_id TEXT,
    network_type TEXT, rank INTEGER, alpha REAL, size INTEGER NOT NULL DEFAULT 0, trigger_words TEXT NOT NULL DEFAULT '[]',
    published_url TEXT, cover TEXT, replaced_by TEXT,
    preview TEXT, is_damaged INTEGER NOT NULL DEFAULT 0, added_at TEXT NOT NULL, sources TEXT NOT NULL DEFAULT '{}'
) WITHOUT ROWID;
CREATE INDEX versions_model ON versions (model_id, added_at DESC);
CREATE INDEX versions_civitai ON versions (civitai_id);
CREATE TABLE tags (model_id TEXT NOT NULL, tag TEXT NOT NULL, PRIMARY KEY (model_id, tag)) WITHOUT ROWID;
CREATE INDEX tags_tag ON tags (tag COLLATE NOCASE);
CREATE VIRTUAL TABLE search USING fts5 (
    model_id UNINDEXED, name, files, triggers, tags, notes, creator, tokenize = "unicode61 remove_diacritics 2", prefix = '2 3'
);

-- files: identity is content; a place is where one lies on this machine ---------------------------------------------
CREATE TABLE files (
    sha256 TEXT PRIMARY KEY, version_id TEXT NOT NULL, name TEXT NOT NULL, size INTEGER NOT NULL,
    autov1 TEXT, autov2 TEXT NOT NULL, autov3 TEXT, blake3 TEXT, crc32 TEXT,
    format TEXT NOT NULL, network_type TEXT, architecture TEXT, rank INTEGER, alpha REAL, dtype TEXT,
    tensor_count INTEGER NOT NULL DEFAULT 0, metadata TEXT NOT NULL DEFAULT '{}', damage TEXT, added_at TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX files_version ON files (version_id);
CREATE INDEX files_autov3 ON files (autov3, version_id);
CREATE INDEX files_damaged ON files (version_id) WHERE damage IS NOT NULL;
CREATE TABLE roots (path TEXT PRIMARY KEY, added_at TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE places (
    path TEXT PRIMARY KEY, root TEXT NOT NULL, sha256 TEXT, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
    device INTEGER NOT NULL, inode INTEGER NOT NULL, state TEXT NOT NULL, problem TEXT, seen_at TEXT NOT NULL,
    CHECK (state IN ('present', 'missing', 'damaged'))
) WITHOUT ROWID;
CREATE INDEX places_sha256 ON places (sha256, state, device, inode);
CREATE INDEX places_troubled ON places (state, sha256) WHERE state <> 'present';
CREATE TABLE file_history (
    path TEXT NOT NULL, sha256 TEXT NOT NULL, replaced_by TEXT, at TEXT NOT NULL, PRIMARY KEY (path, sha256)
) WITHOUT ROWID;

-- pictures ----------------------------------------------------------------------------------------------------------
CREATE TABLE previews (
    version_id TEXT NOT NULL, sha256 TEXT NOT NULL, name TEXT NOT NULL, width INTEGER NOT NULL, height INTEGER NOT NULL,
    nsfw_level INTEGER NOT NULL DEFAULT 0, position INTEGER NOT NULL DEFAULT 0, generation TEXT NOT NULL DEFAULT '{}',
    source TEXT NOT NULL DEFAULT 'user', added_at TEXT NOT NULL,
    PRIMARY KEY (version_id, sha256)
) WITHOUT ROWID;
CREATE TABLE collections (id TEXT PRIMARY KEY, name TEXT NOT NULL, order_key TEXT NOT NULL DEFAULT '') WITHOUT ROWID;
CREATE TABLE collection_members (
    collection_id TEXT NOT NULL, model_id TEXT NOT NULL, PRIMARY KEY (collection_id, model_id)
) WITHOUT ROWID;

-- work --------------------------------------------------------------------------------------------------------------
CREATE TABLE runs (
    id TEXT PRIMARY KEY, version_id TEXT, name TEXT NOT NULL, recipe TEXT NOT NULL, dataset_fingerprint TEXT NOT NULL,
    seed INTEGER NOT NULL, steps INTEGER NOT NULL, seconds REAL NOT NULL, final_loss REAL, losses TEXT NOT NULL DEFAULT '[]',
    samples TEXT NOT NULL DEFAULT '[]', checkpoints TEXT NOT NULL DEFAULT '[]', started_at TEXT NOT NULL, finished_at TEXT
) WITHOUT ROWID;
CREATE INDEX runs_version ON runs (version_id);
CREATE TABLE generations (
    id TEXT PRIMARY KEY, key TEXT NOT NULL, path TEXT NOT NULL, sha256 TEXT NOT NULL, sweep_id TEXT,
    request TEXT NOT NULL, metrics TEXT NOT NULL DEFAULT '{}', created_at TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX generations_key ON generations (key);
CREATE INDEX generations_sweep ON generations (sweep_id);
CREATE TABLE generation_files (
    generation_id TEXT NOT NULL, sha256 TEXT NOT NULL, PRIMARY KEY (generation_id, sha256)
) WITHOUT ROWID;
CREATE TABLE sweeps (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, version_id TEXT, plan TEXT NOT NULL, curve TEXT NOT NULL DEFAULT '[]',
    suggested REAL, grid_path TEXT, created_at TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE jobs (
    id TEXT PRIMARY KEY, kind TEXT NOT NULL, title TEXT NOT NULL, state TEXT NOT NULL, folder TEXT NOT NULL,
    request TEXT NOT NULL, pid INTEGER, pid_started REAL, error TEXT, result TEXT,
    created_at TEXT NOT NULL, started_at TEXT, finished_at TEXT,
    CHECK (state IN ('queued', 'running', 'done', 'failed', 'cancelled'))
) WITHOUT ROWID;
CREATE INDEX jobs_created ON jobs (created_at);

-- publishing: a journal of what was sent, step by step -----------------------------------------------------------------
CREATE TABLE publications (
    id TEXT PRIMARY KEY, version_id TEXT NOT NULL, site TEXT NOT NULL, plan TEXT NOT NULL, state TEXT NOT NULL,
    civitai_model_id INTEGER, civitai_version_id INTEGER, civitai_post_id INTEGER, url TEXT,
    created_at TEXT NOT NULL, finished_at TEXT
) WITHOUT ROWID;
CREATE INDEX publications_version ON publications (version_id, site);
CREATE TABLE publication_steps (
    publication_id TEXT NOT NULL, name TEXT NOT NULL, state TEXT NOT NULL, answer TEXT NOT NULL DEFAULT '{}',
    started_at TEXT NOT NULL, finished_at TEXT,
    PRIMARY KEY (publication_id, name),
    CHECK (state IN ('started', 'done'))
) WITHOUT ROWID;

-- sync: what was done here and not yet sent, what was frozen to be sent, what was read ----------------------------------
CREATE TABLE remotes (
    name TEXT PRIMARY KEY, kind TEXT NOT NULL, location TEXT NOT NULL, repo TEXT NOT NULL, part INTEGER NOT NULL,
    options TEXT NOT NULL DEFAULT '{}', capabilities TEXT NOT NULL DEFAULT '{}', frozen_to INTEGER NOT NULL DEFAULT 0,
    added_at TEXT NOT NULL, synced_at TEXT, head_at TEXT, acks TEXT NOT NULL DEFAULT '{}', deep_at TEXT
) WITHOUT ROWID;
-- A change that came from a remote names it as its origin, and goes on to every other remote.
CREATE TABLE outbox (id INTEGER PRIMARY KEY AUTOINCREMENT, change TEXT NOT NULL, origin TEXT);
-- ``sent``: 0 waits, 1 announced in the head, 2 seen there again later, and its bytes forgotten.
CREATE TABLE outbound (
    remote TEXT NOT NULL, device TEXT NOT NULL, seq INTEGER NOT NULL, name TEXT NOT NULL, body BLOB NOT NULL,
    changes INTEGER NOT NULL, sent INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (remote, device, seq)
) WITHOUT ROWID;
CREATE INDEX outbound_open ON outbound (remote, device, seq) WHERE sent < 2;
CREATE TABLE cursors (
    remote TEXT NOT NULL, device TEXT NOT NULL, seq INTEGER NOT NULL DEFAULT 0, head_tag TEXT, problem TEXT, since TEXT,
    PRIMARY KEY (remote, device)
) WITHOUT ROWID;
CREATE TABLE received (
    remote TEXT NOT NULL, device TEXT NOT NULL, name TEXT NOT NULL, PRIMARY KEY (remote, device, name)
) WITHOUT ROWID;
CREATE TABLE blob_queue (
    remote TEXT NOT NULL, way TEXT NOT NULL, sha256 TEXT NOT NULL, kind TEXT NOT NULL, retry_at TEXT, problem TEXT,
    PRIMARY KEY (remote, way, sha256), CHECK (way IN ('up', 'down')), CHECK (kind IN ('weights', 'picture'))
) WITHOUT ROWID;
CREATE TABLE remote_blobs (
    remote TEXT NOT NULL, sha256 TEXT NOT NULL, size INTEGER NOT NULL, checked_at TEXT NOT NULL, PRIMARY KEY (remote, sha256)
) WITHOUT ROWID;
CREATE TABLE transfers (
    id TEXT PRIMARY KEY, kind TEXT NOT NULL, source TEXT NOT NULL, target TEXT NOT NULL, size INTEGER, done TEXT NOT NULL DEFAULT '[]',
    tag TEXT, state TEXT NOT NULL, updated_at TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE cache (key TEXT PRIMARY KEY, value TEXT NOT NULL, tag TEXT, stored_at TEXT NOT NULL) WITHOUT ROWID;
"""


@migrations()
def m001_first(db: Database) -> None:
    for statement in split(_FIRST):
        db.execute(statement)


_SCAN = """
CREATE TABLE places_now (
    path TEXT PRIMARY KEY, root TEXT NOT NULL, sha256 TEXT, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
    device INTEGER NOT NULL, inode INTEGER NOT NULL, state TEXT NOT NULL, problem TEXT, seen_at TEXT NOT NULL,
    verified_at TEXT,
    CHECK (state IN ('present', 'missing', 'damaged', 'offline'))
) WITHOUT ROWID;
INSERT INTO places_now SELECT path, root, sha256, size, mtime_ns, device, inode, state, problem, seen_at, NULL FROM places;
DROP TABLE places;
ALTER TABLE places_now RENAME TO places;
CREATE INDEX file_history_successor ON file_history (replaced_by);
"""


@migrations()
def m003_scan(db: Database) -> None:
    """Files on a drive that is away, and when a file was verified; a CHECK changes only with its table."""
    indexes = db.execute("SELECT sql FROM sqlite_master WHERE tbl_name = 'places' AND type = 'index' AND sql NOT NULL")
    for statement in [*split(_SCAN), *(row[0] for row in indexes.fetchall())]:
        db.execute(statement)


@migrations()
def m004_journal(db: Database) -> None:
    for statement in split(JOURNAL):
        db.execute(statement)


def split(script: str) -> list[str]:
    """Single statements: ``executescript`` would commit the migration's transaction."""
    lines = [line for line in script.splitlines() if not line.strip().startswith("--")]
    return [statement.strip() for statement in "\n".join(lines).split(";") if statement.strip()]
