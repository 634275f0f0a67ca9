"""What a person said of an item, with the stamps that tell one saying from another, to be compared and brought back."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec

Kind = Literal["fact", "set", "text"]
Saying = tuple[str, str]
"""A value (of a fact as JSON) and the stamp of the change that said it."""

Said = dict[tuple[Kind, str], list[Saying]]
"""(kind, name of the field, set or text) to what stands there, in the order of the stamps; of a fact what shows, then its
rivals (:mod:`registry.rivals`)."""


class Step(msgspec.Struct, frozen=True):
    """One field, set or text of an item before and after it was edited."""

    item: str
    kind: Kind
    name: str
    before: list[Saying]
    after: list[Saying]


_SELECT: dict[Kind, str] = {
    "fact": "SELECT field, value, stamp, 0 AS rank FROM facts WHERE item = :item AND source = 'user' "
    "UNION ALL SELECT field, value, stamp, 1 FROM rivals WHERE item = :item ORDER BY rank, stamp",
    "set": "SELECT name, value, dot FROM set_members WHERE item = :item ORDER BY dot",
    "text": "SELECT field, value, dot FROM texts WHERE item = :item ORDER BY dot",
}


def of(db: sqlite3.Connection, item: str) -> Said:
    """Everything that was said of ``item``: the person's facts, all sets and texts."""
    found: Said = {}
    for kind, sql in _SELECT.items():
        for row in db.execute(sql, {"item": item}):
            found.setdefault((kind, row[0]), []).append((row[1], row[2]))
    return found


def of_all(db: sqlite3.Connection, items: Iterable[str]) -> dict[str, Said]:
    return {item: of(db, item) for item in items}


def steps(before: Mapping[str, Said], after: Mapping[str, Said]) -> list[Step]:
    """What differs between two states of the same items."""
    return [
        Step(item, kind, name, before[item].get((kind, name), []), after[item].get((kind, name), []))
        for item in before
        for kind, name in sorted({*before[item], *after[item]})
        if before[item].get((kind, name)) != after[item].get((kind, name))
    ]
