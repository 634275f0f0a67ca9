"""The merge: what each kind of change does to the state. One path for an edit made here and for whole logs of others.

Changes of one kind are applied together, by the same statements whether they are one or twenty thousand: the rules of
the merge stand in those statements. As they are commutative, their order among each other does not matter.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any

import msgspec

from registry import many, rivals, whereabouts
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
_STANDING = "SELECT value, stamp FROM facts WHERE item = ? AND field = ? AND source = 'user'"
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
# That this machine is there says nothing of where else weights are.
_MET = "SELECT id FROM devices WHERE seen_at NOT NULL UNION SELECT value FROM meta WHERE key = 'device'"
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
_KNOWN_FILES = f"SELECT sha256, {', '.join(FILE_FACTS)} FROM json_each(?) j CROSS JOIN files ON sha256 = j.value"  # noqa: S608 - names of ours
_FILE = f"INSERT OR REPLACE INTO files (sha256, {', '.join(FILE_FACTS)}) VALUES (?{', ?' * len(FILE_FACTS)})"  # noqa: S608 - names of ours

_Contents = Sequence[Sequence[Any]]
"""The changes of one kind without it."""


def _apply_set(db: sqlite3.Connection, contents: _Contents) -> set[str]:
    rows = [_fact(*content) for content in contents]
    before = db.total_changes
    contested = _contested(db, [row for row in rows if row[2] == "user"])
    db.executemany(_SET, [row for row in rows if row[2] != "user" or row[:2] not in contested])
    for row in rows:
        if row[2] == "user" and row[:2] in contested:
            _set_beside(db, *row)
    if db.total_changes > before and any(row[1] == whereabouts.RETIRED for row in rows):
        whereabouts.refresh_all(db)
    return {row[0] for row in rows}


def _contested(db: sqlite3.Connection, rows: Sequence[tuple[str, ...]]) -> set[tuple[str, ...]]:
    """(item, field) of what a person said more than once, here or in ``rows``."""
    if not rows:
        return set()
    fields = [row[:2] for row in rows]
    sql = "SELECT f.item, f.field FROM json_each(?) j CROSS JOIN facts f ON f.item = j.value WHERE f.source = 'user'"
    known = {tuple(row) for row in db.execute(sql, (many.listed({row[0] for row in rows}),))}
    return known | {field for field, times in Counter(fields).items() if times > 1}


def _set_beside(db: sqlite3.Connection, item: str, name: str, source: str, body: str, stamp: str) -> None:
    """The later word shows; the other is kept unless who said the later one knew it."""
    row = db.execute(_STANDING, (item, name)).fetchone()
    db.execute(_SET, (item, name, source, body, stamp))
    if row is not None and tuple(row) != (body, stamp):
        is_later = (row[1], row[0]) < (stamp, body)
        rivals.put(db, item, name, *(tuple(row) if is_later else (body, stamp)))


def _fact(item: str, field: str, value: object, stamp: str) -> tuple[str, str, str, str, str]:
    source, name = _field(_text(field))
    return _text(item), name, source, encode_value(value), _text(stamp)


@lru_cache(maxsize=1024)
def _field(field: str) -> tuple[str, str]:
    source, _, name = field.partition(".")
    if source not in SOURCES or not name:
        raise ValueError(f"unknown field {field}")
    return source, name


def encode_value(value: object) -> str:
    """A value as the state holds it: JSON with sorted keys."""
    return _encoder.encode(value).decode()


def _apply_add(db: sqlite3.Connection, contents: _Contents) -> set[str]:
    rows = [(_text(item), _text(name), _text(value), _text(dot)) for item, name, value, dot in contents]
    db.executemany(_ADD, rows)
    return {row[0] for row in rows}


def _apply_rem(db: sqlite3.Connection, contents: _Contents) -> set[str]:
    rows = [(_text(item), _text(name), value, _text(dot)) for item, name, value, dots in contents for dot in dots]
    touched = _apply_removed(db, [row[3] for row in rows if not row[0]])
    named = [row for row in rows if row[0]]
    db.executemany(_GONE, [(row[3],) for row in named])
    db.executemany(_REM, [row for row in named if not row[1].startswith(rivals.USER)])
    if stamps := [row[3] for row in named if row[1].startswith(rivals.USER)]:
        touched |= rivals.drop(db, stamps)
    return touched | {_text(content[0]) for content in contents if content[0] != ""}


def _apply_removed(db: sqlite3.Connection, dots: list[str]) -> set[str]:
    """What a snapshot says of removed dots: only that they are. Whatever stands under one of them here goes."""
    sql = "INSERT OR IGNORE INTO removed_dots SELECT value FROM json_each(?) RETURNING dot"
    news = [row[0] for row in db.execute(sql, (encode(dots),)).fetchall()] if dots else []
    touched: set[str] = set()
    for table in ("set_members", "texts"):
        sql = f"DELETE FROM {table} WHERE dot IN (SELECT value FROM json_each(?)) RETURNING item"  # noqa: S608 - names of ours
        touched |= {row[0] for row in db.execute(sql, (encode(news),)).fetchall()} if news else set()
    return touched | rivals.drop(db, news)


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
    rows = [(sha256, _file_row(sha256, facts)) for sha256, facts in contents]
    known = {
        row[0]: dict(zip(FILE_FACTS, tuple(row)[1:], strict=True))
        for row in db.execute(_KNOWN_FILES, (many.listed({sha256 for sha256, _ in rows}),))
    }
    touched = {row["version_id"] for row in known.values()}
    better: dict[str, dict[str, Any]] = {}
    for sha256, row in rows:
        touched.add(row["version_id"])
        if sha256 not in known or _precedence(row) < _precedence(known[sha256]):
            known[sha256] = better[sha256] = row
    db.executemany(_FILE, [(sha256, *row.values()) for sha256, row in better.items()])
    return touched


def _file_row(sha256: str, facts: dict[str, Any]) -> dict[str, Any]:
    if len(_text(sha256)) != 64 or not _HEX.issuperset(sha256):
        raise ValueError("a file is named by 64 lower-case hex digits")
    row = {name: facts.get(name) for name in FILE_FACTS}
    row["metadata"] = encode_value(row["metadata"] or {})
    row["tensor_count"] = int(row["tensor_count"] or 0)
    _text(row["version_id"])
    return row


def _precedence(row: dict[str, Any]) -> tuple[str, str, bytes]:
    """The earliest sighting wins on every machine; the rest only breaks ties between versions of hubman."""
    return _text(row["added_at"]), _text(row["name"]), _encoder.encode(row)


def _apply_have(db: sqlite3.Connection, contents: _Contents) -> set[str]:
    rows = [(_text(device), _text(sha256), _text(state), _text(stamp)) for device, sha256, state, stamp in contents]
    before = db.total_changes
    db.executemany(_HAVE, rows)
    if db.total_changes > before:
        whereabouts.refresh_files(db, {row[1] for row in rows})
    return set()


def _apply_dev(db: sqlite3.Connection, contents: _Contents) -> set[str]:
    rows = [_device(*content) for content in contents]
    known = {row[0] for row in db.execute(_MET)}
    db.executemany(_DEV, rows)
    if any(row[0] not in known for row in rows):
        whereabouts.refresh_all(db)
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
