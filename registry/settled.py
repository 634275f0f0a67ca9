"""What became of provisional names: who still holds one, such as a list on a screen, means the version it turned out to be."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

import msgspec

from registry import fields, ids


def note(db: sqlite3.Connection, item: str, version: str) -> None:
    """``item`` is hashed now, and is ``version``."""
    db.execute("INSERT OR REPLACE INTO settled VALUES (?, ?)", (item, version))


def version_of(db: sqlite3.Connection, item: str) -> str:
    """The version that ``item`` turned out to be; ``item`` itself while it waits, or if it is no provisional name."""
    if not ids.is_provisional(item):
        return item
    row = db.execute("SELECT version FROM settled WHERE item = ?", (item,)).fetchone()
    # What it turned out to be may have been another listed file, which is hashed meanwhile.
    return version_of(db, str(row[0])) if row else item


def model_of(db: sqlite3.Connection, item: str) -> str:
    """The same for an ``item`` that is meant as a model."""
    version = version_of(db, item)
    return version if version == item else model_of_version(db, version)


def model_of_version(db: sqlite3.Connection, version: str) -> str:
    row = db.execute("SELECT model_id FROM versions WHERE id = ?", (version,)).fetchone()
    return str(row[0]) if row else version


_NOW = """
WITH RECURSIVE known(item, version) AS (
    SELECT value, value FROM json_each(?)
    UNION ALL SELECT k.item, s.version FROM known k JOIN settled s ON s.item = k.version
)
SELECT k.item, k.version, coalesce(v.model_id, k.version) FROM known k LEFT JOIN versions v ON v.id = k.version
    WHERE NOT EXISTS (SELECT 1 FROM settled s WHERE s.item = k.version)
"""


def now_of(db: sqlite3.Connection, items: Iterable[str]) -> dict[str, tuple[str, str]]:
    """What the provisional names among ``items`` are now: (model, version)."""
    held = [item for item in items if ids.is_provisional(item)]
    if not held:
        return {}
    rows = db.execute(_NOW, (msgspec.json.encode(held).decode(),))
    return {item: (model, version) for item, version, model in rows}


def models_of(db: sqlite3.Connection, models: Iterable[str]) -> list[str]:
    """The models that these are now, in their order, each once: several files may turn out to be one."""
    asked = list(models)
    now = now_of(db, asked)
    return list(dict.fromkeys(now[model][0] if model in now else model for model in asked))


def target_of(db: sqlite3.Connection, item: str, name: str) -> str:
    """The item of which a field, text or set called ``name`` is said when it is said of ``item``."""
    return version_of(db, item) if fields.level_of(name) == "version" else model_of(db, item)


def redirected(db: sqlite3.Connection, change: list[object]) -> list[object]:
    """``change`` as it is to be said if its item was settled meanwhile."""
    match change:
        case ["set", str(item), str(field), *rest]:
            return ["set", target_of(db, item, field.partition(".")[2]), field, *rest]
        case [("add" | "rem" | "txt") as kind, str(item), str(name), *rest]:
            return [kind, target_of(db, item, name), name, *rest]
        case ["rec", kind, str(record_id), dict(body)]:
            item, slash, name = record_id.partition("/")
            version = version_of(db, item)
            return ["rec", kind, version + slash + name, {**body, "version_id": version} if version != item else body]
    return change


def all_of(db: sqlite3.Connection, items: list[str]) -> list[str]:
    """``items`` with both the version and the model of those that were settled."""
    found: dict[str, None] = {}
    for item in items:
        found |= dict.fromkeys((version_of(db, item), model_of(db, item)))
    return list(found)
