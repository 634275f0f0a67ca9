"""Which pictures were drawn with which files, whoever drew them. Facts of this machine: none of it syncs."""

from __future__ import annotations

from sqlite_utils import Database

from registry.schema import migrations, split

_USAGE = """
CREATE TABLE image_folders (path TEXT PRIMARY KEY, added_at TEXT NOT NULL) WITHOUT ROWID;

-- a picture by content, wherever it lies or lay; ``path`` is where it was seen last
CREATE TABLE images (
    id INTEGER PRIMARY KEY, content TEXT NOT NULL UNIQUE, made_at TEXT NOT NULL, tool TEXT NOT NULL, prompt TEXT NOT NULL,
    path TEXT NOT NULL
);
-- the files that were looked at, by what shows that they changed; without an ``image`` they say of no model
CREATE TABLE image_files (
    folder TEXT NOT NULL, name TEXT NOT NULL, inode INTEGER NOT NULL, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
    image INTEGER, PRIMARY KEY (folder, name)
) WITHOUT ROWID;
CREATE INDEX image_files_image ON image_files (image) WHERE image IS NOT NULL;

-- what pictures call a model, each once, and the file that it means: found by hash, Civitai's id or name, or by nothing
CREATE TABLE image_resources (
    id INTEGER PRIMARY KEY, kind TEXT NOT NULL, name TEXT NOT NULL, hash TEXT NOT NULL, civitai_id INTEGER NOT NULL,
    sha256 TEXT, found_by TEXT NOT NULL DEFAULT '', problem TEXT NOT NULL DEFAULT '', UNIQUE (kind, name, hash, civitai_id)
);
CREATE INDEX image_resources_file ON image_resources (sha256);
CREATE INDEX image_resources_open ON image_resources (id) WHERE found_by <> 'hash';
CREATE TABLE image_uses (
    resource INTEGER NOT NULL, image INTEGER NOT NULL, strength REAL, PRIMARY KEY (resource, image)
) WITHOUT ROWID;
CREATE INDEX image_uses_image ON image_uses (image, resource);
"""

# The pictures that were drawn here. A strength of 0 leaves a LoRA out; a strength that is not written is 1.
_DRAWN_HERE = """
CREATE TEMP TABLE drawn AS SELECT g.key, g.path, g.created_at, gf.sha256,
    CASE WHEN json_valid(g.request) THEN g.request ELSE '{}' END AS request
    FROM generations g JOIN generation_files gf ON gf.generation_id = g.id;
CREATE TEMP TABLE drawn_uses AS SELECT d.key, d.sha256, coalesce(json_extract(l.value, '$.name'), '') AS name,
    coalesce(json_extract(l.value, '$.strength'), 1.0) AS strength
    FROM drawn d LEFT JOIN json_each(d.request, '$.loras') l ON json_extract(l.value, '$.sha256') = d.sha256;
DELETE FROM drawn_uses WHERE strength = 0;
INSERT INTO images (content, made_at, tool, prompt, path)
    SELECT 'hubman:' || key, min(created_at), 'hubman', coalesce(substr(json_extract(request, '$.prompt'), 1, 1000), ''), path
    FROM drawn GROUP BY key;
INSERT INTO image_resources (kind, name, hash, civitai_id, sha256, found_by)
    SELECT DISTINCT 'lora', u.name, u.sha256, 0, f.sha256, CASE WHEN f.sha256 IS NULL THEN '' ELSE 'hash' END
    FROM drawn_uses u LEFT JOIN files f ON f.sha256 = u.sha256;
INSERT OR IGNORE INTO image_uses SELECT r.id, i.id, u.strength FROM drawn_uses u
    JOIN images i ON i.content = 'hubman:' || u.key JOIN image_resources r ON r.hash = u.sha256 AND r.name = u.name;
DELETE FROM usage;
INSERT INTO usage SELECT r.sha256, count(DISTINCT u.image), max(i.made_at) FROM image_uses u
    JOIN image_resources r ON r.id = u.resource JOIN images i ON i.id = u.image WHERE r.sha256 IS NOT NULL GROUP BY r.sha256;
UPDATE listing SET uses = 0, used_at = NULL WHERE uses > 0;
UPDATE listing SET (uses, used_at) = (SELECT coalesce(sum(t.times), 0), max(t.last_at) FROM versions v
    JOIN files f ON f.version_id = v.id JOIN usage t ON t.sha256 = f.sha256 WHERE v.model_id = listing.id)
    WHERE id IN (SELECT v.model_id FROM versions v JOIN files f ON f.version_id = v.id JOIN usage t ON t.sha256 = f.sha256);
DROP TABLE drawn;
DROP TABLE drawn_uses;
"""


@migrations()
def m007_usage(db: Database) -> None:
    for statement in split(_USAGE + _DRAWN_HERE):
        db.execute(statement)
