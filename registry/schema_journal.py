"""The tables of the journal: what a person did on this machine, and what it takes to take it back."""

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
"""
