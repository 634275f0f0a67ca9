"""The whole state as changes: what a new remote is told of what happened before it was added."""

from __future__ import annotations

import heapq
import sqlite3
from collections.abc import Iterator
from itertools import islice

import msgspec

from registry import ids, rivals
from registry.changes import FILE_FACTS, Change, encode

_DOTS_IN_ONE = 1_000
_decode = msgspec.json.decode


def lines(db: sqlite3.Connection) -> Iterator[str]:
    """Encoded changes that rebuild everything known here, in any order, on any machine.

    What is said of one item stands together, so that a reader rebuilds each item once and not in every batch.
    """
    # First, so that a reader need not look for what stands under them. What they stood for is gone; that they were
    # removed is all that matters.
    removed = (row[0] for row in db.execute("SELECT dot FROM removed_dots"))
    while dots := list(islice(removed, _DOTS_IN_ONE)):
        yield encode(["rem", "", "", "", dots])
    for change in _of_devices(db):
        yield encode(change)
    said = (_of_files(db), _of_facts(db), _of_rivals(db), _of_sets(db), _of_texts(db), _of_counters(db))
    for item, change in heapq.merge(*said, key=lambda pair: pair[0]):
        if not ids.is_provisional(item):
            yield encode(change)
    for kind, record_id, body in db.execute("SELECT * FROM records"):
        if not ids.is_provisional(record_id):
            yield encode(["rec", kind, record_id, _decode(body)])
    for (body,) in db.execute("SELECT body FROM unknown_changes ORDER BY id"):
        yield body


def _of_devices(db: sqlite3.Connection) -> Iterator[Change]:
    for row in db.execute("SELECT * FROM devices WHERE seen_at IS NOT NULL"):
        facts = {"name": row["name"], "policy": _decode(row["policy"]), "app_version": row["app_version"]}
        yield ["dev", row["id"], facts, row["seen_at"]]
    for device, sha256, state, stamp in db.execute("SELECT * FROM holdings"):
        yield ["have", device, sha256, state, stamp]


_Said = Iterator[tuple[str, Change]]
"""(item, change), by item."""


def _of_files(db: sqlite3.Connection) -> _Said:
    for row in db.execute("SELECT * FROM files ORDER BY version_id"):
        facts = {name: row[name] for name in FILE_FACTS if row[name] is not None}
        yield row["version_id"], ["file", row["sha256"], {**facts, "metadata": _decode(row["metadata"])}]


def _of_facts(db: sqlite3.Connection) -> _Said:
    for item, field, source, value, stamp in db.execute("SELECT * FROM facts ORDER BY item"):
        yield item, ["set", item, f"{source}.{field}", _decode(value), stamp]


def _of_rivals(db: sqlite3.Connection) -> _Said:
    for item, field, stamp, value in db.execute("SELECT * FROM rivals ORDER BY item"):
        yield item, ["set", item, rivals.USER + field, _decode(value), stamp]


def _of_sets(db: sqlite3.Connection) -> _Said:
    for item, name, value, dot in db.execute("SELECT * FROM set_members ORDER BY item"):
        yield item, ["add", item, name, value, dot]


def _of_texts(db: sqlite3.Connection) -> _Said:
    for item, field, dot, value in db.execute("SELECT * FROM texts ORDER BY item"):
        yield item, ["txt", item, field, value, dot, []]


def _of_counters(db: sqlite3.Connection) -> _Said:
    for item, name, device, total in db.execute("SELECT * FROM counters ORDER BY item"):
        yield item, ["cnt", item, name, device, total]
