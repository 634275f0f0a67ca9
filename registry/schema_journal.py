"""The tables of the journal (what a person did on this machine, and how to take it back), and nested collections."""

JOURNAL = """
CREATE TABLE journal (
    id INTEGER PRIMARY KEY AUTOINCREMENT, at TEXT NOT NULL, verb TEXT NOT NULL, label TEXT NOT NULL,
    models TEXT NOT NULL DEFAULT '[]', undoes INTEGER, is_undo INTEGER NOT NULL DEFAULT 0, undone_by INTEGER
);
CREATE INDEX journal_open ON journal (id) WHERE undone_by IS NULL AND is_undo = 0;
CREATE TABLE journal_steps (
    entry INTEGER NOT NULL, number INTEGER NOT NULL, item TEXT NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL,
    before TEXT NOT NULL, after TEXT NOT NULL, PRIMARY KEY (entry, number)
) WITHOUT ROWID;
-- A stamp that was made by taking something back, and the stamp of the saying that it brought back ('' for nothing).
CREATE TABLE restored (stamp TEXT PRIMARY KEY, stands_for TEXT NOT NULL) WITHOUT ROWID;

-- The name of a collection is its whole path. Several items may be shown as one; a model is also in all those above.
CREATE TABLE collection_aliases (id TEXT PRIMARY KEY, shown TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX collection_aliases_shown ON collection_aliases (shown);
ALTER TABLE collection_members ADD COLUMN is_direct INTEGER NOT NULL DEFAULT 1;
CREATE INDEX collection_members_model ON collection_members (model_id);

-- Moves of files: those of an entry, those under way (what is left of a process that was killed), what lies in the trash.
CREATE TABLE journal_moves (
    entry INTEGER NOT NULL, number INTEGER NOT NULL, source TEXT NOT NULL, target TEXT NOT NULL,
    PRIMARY KEY (entry, number)
) WITHOUT ROWID;
CREATE TABLE moves_under_way (id INTEGER PRIMARY KEY, moves TEXT NOT NULL, made TEXT NOT NULL);
CREATE TABLE trashed (
    path TEXT PRIMARY KEY, original TEXT NOT NULL, sha256 TEXT, problem TEXT, model TEXT, size INTEGER NOT NULL, at TEXT NOT NULL
) WITHOUT ROWID;
"""
