"""Facets: how many models there are by base, type, tag and so on, among those that match a query."""

# ruff: noqa: S608 - every value from outside is bound, never part of the SQL

from __future__ import annotations

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable
from heapq import nsmallest

from registry import listing, query, views
from registry.database import Registry
from registry.query import Query

Facet = list[tuple[str, int]]

FIELDS = ("base", "type", "tag", "creator", "folder", "lic", "nsfw", "rank", "run", "year", "where", "collection")
"""Each is a field of the query line, in the order in which they are shown."""

NARROWING = frozenset(("tag", "lic"))
"""Fields of which a model has several values: choosing a second one asks for both, where others ask for either."""

MOST = 200
"""Values of a facet that are counted out, the most frequent first."""

_NUMERIC = frozenset(("rank", "year"))


def facets(registry: Registry, text: str = "") -> dict[str, Facet]:
    """For each of :data:`FIELDS` its values with their counts, the most frequent first, numbers in their order.

    A count says how many models there would be if the value were chosen too: what the line asks of the facet's own
    field is left out, except where a second value narrows (:data:`NARROWING`). Raises :class:`UsageError` for a bad
    query.
    """
    whole = query.compile_query(text, views=views.own(registry))
    wider = {name: whole.without(name) for name in FIELDS if name in whole.fields and name not in NARROWING}
    counted = _counts(registry.db, whole)
    for name, rest in wider.items():
        if name not in {"collection", "where"}:
            counted[name] = _counts(registry.db, rest)[name]
    counted["where"] = _where(registry.db, wider.get("where", whole))
    counted["collection"] = dict(_collections(registry.db, wider.get("collection", whole)))
    return {name: _sorted(name, counted[name]) for name in FIELDS}


def _counts(db: sqlite3.Connection, found: Query) -> dict[str, dict[str, int]]:
    """Field to value to count, over the models that match."""
    row = db.execute(f"SELECT group_concat(l.facets, '') FROM {found.source}", found.parameters).fetchone()
    characters = Counter(row[0] or "")
    counted: dict[str, dict[str, int]] = defaultdict(dict)
    for code, field, value in db.execute("SELECT code, field, value FROM facet_values"):
        count = characters.get(listing.character(code))
        if count:
            counted[field][value] = count
    return counted


def _collections(db: sqlite3.Connection, found: Query) -> Iterable[tuple[str, int]]:
    return db.execute(
        "SELECT c.name, count(h.id) FROM collections c LEFT JOIN collection_members cm ON cm.collection_id = c.id "
        f"LEFT JOIN (SELECT l.id FROM {found.source}) h ON h.id = cm.model_id GROUP BY c.id",
        found.parameters,
    )


def _where(db: sqlite3.Connection, found: Query) -> dict[str, int]:
    """As ``where:`` finds them; nothing where no other machine has a part in the collection."""
    sql = f"SELECT l.whereabouts, count(*) FROM {found.source} GROUP BY l.whereabouts"
    counted = dict(db.execute(sql, found.parameters).fetchall())
    if not counted.keys() - {"here", "nowhere"}:
        return {}
    here = counted.get("here", 0) + counted.get("everywhere", 0)
    return {name: count for name, count in {**counted, "here": here}.items() if count}


def _sorted(name: str, counted: dict[str, int]) -> Facet:
    if name in _NUMERIC:
        return sorted(counted.items(), key=lambda pair: -int(pair[0]) if name == "year" else int(pair[0]))[:MOST]
    if name == "nsfw":
        return [(level, counted[level]) for level in listing.LEVELS if level in counted]
    return nsmallest(MOST, counted.items(), key=lambda pair: (-pair[1], pair[0]))
