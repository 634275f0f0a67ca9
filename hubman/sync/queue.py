"""Which blobs have to go up and come down: noted when a change that speaks of one is sent or received."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Literal

import msgspec

from hubman.sync.policies.policy import pinned
from registry import here, ids, timestamps
from registry.changes import Change
from registry.database import Registry
from registry.ids import HASHED

Way = Literal["up", "down"]
Kind = Literal["weights", "picture"]
is_here = here.is_here
RETRY = timedelta(minutes=10)
"""How long a blob that could not be moved is left alone, unless a deep sync asks for it."""


class Wanted(msgspec.Struct, frozen=True):
    """A blob that should move."""

    sha256: str
    kind: Kind


def blobs_of(change: Change) -> Iterator[Wanted]:
    """The blobs that a well-formed change speaks of."""
    if change[0] == "file":
        yield Wanted(change[1], "weights")
    elif change[0] == "have" and change[3] == "present":
        yield Wanted(change[2], "weights")
    elif change[0] == "rec" and change[1] == "preview":
        yield Wanted(change[2].partition("/")[2], "picture")
    elif change[0] == "rec" and change[1] == "run":
        yield from (Wanted(sha256, "picture") for sha256 in change[3].get("samples", []))


def brought_back(db: sqlite3.Connection, change: Change) -> Iterator[Wanted]:
    """The blobs of a model that a well-formed change takes out of the trash: the remote's may have been collected."""
    if change[0] == "set" and change[2] == "user.deleted_at" and change[3] is None:
        files = f"SELECT f.sha256 FROM versions v JOIN files f ON f.version_id = v.id WHERE v.model_id = ? AND {HASHED}"  # noqa: S608 - a name of ours
        yield from (Wanted(row[0], "weights") for row in db.execute(files, (change[1],)))


def add(db: sqlite3.Connection, repo: str, way: Way, wanted: Iterable[Wanted]) -> None:
    db.executemany(
        "INSERT OR IGNORE INTO blob_queue (remote, way, sha256, kind) VALUES (?, ?, ?, ?)",
        [(repo, way, blob.sha256, blob.kind) for blob in wanted],
    )


def ask(db: sqlite3.Connection, repo: str, wanted: Iterable[Wanted]) -> None:
    """Let these come down at the next download, even if they could not a moment ago."""
    db.executemany(
        "INSERT INTO blob_queue (remote, way, sha256, kind) VALUES (?, 'down', ?, ?) "
        "ON CONFLICT DO UPDATE SET retry_at = NULL, problem = NULL",
        [(repo, blob.sha256, blob.kind) for blob in wanted],
    )


def due(db: sqlite3.Connection, repo: str, way: Way, *, everything: bool = False) -> list[Wanted]:
    """What should be moved now: pictures first, then weights, the small ones first."""
    rows = db.execute(
        "SELECT q.sha256, q.kind FROM blob_queue q LEFT JOIN files f ON f.sha256 = q.sha256 "
        "WHERE q.remote = ? AND q.way = ? AND (? OR q.retry_at IS NULL OR q.retry_at <= ?) ORDER BY q.kind, f.size",
        (repo, way, everything, timestamps.now()),
    )
    return [Wanted(row[0], row[1]) for row in rows]


def is_spoken_of(db: sqlite3.Connection, sha256: str) -> bool:
    """Whether a model or a run shows this picture. The record of a picture stays when it is taken from its model."""
    sql = (
        "SELECT 1 FROM set_members WHERE name = 'previews' AND value = ?1 "
        "UNION ALL SELECT 1 FROM records WHERE kind = 'run' AND instr(body, ?1) LIMIT 1"
    )
    return db.execute(sql, (sha256,)).fetchone() is not None


def all_waiting(db: sqlite3.Connection, repo: str, way: Way) -> set[str]:
    """The hashes of what should move now or later."""
    return {row[0] for row in db.execute("SELECT sha256 FROM blob_queue WHERE remote = ? AND way = ?", (repo, way))}


def done(db: sqlite3.Connection, repo: str, way: Way, sha256: str) -> None:
    db.execute("DELETE FROM blob_queue WHERE remote = ? AND way = ? AND sha256 = ?", (repo, way, sha256))


def note_remote(db: sqlite3.Connection, repo: str, sha256: str, size: int) -> None:
    """All of a blob was seen on the remote just now; it is believed to be there for a while."""
    db.execute(
        "INSERT OR REPLACE INTO remote_blobs (remote, sha256, size, checked_at) VALUES (?, ?, ?, ?)",
        (repo, sha256, size, timestamps.now()),
    )


def later(db: sqlite3.Connection, repo: str, way: Way, sha256: str, problem: str) -> None:
    db.execute(
        "UPDATE blob_queue SET retry_at = ?, problem = ? WHERE remote = ? AND way = ? AND sha256 = ?",
        (timestamps.of(datetime.now(UTC) + RETRY), problem, repo, way, sha256),
    )


def want_pinned(registry: Registry, repo: str, device: str) -> None:
    """Note the pinned versions' weights that are not here. Call inside a transaction."""
    for version in sorted(pinned(registry.db, device)):
        rows = registry.db.execute(f"SELECT sha256 FROM files WHERE version_id = ? AND {HASHED}", (version,)).fetchall()  # noqa: S608 - a name of ours
        add(registry.db, repo, "down", [Wanted(row[0], "weights") for row in rows if not is_here(registry.db, row[0])])


def known_blobs(db: sqlite3.Connection) -> Iterator[Wanted]:
    """Every blob that the state speaks of."""
    yield from (Wanted(row[0], "weights") for row in db.execute(f"SELECT sha256 FROM files WHERE {HASHED}"))  # noqa: S608 - a name of ours
    for kind, record_id, body in db.execute("SELECT kind, id, body FROM records WHERE kind IN ('preview', 'run')"):
        if not ids.is_provisional(record_id):
            yield from blobs_of(["rec", kind, record_id, msgspec.json.decode(body)])
