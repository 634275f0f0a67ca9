"""Turn what waits in the outbox into numbered batches whose bytes never change again.

A retry after any crash sends the same bytes under the same name, so the number of a batch always means one content.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import msgspec

from hubman.sync import queue
from hubman.sync.records import batches, incoming, layout, state
from hubman.sync.secrecy.codec import PLAIN, Codec
from registry import clock


class Frozen(msgspec.Struct, frozen=True):
    """A batch was made: changes in it, and those left out because no reader would take them."""

    changes: int
    refused: int


def everything(db: sqlite3.Connection, repo: str, codec: Codec = PLAIN) -> None:
    """Freeze the whole state for a remote that was just added. Call inside a transaction."""
    portion: list[str] = []
    size = 0
    for line in state.lines(db):
        if not batches.is_sendable(line):
            continue
        if portion and (len(portion) == batches.MAX_CHANGES or size + len(line) > batches.MAX_BYTES):
            _store(db, repo, portion, codec)
            portion, size = [], 0
        portion.append(line)
        size += len(line)
    if portion:
        _store(db, repo, portion, codec)
    _move_pointer(db, repo, _newest(db))


def next_batch(db: sqlite3.Connection, repo: str, codec: Codec = PLAIN) -> Frozen | None:
    """Freeze the next batch of the outbox and note its blobs as wanted up; None when nothing waits.

    Call inside a transaction.
    """
    (start,) = db.execute("SELECT frozen_to FROM remotes WHERE repo = ?", (repo,)).fetchone()
    taken: list[str] = []
    refused = size = 0
    last = start
    for number, line in _waiting(db, repo, start):
        if taken and size + len(line) > batches.MAX_BYTES:
            break
        last = number
        if batches.is_sendable(line):
            taken.append(line)
            size += len(line)
        else:
            refused += 1
    else:
        # Nothing was left behind, so the pointer also passes what came from this remote.
        last = max(last, _newest(db)) if len(taken) + refused < batches.MAX_CHANGES else last
    if taken:
        queue.add(db, repo, "up", [blob for line in taken for blob in _blobs(db, line)])
        _store(db, repo, taken, codec)
    if last > start:
        _move_pointer(db, repo, last)
    return Frozen(len(taken), refused) if taken or refused else None


def pass_over(db: sqlite3.Connection, repo: str) -> None:
    """Take all that waits as not meant for a remote that is only read. Call inside a transaction."""
    _move_pointer(db, repo, _newest(db))


def is_waiting(db: sqlite3.Connection, repo: str) -> bool:
    """Whether anything in the outbox has to be frozen for this remote."""
    sql = (
        "SELECT 1 FROM outbox WHERE id > (SELECT frozen_to FROM remotes WHERE repo = ?) "
        "AND (origin IS NULL OR origin <> ?) LIMIT 1"
    )
    return db.execute(sql, (repo, repo)).fetchone() is not None


def drop_delivered(db: sqlite3.Connection) -> None:
    """Forget the part of the outbox that is frozen for every remote. Call inside a transaction."""
    db.execute(
        "DELETE FROM outbox WHERE NOT EXISTS (SELECT 1 FROM remotes) OR id <= (SELECT min(frozen_to) FROM remotes)"
    )


def number_next(db: sqlite3.Connection, repo: str, device: str) -> int:
    """The number of the next batch that ``device`` makes for this remote."""
    (newest,) = db.execute("SELECT max(seq) FROM outbound WHERE remote = ? AND device = ?", (repo, device)).fetchone()
    return 1 if newest is None else int(newest) + 1


def _waiting(db: sqlite3.Connection, repo: str, start: int) -> Iterator[tuple[int, str]]:
    rows = db.execute(
        "SELECT id, change FROM outbox WHERE id > ? AND (origin IS NULL OR origin <> ?) ORDER BY id LIMIT ?",
        (start, repo, batches.MAX_CHANGES),
    )
    yield from rows.fetchall()


def _blobs(db: sqlite3.Connection, line: str) -> list[queue.Wanted]:
    change = msgspec.json.decode(line)
    return [*queue.blobs_of(change), *queue.brought_back(db, change)] if incoming.is_sound(change) else []


def _store(db: sqlite3.Connection, repo: str, lines: list[str], codec: Codec) -> None:
    device = clock.device_id(db)
    seq = number_next(db, repo, device)
    body = codec.seal(batches.encode(lines), layout.batch_label(device, seq))
    db.execute(
        "INSERT INTO outbound (remote, device, seq, name, body, changes) VALUES (?, ?, ?, ?, ?, ?)",
        (repo, device, seq, layout.batch_name(seq, body), body, len(lines)),
    )


def _newest(db: sqlite3.Connection) -> int:
    (newest,) = db.execute("SELECT max(id) FROM outbox").fetchone()
    return int(newest or 0)


def _move_pointer(db: sqlite3.Connection, repo: str, to: int) -> None:
    db.execute("UPDATE remotes SET frozen_to = max(frozen_to, ?) WHERE repo = ?", (to, repo))
    drop_delivered(db)
