"""What an import said of files that were not here: it is said of them once they are, unless a person said more since."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Sequence

import msgspec

from registry import exchange_import, exchange_match, places
from registry.database import Registry
from registry.exchange import ModelLine
from registry.exchange_import import Change, Plan

_decode_line = msgspec.json.Decoder(ModelLine).decode


def take_in_waiting(registry: Registry, paths: Collection[str] | None = None) -> int:
    """Say of files that are here now what an import said of them before they were; returns of how many models.

    Only the files at ``paths`` are asked for, where some are given. All that is taken in is one entry of the journal.
    What still finds no file goes on waiting. What a person said since the import was read stays; what the import says
    instead is kept among the lost edits.
    """
    matched = list(_matched(registry.db, paths))
    if not matched:
        return 0
    with registry.transaction() as db:
        found = Plan()
        # Another process may have taken some in since they were read.
        here = [key for key in matched if _plan_one(registry, found, key)]
        exchange_import.carry_out(registry, found, f"{len(here)} models that an import knew")
        for table in ("imports_waiting", "imports_read"):
            db.executemany(f"DELETE FROM {table} WHERE key = ?", [(key,) for key in here])  # noqa: S608 - names of ours
    return len(here)


def waiting(registry: Registry) -> Sequence[str]:
    """The names of the models that an import knows and that are not here yet."""
    rows = registry.db.execute("SELECT line FROM imports_waiting ORDER BY at, key")
    return [str(msgspec.json.decode(row[0])["model"]) for row in rows]


def _matched(db: sqlite3.Connection, paths: Collection[str] | None) -> Iterator[str]:
    """The keys of the lines that a file was found for, in the order of the imports."""
    rows = db.execute("SELECT key, line FROM imports_waiting ORDER BY at, key").fetchall()
    known = None if paths is None or not rows else _known_by(db, paths)
    for key, text in rows:
        (version,) = _decode_line(text).versions
        wanted = exchange_match.known_by(version.files, version.civitai_version_id)
        if known is not None and known.isdisjoint(wanted):
            continue
        if exchange_match.version_of(db, version.files, version.civitai_version_id):
            yield key


def _known_by(db: sqlite3.Connection, paths: Collection[str]) -> set[str | int]:
    """All by which a line may know one of the files at ``paths``."""
    sql = (
        "SELECT f.sha256, f.autov3, f.size, v.civitai_id FROM files f LEFT JOIN versions v ON v.id = f.version_id "
        "WHERE f.sha256 = ?"
    )
    found: set[str | int] = set()
    for path in paths:
        place = places.known_at(db, path)
        row = db.execute(sql, (place.sha256,)).fetchone() if place else None
        if row is not None:
            found |= {row["sha256"], row["autov3"] or "", row["size"], exchange_match.number(row["civitai_id"])}
    return found - {""}


def _plan_one(registry: Registry, found: Plan, key: str) -> bool:
    """Add to ``found`` what the line ``key`` changes; returns False for one that does not wait or fits nothing now."""
    row = registry.db.execute(_LINE, (key,)).fetchone()
    if row is None:
        return False
    one = exchange_import.plan(registry, [row["line"].encode()])
    if one.waiting:
        return False
    for change in one.changes:
        if _is_edited(registry.db, change.item, change.kind, change.field, row):
            _keep_lost(registry.db, change, row["stamp"])
        else:
            found.changes.append(change)
    found.collections += one.collections
    found.memberships += [
        (path, model)
        for path, model in one.memberships
        if not _is_edited(registry.db, model, "set", "collections", row)
    ]
    return True


_LINE = """
SELECT line, coalesce(stamp, '') AS stamp, coalesce(entry, 0) AS entry
    FROM imports_waiting LEFT JOIN imports_read USING (key) WHERE key = ?
"""
_EDITED = """
SELECT 1 FROM facts
    WHERE item = :item AND :kind = 'fact' AND field = :field AND source = 'user' AND stamp > :stamp
    AND value <> 'null'
UNION ALL SELECT 1 FROM journal_steps s JOIN journal j ON j.id = s.entry
    WHERE s.item = :item AND s.kind = :kind AND s.name = :field AND j.id > :entry AND j.undone_by IS NULL AND NOT j.is_undo
"""


def _is_edited(db: sqlite3.Connection, item: str, kind: str, field: str, line: sqlite3.Row) -> bool:
    """Whether a person said something of a field since ``line`` was read, here or, of a fact, elsewhere."""
    wanted = {"item": item, "kind": kind, "field": field, "stamp": line["stamp"], "entry": line["entry"]}
    return db.execute(_EDITED, wanted).fetchone() is not None


def _keep_lost(db: sqlite3.Connection, change: Change, stamp: str) -> None:
    values = [msgspec.json.encode(value).decode() for value in (change.before, change.after)]
    sql = "INSERT INTO lost_edits (item, field, kept, lost, lost_stamp) VALUES (?, ?, ?, ?, ?)"
    db.execute(sql, (change.item, change.field, *values, stamp))
