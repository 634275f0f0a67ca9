"""A line of the library's list out of what the database holds of a model."""

from __future__ import annotations

import sqlite3
from functools import lru_cache
from typing import Any

import msgspec

from registry import licence
from registry.records import ModelRow

_COLUMNS = {
    "id": "m.id",
    "name": "m.name",
    "kind": "m.kind",
    "rating": "m.rating",
    "creator": "m.creator",
    "origin": "m.origin",
    "added_at": "m.added_at",
    "versions": "m.versions",
    "version_id": "m.version_id",
    "version_name": "v.name",
    "base_model": "v.base_model",
    "architecture": "v.architecture",
    "network_type": "v.network_type",
    "rank": "v.rank",
    "strength": "v.strength",
    "size": "v.size",
    "preview": "v.preview",
    "uses": "l.uses",
    "used_at": "l.used_at",
    "where": "l.whereabouts",
}
"""What goes into a row as it is; the columns behind them are read by :func:`_row`."""
_NAMES = tuple(_COLUMNS)
_SELECT = f"""
SELECT {", ".join(_COLUMNS.values())}, m.favourite, m.alias, m.tag_list, v.trigger_words, m.permissions,
    (SELECT group_concat(p.state) FROM files f JOIN places p ON p.sha256 = f.sha256 WHERE f.version_id = v.id),
    v.is_damaged, l.duplicate, l.outdated, l.early_until, coalesce(v.published_url, v.hub_url) IS NOT NULL, m.upstream_deleted
FROM models m JOIN versions v ON v.id = m.version_id JOIN listing l ON l.number = m.search_id WHERE m.id IN (%s)
"""  # noqa: S608 - names of ours
_IN_TRASH = """
SELECT DISTINCT f.version_id FROM json_each(?) j JOIN files f ON f.version_id = j.value JOIN trashed t ON t.sha256 = f.sha256
"""
_AT_ONCE = 500


def read(db: sqlite3.Connection, ids: list[str], now: str) -> dict[str, ModelRow]:
    """The rows of these models by id; ``now`` is what early access is compared with."""
    cursor = db.cursor()
    # Half of the time that a page of rows takes would go into naming their columns.
    cursor.row_factory = None
    found: dict[str, ModelRow] = {}
    for start in range(0, len(ids), _AT_ONCE):
        part = ids[start : start + _AT_ONCE]
        rows = cursor.execute(_SELECT % ", ".join("?" for _ in part), part).fetchall()
        placeless = [row[_VERSION] for row in rows if row[_STATES] is None]
        trashed = _in_trash(cursor, placeless) if placeless else frozenset()
        for row in rows:
            found[row[0]] = _row(row, row[_VERSION] in trashed, now)
    return found


_VERSION = _NAMES.index("version_id")
_STATES = len(_NAMES) + 5


def _in_trash(cursor: sqlite3.Cursor, versions: list[str]) -> frozenset[str]:
    """Those of these versions that have a file in the trash folder of a drive."""
    rows = cursor.execute(_IN_TRASH, (msgspec.json.encode(versions).decode(),))
    return frozenset(version for (version,) in rows)


def _row(row: tuple[Any, ...], in_trash: bool, now: str) -> ModelRow:
    favourite, alias, tags, triggers, permissions, states, *said = row[len(_NAMES) :]
    return ModelRow(
        **dict(zip(_NAMES, row, strict=False)),
        favourite=bool(favourite),
        alias=alias or "",
        tags=_texts(tags),
        trigger_words=_texts(triggers),
        licence=_letters(permissions),
        flags=_flags(states, in_trash, now, *said),
    )


_texts = msgspec.json.Decoder(tuple[str, ...]).decode


@lru_cache(maxsize=1024)
def _letters(permissions: str) -> str:
    told = msgspec.json.decode(permissions)
    return licence.letters(told if isinstance(told, dict) else {})


def _flags(
    states: str | None,
    in_trash: bool,
    now: str,
    damaged: int,
    duplicate: int,
    outdated: int,
    early_until: str | None,
    published: int,
    gone: int,
) -> str:
    """The letters of :data:`registry.records.FLAGS`; ``states`` are those of the version's places, with commas."""
    flags = "!" if damaged or (states and "damaged" in states) else ""
    if states != "present":
        flags += _absent(states, in_trash)
    if duplicate:
        flags += "D"
    if outdated:
        flags += "U"
    if early_until and early_until > now:
        flags += "E"
    if published:
        flags += "P"
    return flags + "X" if gone else flags


def _absent(states: str | None, in_trash: bool) -> str:
    if states is None:
        return "T" if in_trash else "R"
    if "present" in states or "damaged" in states:
        return ""
    return "O" if "offline" in states else "M"
