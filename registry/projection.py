"""Rebuild what the lists show (``models``, ``versions``, ``tags``, ``previews``, ``search``, ``listing``) from the state."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from registry import collection_tree, ids, known, many, projected_models, projected_versions, races
from registry.known import Best

_MODELS_OF = "SELECT v.model_id FROM json_each(?) j CROSS JOIN versions v ON v.id = j.value"


def rebuild(db: sqlite3.Connection, items: Iterable[str]) -> None:
    """Rebuild the projections that ``items`` (versions or models) take part in. Call inside a transaction."""
    versions: set[str] = set()
    models: set[str] = set()
    collections = False
    asked = sorted(items)
    for some in many.portions(asked):
        races.rebuild(db, some)
    for item in asked:
        if collection_tree.is_collection(item):
            collections = True
        elif item.startswith(ids.IGNORE):
            models |= _ignored(db, item.removeprefix(ids.IGNORE))
        else:
            versions.add(item)
    for portion in many.portions(sorted(versions)):
        said = known.Known(db)
        of_portion = {row[0] for row in db.execute(_MODELS_OF, (many.listed(portion),))}
        of_portion |= projected_versions.rebuild(db, portion, said)
        _rebuild_models(db, of_portion.union(portion), said)
    if models:
        _rebuild_models(db, models, known.Known(db))
    if collections:
        collection_tree.rebuild(db)


def _rebuild_models(db: sqlite3.Connection, models: set[str], said: known.Known) -> None:
    projected_models.rebuild(db, sorted(models, key=projected_models.number), said)


def best_facts(db: sqlite3.Connection, item: str) -> Best:
    """The shown value of every field of ``item``: the most trusted source's that is not empty."""
    return known.best_facts(db, many.listed([item])).get(item, {})


def members(db: sqlite3.Connection, item: str, name: str) -> list[str]:
    """The values of a set, oldest addition first."""
    rows = db.execute(
        "SELECT value, min(dot) AS first FROM set_members WHERE item = ? AND name = ? GROUP BY value ORDER BY first",
        (item, name),
    )
    return [row[0] for row in rows]


def text_of(db: sqlite3.Connection, item: str, field: str) -> str | None:
    """A long text; concurrent edits stand below one another until the next save replaces both."""
    rows = db.execute("SELECT value FROM texts WHERE item = ? AND field = ? ORDER BY dot", (item, field)).fetchall()
    return known.joined(row[0] for row in rows) if rows else None


def _ignored(db: sqlite3.Connection, civitai: str) -> set[str]:
    rows = db.execute("SELECT id FROM models WHERE civitai_id = CAST(? AS INTEGER)", (civitai,))
    return {row[0] for row in rows}
