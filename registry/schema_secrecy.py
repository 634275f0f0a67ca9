"""How the bytes of a remote are kept from strangers; the key itself is never in the database."""

from __future__ import annotations

from sqlite_utils import Database

from registry.schema import migrations, split

# ``enc``: none, hmac or age (hubman.sync.records.layout); ``key_check`` is what the remote tells its key by.
_SECRECY = """
ALTER TABLE remotes ADD COLUMN enc TEXT NOT NULL DEFAULT 'none';
ALTER TABLE remotes ADD COLUMN key_check TEXT NOT NULL DEFAULT '';
"""


@migrations()
def m029_secrecy(db: Database) -> None:
    for statement in split(_SECRECY):
        db.execute(statement)
