"""What moves of files mean for the registry: places follow, and what lies in the trash is listed there."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from registry import changes, ids, places, projection, roots, sidecar_store, timestamps, trash_folder, unhashed
from registry.database import Registry
from registry.journal import Move
from registry.places import Seen
from registry.scan_write import held


@dataclass(frozen=True)
class _Content:
    """What is known of a file wherever it lies. ``sha256`` is None for what is no model."""

    sha256: str | None = None
    problem: str | None = None
    model: str | None = None
    verified_at: str | None = None


def note(registry: Registry, moves: Sequence[Move]) -> None:
    """Note moves that have been made. Call inside a transaction."""
    db = registry.db
    now = timestamps.now()
    touched: set[str] = set()
    moved: set[str] = set()
    owner: str | None = None
    for source, target in moves:
        sidecar_store.move(db, source, target)
        content = _leave(db, source)
        # What belongs to a model is moved after it.
        owner = content.model or owner
        if trash_folder.is_inside(target):
            size = os.lstat(target).st_size
            row = (target, source, content.sha256, content.problem, owner, size, now)
            db.execute("INSERT OR REPLACE INTO trashed VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        elif content.sha256 is not None:
            seen = places.seen_from(target, os.stat(target))  # noqa: PTH116 - paths stay texts here
            touched |= lay(registry, seen, content.sha256, content.problem, content.verified_at)
        if content.sha256 is not None:
            moved.add(content.sha256)
    for sha256 in sorted(moved):
        changes.record(db, held(db, sha256))
    projection.rebuild(db, {*touched, *(ids.item_id(sha256) for sha256 in moved)})


def lay(registry: Registry, seen: Seen, sha256: str, problem: str | None, verified_at: str | None) -> set[str]:
    """Note that a known content lies at ``seen`` now; returns the items to be rebuilt. Call inside a transaction.

    ``sha256`` may be a provisional name. What else was listed there meanwhile is that content.
    """
    db = registry.db
    touched = unhashed.make_way(db, seen.path, sha256)
    root = roots.covering_root(registry, Path(seen.path)) or Path(seen.path).parent
    at = timestamps.now()
    places.put(db, seen, root=str(root), sha256=sha256, problem=problem, at=at, verified_at=verified_at)
    changes.record(db, held(db, sha256))
    return {*touched, ids.item_id(sha256)}


def _leave(db: sqlite3.Connection, source: str) -> _Content:
    """Forget that a file lies at ``source``; returns what is known of it."""
    if trash_folder.is_inside(source):
        row = db.execute("DELETE FROM trashed WHERE path = ? RETURNING sha256, problem, model", (source,)).fetchone()
        return _Content(*row) if row else _Content()
    place = places.known_at(db, source)
    if place is None or place.sha256 is None:
        return _Content()
    places.forget(db, source)
    sql = "SELECT v.model_id FROM files f JOIN versions v ON v.id = f.version_id WHERE f.sha256 = ?"
    row = db.execute(sql, (place.sha256,)).fetchone()
    return _Content(place.sha256, place.problem, row[0] if row else None, place.verified_at)
