"""Changes: the one way in which what is known of an item gets written, here or by another machine.

A change is a JSON array whose first item names its kind (sync-format kinds ``set add rem txt cnt file have dev rec``).
Applying is commutative, associative and idempotent, so every machine that has seen the same changes, in any order
and any number of times, holds the same state. A local edit makes a change, applies it, and puts it into the outbox,
all in one transaction. Kinds that this version does not know are kept as they came.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

import msgspec

from registry import clock, ids, rivals, settled
from registry.merging import FILE_FACTS, Change, MalformedChangeError, apply, apply_all, encode, keep_unknown

__all__ = ["FILE_FACTS", "Change", "MalformedChangeError", "apply", "apply_all", "encode", "keep_unknown"]

METADATA_CAP = 128 << 10
"""Bytes of a file's header metadata, as JSON, that are kept and synced."""


def record(db: sqlite3.Connection, changes: Iterable[Change]) -> set[str]:
    """Apply local changes and queue them for sync. Returns the touched items. Call inside a transaction.

    Without a remote nothing is queued: adding one sends the whole state. What is said of a file that has no name yet
    is queued when it has one (:mod:`registry.unhashed`).
    """
    touched: set[str] = set()
    is_synced = db.execute("SELECT 1 FROM remotes").fetchone() is not None
    for change in changes:
        fitting = _fitting(settled.redirected(db, change) if is_local(change) else change)
        for each in (*rivals.replacing(db, fitting), fitting):
            touched |= apply(db, each)
            if is_synced and not is_local(each):
                db.execute("INSERT INTO outbox (change) VALUES (?)", (encode(each),))
    return touched


def is_local(change: Change) -> bool:
    """Whether ``change`` speaks of an item that only this machine knows."""
    return any(isinstance(part, str) and ids.is_provisional(part) for part in change[1:3])


_STAMPED = {"set": 4, "add": 4, "txt": 4, "have": 4, "dev": 3}


def stamp_of(change: Change) -> str | None:
    """The newest clock stamp inside ``change``, or None for a kind that has none."""
    position = _STAMPED.get(change[0])
    return str(change[position]) if position is not None and position < len(change) else None


def _fitting(change: Change) -> Change:
    """``change`` within what one line of a batch may hold: of a file's metadata the longest values are left out.

    They stay in the file. Trainers write whole tables of tag counts there, which can pass a megabyte.
    """
    if change[0] != "file" or not isinstance(change[-1], dict) or not change[-1].get("metadata"):
        return change
    metadata = dict(change[-1]["metadata"])
    excess = len(msgspec.json.encode(metadata)) - METADATA_CAP
    for name in sorted(metadata, key=lambda name: (-len(str(metadata[name])), name)):
        if excess <= 0:
            break
        excess -= len(msgspec.json.encode(metadata.pop(name)))
    return [*change[:-1], {**change[-1], "metadata": metadata}]


# making changes ---------------------------------------------------------------------------------------------------


def set_field(db: sqlite3.Connection, item: str, source: str, field: str, value: object) -> Change:
    return ["set", item, f"{source}.{field}", value, clock.tick(db)]


def add_to_set(db: sqlite3.Connection, item: str, name: str, value: str) -> Change:
    return ["add", item, name, value, clock.tick(db)]


def remove_from_set(db: sqlite3.Connection, item: str, name: str, value: str) -> Change:
    """Removes exactly the additions that this machine has seen: a concurrent addition elsewhere wins."""
    rows = db.execute("SELECT dot FROM set_members WHERE item = ? AND name = ? AND value = ?", (item, name, value))
    return ["rem", item, name, value, sorted(row[0] for row in rows)]


def write_text(db: sqlite3.Connection, item: str, field: str, value: str) -> Change:
    rows = db.execute("SELECT dot FROM texts WHERE item = ? AND field = ?", (item, field))
    replaced = sorted(row[0] for row in rows)
    return ["txt", item, field, value, clock.tick(db), replaced]


def clear_text(db: sqlite3.Connection, item: str, field: str) -> Change:
    """As if nobody had written any of what is there: a text that replaces itself too leaves none."""
    _, _, _, _, dot, replaced = write_text(db, item, field, "")
    return ["txt", item, field, "", dot, [*replaced, dot]]


def add_text(db: sqlite3.Connection, item: str, field: str, value: str) -> Change:
    """A text beside whatever is there, as if another machine had written it."""
    return ["txt", item, field, value, clock.tick(db), []]
