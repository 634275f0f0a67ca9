"""The column of the page that a version has on the Hugging Face Hub."""

from __future__ import annotations

from sqlite_utils import Database

from registry.schema import migrations


@migrations()
def m021_hub(db: Database) -> None:
    db.execute("ALTER TABLE versions ADD COLUMN hub_url TEXT")
