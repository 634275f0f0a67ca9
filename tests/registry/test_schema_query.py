"""A registry that an earlier version wrote is brought up to what the query line needs."""

# ruff: noqa: S608 - names of tables of ours

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from sqlite_utils import Database

from registry import database, facets, library, schema
from registry.database import Registry
from tests.support.library import add_entry


@pytest.fixture
def before(tmp_path: Path) -> Path:
    """The home of a registry with the tables of the first migration alone, and two models in them."""
    with Registry(tmp_path / "now") as registry:
        ink = add_entry(
            registry, "Ink Wash", facts={"base_model": "SDXL 1.0"}, tags=["style"], place="/m/ink/Ink Wash.safetensors"
        )
        add_entry(registry, "Night", triggers=["nightfall"], rank=8)
        library.write_text(registry, ink, "notes", "for posters")
        sha256 = registry.db.execute("SELECT sha256 FROM files WHERE version_id = ?", (ink,)).fetchone()[0]
        registry.db.execute(
            "INSERT INTO generations VALUES ('g', 'k', '/x.png', 'aa', NULL, '{}', '{}', '2026-03-01T00:00:00.000Z')"
        )
        registry.db.execute("INSERT INTO generation_files VALUES ('g', ?)", (sha256,))
        old = tmp_path / "old"
        old.mkdir()
        _write_first(registry.db, old / "registry.db")
    return old


def _write_first(now: sqlite3.Connection, path: Path) -> None:
    db = Database(sqlite3.connect(path, isolation_level=None))
    schema.migrations.apply(db, stop_before="m002_query")
    tables = (
        "meta",
        "files",
        "places",
        "facts",
        "set_members",
        "texts",
        "models",
        "versions",
        "tags",
        "search",
        "devices",
    )
    for table in (*tables, "generations", "generation_files"):
        columns = ", ".join(row[1] for row in db.execute(f"PRAGMA table_info({table})"))
        rows = now.execute(f"SELECT {columns} FROM {table}").fetchall()
        marks = ", ".join("?" for _ in columns.split(", "))
        if table == "search":
            rows = now.execute(f"SELECT rowid, {columns} FROM {table}").fetchall()
            columns, marks = f"rowid, {columns}", f"?, {marks}"
        db.conn.executemany(f"INSERT INTO {table} ({columns}) VALUES ({marks})", [tuple(row) for row in rows])
    db.conn.close()


def test_an_older_registry_is_queried_like_a_new_one(before: Path) -> None:
    with Registry(before) as registry:
        names = {row.id: row.name for row in library.list_models(registry)}
        assert sorted(names.values()) == ["Ink Wash", "Night"]
        for line, found in (
            ("base:sdxl", ["Ink Wash"]), ("has:notes", ["Ink Wash"]), ("posters", ["Ink Wash"]), ("~nihgt", ["Night"]),
            ("used:never", ["Night"]), ("used:2026-03", ["Ink Wash"]), ("folder:ink", ["Ink Wash"]), ("n", ["Night"]),
            ("trigger:nightfall", ["Night"]), ("rank:8", ["Night"]),
        ):  # fmt: skip
            assert [names[model] for model in library.model_ids(registry, line)] == found, line
        assert facets.facets(registry)["tag"] == [("style", 1)]
        for model in names:
            library.set_facts(registry, model, "user", {"rating": 5})
        assert len(library.model_ids(registry, "rating:5")) == 2


def test_a_migrated_registry_is_not_migrated_again(before: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Registry(before).close()

    def migrate(_: sqlite3.Connection) -> None:
        raise AssertionError("migrated twice")

    monkeypatch.setattr(database, "_migrate", migrate)
    Registry(before).close()
