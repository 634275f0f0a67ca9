"""Changes: the one way in which what is known of an item gets written, here or by another machine.

A change is a JSON array whose first item names its kind (sync-format kinds ``set add rem txt cnt file have dev rec``).
Applying is commutative, associative and idempotent, so every machine that has seen the same changes, in any order
and any number of times, holds the same state. A local edit makes a change, applies it, and puts it into the outbox,
all in one transaction. Kinds that this version does not know are kept as they came.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from registry import clock, ids, rivals, settled, whereabouts
from registry.fields import SOURCES

Change = list[Any]
"""``["set", item, "source.field", value, stamp]``, ``["add", item, set, value, dot]``,
``["rem", item, set or user.field, value, [dots]]``, ``["txt", item, field, value, dot, [dots replaced]]``,
``["cnt", item, counter, device, total]``, ``["file", sha256, {facts}]``, ``["have", device, sha256, state, stamp]``,
``["dev", device, {facts}, stamp]``, ``["rec", kind, id, {body}]``."""

FILE_FACTS = (
    "version_id", "name", "size", "autov1", "autov2", "autov3", "blake3", "crc32", "format", "network_type",
    "architecture", "rank", "alpha", "dtype", "tensor_count", "metadata", "damage", "added_at",
)  # fmt: skip


_MALFORMED = (TypeError, ValueError, KeyError, AttributeError, OverflowError)


METADATA_CAP = 128 << 10
"""Bytes of a file's header metadata, as JSON, that are kept and synced."""


class MalformedChangeError(ValueError):
    """A change whose kind is known and whose content is not what the kind says."""


def encode(change: Change) -> str:
    return msgspec.json.encode(change, order="sorted").decode()


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


def apply(db: sqlite3.Connection, change: object) -> set[str]:
    """Merge one change into the state; returns the items whose projection must be rebuilt.

    Raises :class:`MalformedChangeError`.
    """
    if not isinstance(change, list) or not change or not isinstance(change[0], str):
        raise MalformedChangeError("a change is an array that begins with its kind")
    kind, *content = change
    handler = _HANDLERS.get(kind)
    if handler is None:
        db.execute("INSERT OR IGNORE INTO unknown_changes (body) VALUES (?)", (encode(change),))
        return set()
    try:
        return handler(db, *content)
    except (*_MALFORMED, sqlite3.IntegrityError, sqlite3.InterfaceError, sqlite3.ProgrammingError) as error:
        raise MalformedChangeError(f"{kind}: {error}") from error


def is_local(change: Change) -> bool:
    """Whether ``change`` speaks of an item that only this machine knows."""
    return any(isinstance(part, str) and ids.is_provisional(part) for part in change[1:3])


def stamp_of(change: Change) -> str | None:
    """The newest clock stamp inside ``change``, or None for a kind that has none."""
    position = {"set": 4, "add": 4, "txt": 4, "have": 4, "dev": 3}.get(change[0])
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


# merging changes --------------------------------------------------------------------------------------------------


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected a text, not {type(value).__name__}")
    return value


def _apply_set(db: sqlite3.Connection, item: str, field: str, value: object, stamp: str) -> set[str]:
    source, _, name = _text(field).partition(".")
    if source not in SOURCES or not name:
        raise ValueError(f"unknown field {field}")
    body = msgspec.json.encode(value, order="sorted").decode()
    row = db.execute(
        "SELECT value, stamp FROM facts WHERE item = ? AND field = ? AND source = ?", (_text(item), name, source)
    ).fetchone()
    is_later = row is None or (row[1], row[0]) < (_text(stamp), body)
    if is_later:
        db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?, ?, ?, ?)", (item, name, source, body, stamp))
        if name == whereabouts.RETIRED:
            whereabouts.refresh_all(db)
    if source == "user" and row is not None and (row[1], row[0]) != (stamp, body):
        rivals.put(db, item, name, *(tuple(row) if is_later else (body, stamp)))
    return {item}


def _apply_add(db: sqlite3.Connection, item: str, name: str, value: str, dot: str) -> set[str]:
    if not _is_removed(db, _text(dot)):
        db.execute(
            "INSERT OR IGNORE INTO set_members VALUES (?, ?, ?, ?)", (_text(item), _text(name), _text(value), dot)
        )
    return {item}


def _apply_rem(db: sqlite3.Connection, item: str, name: str, value: str, dots: Sequence[str]) -> set[str]:
    if not item:
        return _apply_removed(db, [_text(dot) for dot in dots])
    is_field = _text(name).startswith(rivals.USER)
    for dot in dots:
        db.execute("INSERT OR IGNORE INTO removed_dots VALUES (?)", (_text(dot),))
        if is_field:
            rivals.drop(db, _text(item), name, dot)
            continue
        db.execute(
            "DELETE FROM set_members WHERE item = ? AND name = ? AND value = ? AND dot = ?", (item, name, value, dot)
        )
    return {_text(item)}


def _apply_removed(db: sqlite3.Connection, dots: list[str]) -> set[str]:
    """What a snapshot says of removed dots: only that they are. Whatever stands under one of them here goes."""
    sql = "INSERT OR IGNORE INTO removed_dots SELECT value FROM json_each(?) RETURNING dot"
    news = [row[0] for row in db.execute(sql, (encode(dots),)).fetchall()]
    touched: set[str] = set()
    for table, column in (("set_members", "dot"), ("texts", "dot"), ("rivals", "stamp")):
        sql = f"DELETE FROM {table} WHERE {column} IN (SELECT value FROM json_each(?)) RETURNING item"  # noqa: S608 - names of ours
        touched |= {row[0] for row in db.execute(sql, (encode(news),)).fetchall()} if news else set()
    return touched


