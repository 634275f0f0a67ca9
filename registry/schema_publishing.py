"""Publishing, deeper: what each step was made from, the file's id, what the site counts, and which warnings were accepted."""

from __future__ import annotations

from sqlite_utils import Database

from registry.schema import migrations, split

_PUBLISHING = """
-- the fingerprint of what a step sent: another one later means that a person changed it since
ALTER TABLE publication_steps ADD COLUMN inputs TEXT NOT NULL DEFAULT '';
ALTER TABLE publications ADD COLUMN civitai_file_id INTEGER;
CREATE INDEX publication_steps_name ON publication_steps (name, started_at);

-- what Civitai counted, as of ``read_at``; it hides some counts where a creator says so
CREATE TABLE civitai_stats (
    version_id TEXT PRIMARY KEY, site TEXT NOT NULL, civitai_model_id INTEGER NOT NULL, civitai_version_id INTEGER NOT NULL,
    downloads INTEGER, liked INTEGER, disliked INTEGER, comments INTEGER, model_downloads INTEGER, read_at TEXT NOT NULL
) WITHOUT ROWID;
"""

_ACCEPTED = """
-- ``mark`` is the fingerprint of what the warning said: about anything else it was not accepted
CREATE TABLE accepted_findings (
    version_id TEXT NOT NULL, site TEXT NOT NULL, mark TEXT NOT NULL, code TEXT NOT NULL, accepted_at TEXT NOT NULL,
    PRIMARY KEY (version_id, site, mark)
) WITHOUT ROWID;
"""


@migrations()
def m016_publishing(db: Database) -> None:
    """Add what a publication's steps were made from, and the site's counts."""
    for statement in split(_PUBLISHING):
        db.execute(statement)


@migrations()
def m022_accepted(db: Database) -> None:
    """Add the warnings that were accepted for a publication."""
    for statement in split(_ACCEPTED):
        db.execute(statement)
