"""The whole state as changes: what a new remote is told of what happened before it was added."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from itertools import islice

import msgspec

from registry.changes import FILE_FACTS, Change, encode

_DOTS_IN_ONE = 1_000


def lines(db: sqlite3.Connection) -> Iterator[str]:
    """Encoded changes that rebuild everything known here, in any order, on any machine."""
    for change in _changes(db):
        yield encode(change)
    for (body,) in db.execute("SELECT body FROM unknown_changes ORDER BY id"):
        yield body


def _changes(db: sqlite3.Connection) -> Iterator[Change]:
    decode = msgspec.json.decode
    for row in db.execute("SELECT * FROM devices WHERE seen_at IS NOT NULL"):
        facts = {"name": row["name"], "policy": decode(row["policy"]), "app_version": row["app_version"]}
        yield ["dev", row["id"], facts, row["seen_at"]]
    for row in db.execute("SELECT * FROM files"):
        facts = {name: row[name] for name in FILE_FACTS if row[name] is not None}
        yield ["file", row["sha256"], {**facts, "metadata": decode(row["metadata"])}]
    for device, sha256, state, stamp in db.execute("SELECT * FROM holdings"):
        yield ["have", device, sha256, state, stamp]
    for item, field, source, value, stamp in db.execute("SELECT * FROM facts"):
        yield ["set", item, f"{source}.{field}", decode(value), stamp]
    for item, name, value, dot in db.execute("SELECT * FROM set_members"):
        yield ["add", item, name, value, dot]
    for item, field, dot, value in db.execute("SELECT * FROM texts"):
        yield ["txt", item, field, value, dot, []]
    for item, name, device, total in db.execute("SELECT * FROM counters"):
        yield ["cnt", item, name, device, total]
    for kind, record_id, body in db.execute("SELECT * FROM records"):
        yield ["rec", kind, record_id, decode(body)]
    # What the dots stood for is gone; that they were removed is all that matters.
    removed = (row[0] for row in db.execute("SELECT dot FROM removed_dots"))
    while dots := list(islice(removed, _DOTS_IN_ONE)):
        yield ["rem", "", "", "", dots]
