"""The merge: what each kind of change does to the state. One path for an edit made here and for whole logs of others.

Changes of one kind are applied together, by the same statements whether they are one or twenty thousand: the rules of
the merge stand in those statements. As they are commutative, their order among each other does not matter.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from registry.fields import SOURCES

Change = list[Any]
"""``["set", item, "source.field", value, stamp]``, ``["add", item, set, value, dot]``,
``["rem", item, set, value, [dots]]``, ``["txt", item, field, value, dot, [dots replaced]]``,
``["cnt", item, counter, device, total]``, ``["file", sha256, {facts}]``, ``["have", device, sha256, state, stamp]``,
``["dev", device, {facts}, stamp]``, ``["rec", kind, id, {body}]``."""

FILE_FACTS = (
    "version_id", "name", "size", "autov1", "autov2", "autov3", "blake3", "crc32", "format", "network_type",
    "architecture", "rank", "alpha", "dtype", "tensor_count", "metadata", "damage", "added_at",
)  # fmt: skip

_MALFORMED = (
    TypeError, ValueError, KeyError, AttributeError, OverflowError,
    sqlite3.IntegrityError, sqlite3.InterfaceError, sqlite3.ProgrammingError,
)  # fmt: skip
_HEX = frozenset("0123456789abcdef")
_encoder = msgspec.json.Encoder(order="sorted")


class MalformedChangeError(ValueError):
    """A change whose kind is known and whose content is not what the kind says."""


def encode(change: Change) -> str:
    return _encoder.encode(change).decode()


def apply(db: sqlite3.Connection, change: object) -> set[str]:
    """Merge one change into the state; returns the items whose projection must be rebuilt.

    Raises :class:`MalformedChangeError`.
    """
    if not isinstance(change, list) or not change or not isinstance(change[0], str):
        raise MalformedChangeError("a change is an array that begins with its kind")
    kind, *content = change
    handler = _HANDLERS.get(kind)
    if handler is None:
        keep_unknown(db, [change])
        return set()
    try:
        return handler(db, [content])
    except _MALFORMED as error:
        raise MalformedChangeError(f"{kind}: {error}") from error


def apply_all(db: sqlite3.Connection, changes: Iterable[Change]) -> tuple[set[str], list[Change]]:
    """Merge many changes, each a list that begins with its kind; call inside a transaction.

    Returns the items whose projection must be rebuilt, and the malformed changes, which did nothing.
    """
    kinds: dict[str, list[Change]] = {}
    for change in changes:
        kinds.setdefault(change[0], []).append(change)
    touched: set[str] = set()
    malformed: list[Change] = []
    for kind, group in kinds.items():
        handler = _HANDLERS.get(kind)
        if handler is None:
            keep_unknown(db, group)
            continue
        try:
            touched |= handler(db, [change[1:] for change in group])
        except _MALFORMED:
            # One of them is. To apply the others a second time changes nothing.
            for change in group:
                try:
                    touched |= apply(db, change)
                except MalformedChangeError:
                    malformed.append(change)
    return touched, malformed


def keep_unknown(db: sqlite3.Connection, changes: Iterable[Change]) -> None:
    """Changes that this version makes no sense of stay as they came, and go on to others."""
    rows = [(encode(change),) for change in changes]
    db.executemany("INSERT OR IGNORE INTO unknown_changes (body) VALUES (?)", rows)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected a text, not {type(value).__name__}")
    return value


_SET = (
    "INSERT INTO facts VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET value = excluded.value, stamp = excluded.stamp "
    "WHERE (excluded.stamp, excluded.value) > (facts.stamp, facts.value)"
)
_ADD = "INSERT OR IGNORE INTO set_members SELECT ?1, ?2, ?3, ?4 WHERE NOT EXISTS (SELECT 1 FROM removed_dots WHERE dot = ?4)"
_GONE = "INSERT OR IGNORE INTO removed_dots VALUES (?)"
_REM = "DELETE FROM set_members WHERE item = ? AND name = ? AND value = ? AND dot = ?"
_REPLACED = "DELETE FROM texts WHERE item = ? AND field = ? AND dot = ?"
# One dot for two texts happens only where a restored backup met a clock that ran back: all keep the same one.
_TXT = (
    "INSERT INTO texts SELECT ?1, ?2, ?3, ?4 WHERE NOT EXISTS (SELECT 1 FROM removed_dots WHERE dot = ?3) "
    "ON CONFLICT DO UPDATE SET value = excluded.value WHERE excluded.value > texts.value"
)
_CNT = (
    "INSERT INTO counters VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET total = excluded.total "
    "WHERE excluded.total > counters.total"
)
_HAVE = (
    "INSERT INTO holdings VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET state = excluded.state, stamp = excluded.stamp "
    "WHERE (excluded.stamp, excluded.state) > (holdings.stamp, holdings.state)"
)
_DEV = (
    "INSERT INTO devices (id, name, policy, app_version, seen_at) VALUES (?, ?, ?, ?, ?) "
    "ON CONFLICT DO UPDATE SET name = excluded.name, policy = excluded.policy, app_version = excluded.app_version, "
    "seen_at = excluded.seen_at WHERE devices.seen_at IS NULL OR excluded.seen_at > devices.seen_at"
)
# Grow-only: two bodies under one id do not happen by design; if they do, every machine keeps the same one.
_REC = (
    "INSERT INTO records VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET body = excluded.body "
    "WHERE excluded.body > records.body"
)
_KNOWN_FILE = f"SELECT {', '.join(FILE_FACTS)} FROM files WHERE sha256 = ?"  # noqa: S608 - names of ours
_FILE = f"INSERT OR REPLACE INTO files (sha256, {', '.join(FILE_FACTS)}) VALUES (?{', ?' * len(FILE_FACTS)})"  # noqa: S608

_Contents = Sequence[Sequence[Any]]
"""The changes of one kind without it."""


def _apply_set(db: sqlite3.Connection, contents: _Contents) -> set[str]:
    rows = [_fact(*content) for content in contents]
    db.executemany(_SET, rows)
    return {row[0] for row in rows}


def _fact(item: str, field: str, value: object, stamp: str) -> tuple[str, str, str, str, str]:
    source, _, name = _text(field).partition(".")
    if source not in SOURCES or not name:
        raise ValueError(f"unknown field {field}")
    return _text(item), name, source, encode_value(value), _text(stamp)


def encode_value(value: object) -> str:
    """A value as the state holds it: JSON with sorted keys."""
    return _encoder.encode(value).decode()


def _apply_add(db: sqlite3.Connection, contents: _Contents) -> set[str]:
    rows = [(_text(item), _text(name), _text(value), _text(dot)) for item, name, value, dot in contents]
    db.executemany(_ADD, rows)
    return {row[0] for row in rows}


def _apply_rem(db: sqlite3.Connection, contents: _Contents) -> set[str]:
    rows = [(_text(item), name, value, _text(dot)) for item, name, value, dots in contents for dot in dots]
    db.executemany(_GONE, [(row[3],) for row in rows])
    db.executemany(_REM, rows)
    return {_text(content[0]) for content in contents}


def _apply_txt(db: sqlite3.Connection, contents: _Contents) -> set[str]:
    rows = [(_text(item), _text(field), _text(dot), _text(value)) for item, field, value, dot, _ in contents]
    past = [(item, field, _text(old)) for item, field, _, _, replaced in contents for old in replaced]
    db.executemany(_GONE, [(row[2],) for row in past])
    db.executemany(_REPLACED, past)
    db.executemany(_TXT, rows)
    return {row[0] for row in rows}


def _apply_cnt(db: sqlite3.Connection, contents: _Contents) -> set[str]:
    rows = [(_text(item), _text(name), _text(device), int(total)) for item, name, device, total in contents]
    db.executemany(_CNT, rows)
    return {row[0] for row in rows}


def _apply_file(db: sqlite3.Connection, contents: _Contents) -> set[str]:
    touched: set[str] = set()
    kept: dict[str, dict[str, Any]] = {}
    for sha256, facts in contents:
        row = _file_row(sha256, facts)
        known = kept.get(sha256) or _known_file(db, sha256)
        if known is None or _precedence(row) < _precedence(known):
            kept[sha256] = row
        touched |= {row["version_id"], known["version_id"] if known else row["version_id"]}
    db.executemany(_FILE, [(sha256, *row.values()) for sha256, row in kept.items()])
    return touched


def _file_row(sha256: str, facts: dict[str, Any]) -> dict[str, Any]:
    if len(_text(sha256)) != 64 or not _HEX.issuperset(sha256):
        raise ValueError("a file is named by 64 lower-case hex digits")
    row = {name: facts.get(name) for name in FILE_FACTS}
    row["metadata"] = encode_value(row["metadata"] or {})
    row["tensor_count"] = int(row["tensor_count"] or 0)
    _text(row["version_id"])
    return row


def _known_file(db: sqlite3.Connection, sha256: str) -> dict[str, Any] | None:
    known = db.execute(_KNOWN_FILE, (sha256,)).fetchone()
    return dict(zip(FILE_FACTS, known, strict=True)) if known else None


def _precedence(row: dict[str, Any]) -> tuple[str, str, bytes]:
    """The earliest sighting wins on every machine; the rest only breaks ties between versions of hubman."""
    return _text(row["added_at"]), _text(row["name"]), _encoder.encode(row)


def _apply_have(db: sqlite3.Connection, contents: _Contents) -> set[str]:
    rows = [tuple(_text(part) for part in content) for content in contents]
    db.executemany(_HAVE, rows)
    return set()


def _apply_dev(db: sqlite3.Connection, contents: _Contents) -> set[str]:
    rows = [_device(*content) for content in contents]
    db.executemany(_DEV, rows)
    return set()


def _device(device: str, facts: dict[str, Any], stamp: str) -> tuple[str, ...]:
    name, version = _text(facts.get("name", "")), _text(facts.get("app_version", ""))
    return _text(device), name, encode_value(facts.get("policy", {})), version, _text(stamp)


def _apply_rec(db: sqlite3.Connection, contents: _Contents) -> set[str]:
    rows = [(_text(kind), _text(record_id), encode_value(body)) for kind, record_id, body in contents]
    items = (body.get("version_id") for _, _, body in contents)
    touched = {item for item in items if isinstance(item, str)}
    db.executemany(_REC, rows)
    return touched


_HANDLERS: dict[str, Callable[[sqlite3.Connection, _Contents], set[str]]] = {
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
