"""What the query line and the facets read: one narrow row a model, the words for search, and when files were used."""

from __future__ import annotations

from sqlite_utils import Database

from registry import words
from registry.schema import migrations, split

_QUERY = """
ALTER TABLE models ADD COLUMN newest_upstream INTEGER;
ALTER TABLE versions ADD COLUMN early_until TEXT;

-- how often, and when last, pictures were drawn with a file
CREATE TABLE usage (sha256 TEXT PRIMARY KEY, times INTEGER NOT NULL, last_at TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO usage SELECT gf.sha256, count(*), max(g.created_at)
    FROM generation_files gf JOIN generations g ON g.id = gf.generation_id GROUP BY gf.sha256;

-- one row a model, in the order of names: a query walks it, and facets count its ``facets``. The columns that most
-- queries read come first; ``files``, ``folders``, ``triggers`` and ``tags`` hold values between line feeds.
CREATE TABLE listing (
    name TEXT NOT NULL COLLATE NOCASE, id TEXT NOT NULL, number INTEGER NOT NULL, deleted INTEGER NOT NULL,
    rating INTEGER NOT NULL, favourite INTEGER NOT NULL, nsfw INTEGER NOT NULL, licence INTEGER, rank INTEGER,
    size INTEGER NOT NULL, strength REAL, year INTEGER, damaged INTEGER NOT NULL, gone INTEGER NOT NULL,
    published INTEGER NOT NULL, noted INTEGER NOT NULL, described INTEGER NOT NULL, pictured INTEGER NOT NULL,
    duplicate INTEGER NOT NULL,
    outdated INTEGER NOT NULL, on_civitai INTEGER NOT NULL, uses INTEGER NOT NULL, used_at TEXT, added_at TEXT NOT NULL,
    early_until TEXT, base TEXT, base_plain TEXT, type TEXT NOT NULL, kind TEXT NOT NULL, architecture TEXT,
    creator TEXT, origin TEXT NOT NULL, run TEXT, facets TEXT NOT NULL, tags TEXT NOT NULL, triggers TEXT NOT NULL,
    alias TEXT, files TEXT NOT NULL, folders TEXT NOT NULL,
    PRIMARY KEY (name, id)
) WITHOUT ROWID;
CREATE UNIQUE INDEX listing_number ON listing (number);
CREATE INDEX listing_name ON listing (name, id, deleted);
CREATE INDEX listing_added ON listing (added_at DESC, name, id, deleted);
CREATE TABLE facet_values (
    code INTEGER PRIMARY KEY, field TEXT NOT NULL, value TEXT NOT NULL, UNIQUE (field, value)
);

-- one letter is a query too
ALTER TABLE search RENAME TO search_before;
CREATE VIRTUAL TABLE search USING fts5 (
    model_id UNINDEXED, name, files, triggers, tags, notes, creator, tokenize = "unicode61 remove_diacritics 2", prefix = '1 2 3'
);
INSERT INTO search (rowid, model_id, name, files, triggers, tags, notes, creator)
    SELECT rowid, model_id, name, files, triggers, tags, notes, creator FROM search_before;
DROP TABLE search_before;

-- every word that search knows, by its trigrams: what a mistyped word may have meant
CREATE TABLE words (id INTEGER PRIMARY KEY, word TEXT NOT NULL UNIQUE);
CREATE VIRTUAL TABLE word_trigrams USING fts5 (padded, tokenize = 'trigram', detail = none, columnsize = 0, content = '');
"""


@migrations()
def m002_query(db: Database) -> None:
    for statement in split(_QUERY):
        db.execute(statement)
    # The listing is filled by the migration that gave it its present columns.
    for texts in db.execute("SELECT name, files, triggers, tags, notes, creator FROM search").fetchall():
        words.learn(db.conn, texts)
