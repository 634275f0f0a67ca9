"""The tables of :mod:`hubman.sandbox.index`."""

from __future__ import annotations

from hubman.sandbox.store import Store

_TABLES = """
CREATE TABLE IF NOT EXISTS listed_models (
    id INTEGER PRIMARY KEY, name TEXT, words TEXT, type TEXT, user_id INTEGER, username TEXT, level INTEGER,
    nsfw INTEGER, availability TEXT, mode TEXT, checkpoint TEXT, published TEXT, active TEXT, rating REAL,
    downloads INTEGER, likes INTEGER, comments INTEGER, collected INTEGER, images INTEGER, early_until TEXT,
    commercial TEXT, generates INTEGER, on_site INTEGER);
CREATE INDEX IF NOT EXISTS listed_models_published ON listed_models (published);
CREATE INDEX IF NOT EXISTS listed_models_username ON listed_models (username);
CREATE TABLE IF NOT EXISTS listed_versions (id INTEGER PRIMARY KEY, model_id INTEGER, base_model TEXT, main_format TEXT);
CREATE INDEX IF NOT EXISTS listed_versions_model ON listed_versions (model_id);
CREATE INDEX IF NOT EXISTS listed_versions_base ON listed_versions (base_model, model_id);
CREATE TABLE IF NOT EXISTS listed_tags (tag TEXT, model_id INTEGER, PRIMARY KEY (tag, model_id)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS listed_tags_model ON listed_tags (model_id);
CREATE TABLE IF NOT EXISTS listed_hashes (
    hash TEXT, file_id INTEGER, version_id INTEGER, model_id INTEGER, published TEXT, public INTEGER,
    PRIMARY KEY (hash, file_id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS listed_hashes_model ON listed_hashes (model_id);
CREATE TABLE IF NOT EXISTS listed_images (
    id INTEGER PRIMARY KEY, post_id INTEGER, version_id INTEGER, model_id INTEGER, user_id INTEGER, level INTEGER,
    type TEXT, published TEXT, reactions INTEGER, comments INTEGER, collected INTEGER, has_meta INTEGER, tags TEXT);
CREATE INDEX IF NOT EXISTS listed_images_post ON listed_images (post_id);
CREATE INDEX IF NOT EXISTS listed_images_version ON listed_images (version_id);
CREATE INDEX IF NOT EXISTS listed_images_model ON listed_images (model_id);
CREATE INDEX IF NOT EXISTS listed_images_reactions ON listed_images (reactions);
CREATE INDEX IF NOT EXISTS listed_images_published ON listed_images (published);
"""


def create(store: Store) -> None:
    for statement in filter(str.strip, _TABLES.split(";")):
        store.sql(statement)
