"""Finding what the journal and the trash say of one file, once for each file that is hashed."""

from __future__ import annotations

from sqlite_utils import Database

from registry.schema import migrations, split

_SETTLING = """
CREATE INDEX journal_steps_item ON journal_steps (item);
CREATE INDEX trashed_model ON trashed (model);
CREATE INDEX trashed_sha256 ON trashed (sha256);
"""


@migrations()
def m009_settling(db: Database) -> None:
    for statement in split(_SETTLING):
        db.execute(statement)