def _apply_txt(
    db: sqlite3.Connection, item: str, field: str, value: str, dot: str, replaced: Sequence[str]
) -> set[str]:
    for old in replaced:
        db.execute("INSERT OR IGNORE INTO removed_dots VALUES (?)", (_text(old),))
        db.execute("DELETE FROM texts WHERE item = ? AND field = ? AND dot = ?", (item, field, old))
    if not _is_removed(db, _text(dot)):
        # One dot for two texts happens only where a restored backup met a clock that ran back: all keep the same one.
        db.execute(
            "INSERT INTO texts VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET value = excluded.value "
            "WHERE excluded.value > texts.value",
            (_text(item), _text(field), dot, _text(value)),
        )
    return {item}


def _apply_cnt(db: sqlite3.Connection, item: str, name: str, device: str, total: int) -> set[str]:
    db.execute(
        "INSERT INTO counters VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET total = excluded.total "
        "WHERE excluded.total > counters.total",
        (_text(item), _text(name), _text(device), int(total)),
    )
    return {item}


def _apply_file(db: sqlite3.Connection, sha256: str, facts: dict[str, Any]) -> set[str]:
    if len(_text(sha256)) != 64 or not set(sha256) <= set("0123456789abcdef"):
        raise ValueError("a file is named by 64 lower-case hex digits")
    row = {name: facts.get(name) for name in FILE_FACTS}
    row["metadata"] = msgspec.json.encode(row["metadata"] or {}, order="sorted").decode()
    row["tensor_count"] = int(row["tensor_count"] or 0)
    columns = ", ".join(FILE_FACTS)
    known = db.execute(f"SELECT {columns} FROM files WHERE sha256 = ?", (sha256,)).fetchone()  # noqa: S608 - names of ours
    if known is None or _precedence(row) < _precedence(dict(zip(FILE_FACTS, known, strict=True))):
        marks = ", ".join("?" for _ in FILE_FACTS)
        values = (sha256, *(row[name] for name in FILE_FACTS))
        db.execute(f"INSERT OR REPLACE INTO files (sha256, {columns}) VALUES (?, {marks})", values)  # noqa: S608
    touched = {_text(row["version_id"])}
    return touched if known is None else touched | {known[0]}


def _precedence(row: dict[str, Any]) -> tuple[str, str, bytes]:
    """The earliest sighting wins on every machine; the rest only breaks ties between versions of hubman."""
    return _text(row["added_at"]), _text(row["name"]), msgspec.json.encode(row, order="sorted")


def _apply_have(db: sqlite3.Connection, device: str, sha256: str, state: str, stamp: str) -> set[str]:
    before = db.total_changes
    db.execute(
        "INSERT INTO holdings VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET state = excluded.state, stamp = excluded.stamp "
        "WHERE (excluded.stamp, excluded.state) > (holdings.stamp, holdings.state)",
        (_text(device), _text(sha256), _text(state), _text(stamp)),
    )
    if db.total_changes > before:
        whereabouts.refresh_file(db, sha256)
    return set()


def _apply_dev(db: sqlite3.Connection, device: str, facts: dict[str, Any], stamp: str) -> set[str]:
    is_known = db.execute("SELECT 1 FROM devices WHERE id = ? AND seen_at NOT NULL", (_text(device),)).fetchone()
    db.execute(
        "INSERT INTO devices VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET name = excluded.name, policy = excluded.policy, "
        "app_version = excluded.app_version, seen_at = excluded.seen_at "
        "WHERE devices.seen_at IS NULL OR excluded.seen_at > devices.seen_at",
        (
            _text(device),
            _text(facts.get("name", "")),
            msgspec.json.encode(facts.get("policy", {}), order="sorted").decode(),
            _text(facts.get("app_version", "")),
            _text(stamp),
        ),
    )
    if is_known is None:
        whereabouts.refresh_all(db)
    return set()


def _apply_rec(db: sqlite3.Connection, kind: str, record_id: str, body: dict[str, Any]) -> set[str]:
    text = msgspec.json.encode(body, order="sorted").decode()
    # Grow-only: two bodies under one id do not happen by design; if they do, every machine keeps the same one.
    db.execute(
        "INSERT INTO records VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET body = excluded.body "
        "WHERE excluded.body > records.body",
        (_text(kind), _text(record_id), text),
    )
    item = body.get("version_id")
    return {item} if isinstance(item, str) else set()


def _is_removed(db: sqlite3.Connection, dot: str) -> bool:
    return db.execute("SELECT 1 FROM removed_dots WHERE dot = ?", (dot,)).fetchone() is not None


_HANDLERS: dict[str, Callable[..., set[str]]] = {
    "set": _apply_set,
    "add": _apply_add,
    "rem": _apply_rem,
    "txt": _apply_txt,
    "cnt": _apply_cnt,
    "file": _apply_file,
    "have": _apply_have,
    "dev": _apply_dev,
    "rec": _apply_rec,
}
