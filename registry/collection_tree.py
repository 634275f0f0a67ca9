"""What the lists show of collections: paths such as ``Clients/A``, and which models are in them, from what was said.

A collection is an item of its own with a name and a parent; a model's set ``collections`` holds the ids of those that it
is in. Two machines that make a collection of one path before they have met make two items: both are shown as one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping

import msgspec

from registry import many

PREFIX = "c"
_ID_LENGTH = 27
"""The id of a collection is the prefix and a ULID; no other item's id is made so."""

NAME, PARENT, REMOVED = "collection_name", "parent", "removed_at"
SEPARATOR = "/"


def is_collection(item: str) -> bool:
    return item.startswith(PREFIX) and len(item) == _ID_LENGTH


def rebuild(db: sqlite3.Connection) -> None:
    """Rebuild all collections and who is in them. Call inside a transaction."""
    shown = _merged(_paths(_live(db)))
    for table in ("collections", "collection_aliases", "collection_members"):
        db.execute(f"DELETE FROM {table}")  # noqa: S608 - names of ours
    for first, (path, ids) in shown.items():
        db.execute("INSERT INTO collections (id, name) VALUES (?, ?)", (first, path))
        db.executemany("INSERT INTO collection_aliases VALUES (?, ?)", [(one, first) for one in ids])
    rows = db.execute(
        "SELECT DISTINCT s.item, s.value FROM set_members s JOIN models m ON m.id = s.item WHERE s.name = 'collections'"
    )
    members: dict[str, list[str]] = {}
    for model, collection in rows.fetchall():
        members.setdefault(model, []).append(collection)
    for model, found in members.items():
        _insert_members(db, model, found)


def rebuild_members(db: sqlite3.Connection, models: str, said: Mapping[str, Iterable[str]]) -> None:
    """Rebuild the collections that each of ``models`` (JSON) is in; it is also in all those above what is ``said``.

    Call inside a transaction.
    """
    many.delete(db, "collection_members", "model_id", models)
    for model, collections in said.items():
        _insert_members(db, model, collections)


def _insert_members(db: sqlite3.Connection, model: str, said: Iterable[str]) -> None:
    sql = "SELECT c.id, c.name FROM collection_aliases a JOIN collections c ON c.id = a.shown WHERE a.id = ?"
    for collection in said:
        found = db.execute(sql, (collection,)).fetchone()
        if found is None:
            continue
        _insert(db, found["id"], model, is_direct=True)
        for path in above(found["name"]):
            for (parent,) in db.execute("SELECT id FROM collections WHERE name = ? COLLATE NOCASE", (path,)).fetchall():
                _insert(db, parent, model, is_direct=False)


def _insert(db: sqlite3.Connection, collection: str, model: str, *, is_direct: bool) -> None:
    db.execute(
        "INSERT INTO collection_members (collection_id, model_id, is_direct) VALUES (?, ?, ?) "
        "ON CONFLICT DO UPDATE SET is_direct = max(is_direct, excluded.is_direct)",
        (collection, model, is_direct),
    )


def above(path: str) -> list[str]:
    """The paths of the collections in which the one at ``path`` lies, the nearest first."""
    parts = path.split(SEPARATOR)
    return [SEPARATOR.join(parts[:end]) for end in range(len(parts) - 1, 0, -1)]


def _live(db: sqlite3.Connection) -> dict[str, tuple[str, str | None]]:
    """(name, parent) of every collection that was made and not removed."""
    facts: dict[str, dict[str, object]] = {}
    for item, field, value in db.execute(
        "SELECT item, field, value FROM facts WHERE item >= ? AND item < ? AND source = 'user'",
        (PREFIX, chr(ord(PREFIX) + 1)),
    ):
        facts.setdefault(item, {})[field] = msgspec.json.decode(value)
    found = {}
    for item, said in facts.items():
        name, parent = said.get(NAME), said.get(PARENT)
        if is_collection(item) and isinstance(name, str) and said.get(REMOVED) is None:
            found[item] = (name.replace(SEPARATOR, "_").strip() or "_", parent if isinstance(parent, str) else None)
    return found


def _paths(live: Mapping[str, tuple[str, str | None]]) -> dict[str, str]:
    """The path of each; one whose parent is gone, or that two machines put into each other, stands at the top."""
    found = {}
    for item in live:
        chain = [item]
        parent = live[item][1]
        while parent is not None and parent in live and parent not in chain:
            chain.append(parent)
            parent = live[parent][1]
        if parent in chain:
            # Every machine cuts the circle at the same place: above its smallest id.
            circle = chain[chain.index(parent) :]
            chain = chain[: chain.index(min(circle)) + 1]
        found[item] = SEPARATOR.join(live[one][0] for one in reversed(chain))
    return found


def _merged(paths: Mapping[str, str]) -> dict[str, tuple[str, list[str]]]:
    """The oldest id of each path (case does not count) to the path and all its ids."""
    groups: dict[str, list[str]] = {}
    for item in sorted(paths):
        groups.setdefault(paths[item].casefold(), []).append(item)
    return {ids[0]: (paths[ids[0]], ids) for ids in groups.values()}
