"""Which blobs of a remote anybody still speaks of, as far as everything that was said is known here."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import msgspec

from hubman.sync import queue
from hubman.sync.session import Session
from registry import clock, timestamps
from registry.ids import HASHED

IN_TRASH = timedelta(days=30)
"""So long a model shows in the trash, and its files count."""

_HASH = re.compile(r"[0-9a-f]{64}")
# A file of several models, or of one that came back, counts as long as one of them does.
_FILES = f"""
SELECT f.sha256 FROM files f LEFT JOIN versions v ON v.id = f.version_id LEFT JOIN models m ON m.id = v.model_id
    WHERE {HASHED} AND (m.deleted_at IS NULL OR m.deleted_at > ?)
"""  # noqa: S608 - a name of ours
_PREVIEWS = "SELECT value FROM set_members WHERE name = 'previews'"
_WAITING = "SELECT sha256 FROM blob_queue WHERE remote = ? AND way = 'up'"
_COVERS = "SELECT value FROM facts WHERE field = 'cover'"


def blobs(session: Session) -> frozenset[str]:
    """The keys (:func:`hubman.sync.care.marks.base_of`) of all of them: files, of the trash too, pictures, what waits here."""
    return frozenset(
        session.codec.blob_key(f"blob/{sha256[:2]}/{sha256}") for sha256 in _hashes(session.db, session.repo)
    )


def _hashes(db: sqlite3.Connection, repo: str) -> Iterator[str]:
    since = timestamps.of(datetime.fromtimestamp(clock.wall_ms() / 1000, UTC) - IN_TRASH)
    for sql, arguments in ((_FILES, (since,)), (_PREVIEWS, ()), (_WAITING, (repo,))):
        yield from (row[0] for row in db.execute(sql, arguments) if _HASH.fullmatch(row[0]))
    for (value,) in db.execute(_COVERS):
        yield from _HASH.findall(value)
    for record_id, body in db.execute("SELECT id, body FROM records WHERE kind = 'run'"):
        yield from (blob.sha256 for blob in queue.blobs_of(["rec", "run", record_id, msgspec.json.decode(body)]))
    # What a newer hubman said is not understood here: whatever looks like a blob in it is left alone.
    for (body,) in db.execute("SELECT body FROM unknown_changes"):
        yield from _HASH.findall(body)
