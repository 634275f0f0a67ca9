from __future__ import annotations

import sqlite3
from pathlib import Path

from sqlite_utils import Database

from registry import database, schema, schema_query, schema_sidecars
from registry.database import Registry


def test_the_names_that_are_looked_for_are_those_of_the_migrations() -> None:
    assert schema_query.m002_query.__name__ in database.MIGRATIONS
    assert schema_sidecars.m006_sidecars.__name__ in database.MIGRATIONS
    assert (
        tuple(migration.name for migration in schema.migrations.pending(Database(memory=True))) == database.MIGRATIONS
    )


def test_a_registry_of_the_first_version_keeps_its_places_and_their_indexes(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "registry.db") as db:
        schema.migrations.apply(Database(db), stop_before=database.MIGRATIONS[1])
        db.execute("INSERT INTO places VALUES ('/m/a.pt', '/m', 'aa', 1, 2, 3, 4, 'missing', 'gone', '2026-01-01')")
        before = {row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE tbl_name = 'places'")}
    db.close()
    with Registry(tmp_path) as registry:
        row = registry.db.execute("SELECT * FROM places").fetchone()
        assert tuple(row)[:10] == ("/m/a.pt", "/m", "aa", 1, 2, 3, 4, "missing", "gone", "2026-01-01")
        registry.db.execute("UPDATE places SET state = 'offline', verified_at = '2026-01-02'")
        assert before <= {row[0] for row in registry.db.execute("SELECT name FROM sqlite_master")}
