"""The listing with what most queries read in front, its lists as bytes, and the trainings that only headers name."""

from __future__ import annotations

from sqlite_utils import Database

from registry import listing, many
from registry.known import Known
from registry.schema import migrations, split

# To reach a column SQLite steps over all before it. A text that a function is asked about is copied for each row, bytes
# are not. ``files``, ``folders``, ``triggers`` and ``tags`` hold values without case, between line feeds.
_ROW_ORDER = """
-- the training that a header names, which the index keeps: metadata can be long, and a list is rebuilt often
ALTER TABLE files ADD COLUMN run TEXT GENERATED ALWAYS AS (
    CASE WHEN coalesce(
        json_extract(metadata, '$.ss_session_id'), json_extract(metadata, '$.ss_training_started_at'),
        json_extract(metadata, '$.ss_steps'), json_extract(metadata, '$.ss_dataset_dirs')
    ) IS NOT NULL THEN nullif(json_extract(metadata, '$.ss_output_name'), '') END
) VIRTUAL;
CREATE INDEX files_run ON files (version_id, added_at, sha256, run);

DROP TABLE listing;
CREATE TABLE listing (
    name TEXT NOT NULL COLLATE NOCASE, id TEXT NOT NULL, number INTEGER NOT NULL, deleted INTEGER NOT NULL,
    rating INTEGER NOT NULL, tags BLOB NOT NULL, size INTEGER NOT NULL, base_plain TEXT, added_at TEXT NOT NULL, used_at TEXT,
    base TEXT, type TEXT NOT NULL, rank INTEGER, strength REAL, nsfw INTEGER NOT NULL, licence INTEGER, triggers BLOB NOT NULL,
    facets TEXT NOT NULL, creator TEXT, origin TEXT NOT NULL, run TEXT, recorded INTEGER NOT NULL, uses INTEGER NOT NULL, year INTEGER,
    favourite INTEGER NOT NULL, duplicate INTEGER NOT NULL, outdated INTEGER NOT NULL, damaged INTEGER NOT NULL,
    gone INTEGER NOT NULL, published INTEGER NOT NULL, noted INTEGER NOT NULL, described INTEGER NOT NULL,
    pictured INTEGER NOT NULL, on_civitai INTEGER NOT NULL, early_until TEXT, kind TEXT NOT NULL, architecture TEXT,
    alias TEXT, files BLOB NOT NULL, folders BLOB NOT NULL, whereabouts TEXT NOT NULL DEFAULT 'nowhere',
    PRIMARY KEY (name, id)
) WITHOUT ROWID;
CREATE UNIQUE INDEX listing_number ON listing (number);
CREATE INDEX listing_name ON listing (name, id, deleted);
CREATE INDEX listing_damaged ON listing (number) WHERE damaged;
CREATE INDEX listing_added ON listing (added_at DESC, name, id, deleted);
"""


@migrations()
def m015_row_order(db: Database) -> None:
    for statement in split(_ROW_ORDER):
        db.execute(statement)
    versions: dict[str, list[str]] = {}
    for model, version in db.execute("SELECT model_id, id FROM versions").fetchall():
        versions.setdefault(model, []).append(version)
    for portion in many.portions(sorted(versions)):
        known = Known(db.conn)
        known.read_files(version for model in portion for version in versions[model])
        listing.rebuild(
            db.conn, {model: [file for one in versions[model] for file in known.files(one)] for model in portion}
        )
