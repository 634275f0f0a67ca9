"""Send what was done here: blobs, then batches, then the head, so that nothing visible points at something missing."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import msgspec

from hubman.progress import Progress, Report
from hubman.sync import freeze, layout
from hubman.sync.remote import Remote
from hubman.sync.storage import Storage
from registry import clock, timestamps
from registry.database import Registry
from registry.errors import HubError

_REWRITE_HEAD = timedelta(hours=24)
"""How often a head is written merely to tell what was read: any sooner and devices would answer each other for ever."""


class Pushed(msgspec.Struct, frozen=True):
    """Changes that were announced in this device's head, and those that no reader would take."""

    changes: int = 0
    refused: int = 0


def freeze_outbox(registry: Registry, remote: Remote) -> int:
    """Make batches of everything that waits; returns how many changes had to be left out."""
    refused = 0
    while True:
        with registry.transaction() as db:
            made = freeze.next_batch(db, remote.repo)
        if made is None:
            return refused
        refused += made.refused


def send(
    registry: Registry, remote: Remote, storage: Storage, head: layout.Head | None, *, report: Report, stop: Callable[[], None]
) -> int:
    """Send the frozen batches and announce them; returns the number of changes in them.

    ``head`` is this device's head as it lies on the remote, None when there is none. Interrupted anywhere, the next
    call goes on with the same bytes.
    """
    db = registry.db
    device = clock.device_id(db)
    rows = db.execute(
        "SELECT seq, name, body, changes FROM outbound WHERE remote = ? AND device = ? AND sent = 0 ORDER BY seq",
        (remote.repo, device),
    ).fetchall()
    for number, row in enumerate(rows):
        stop()
        report(Progress(stage="send", done=number, total=len(rows), unit="batches"))
        _put_batch(storage, layout.log_prefix(device) + row["name"], row["body"])
    if rows or _needs_head(db, remote, device, head):
        _announce(registry, remote, storage, device, report)
    return sum(row["changes"] for row in rows)


def _put_batch(storage: Storage, key: str, body: bytes) -> None:
    if storage.create(key, body):
        return
    there = storage.get(key, max(len(body), 1) + layout.HEAD_CAP)
    if there is None or there.data != body:
        # The name holds the hash of the right bytes, so what lies there is a torn copy.
        storage.put(key, body)
        there = storage.get(key, len(body))
        if there is None or there.data != body:
            raise HubError(f"{key} does not stay as it was written", "check the remote's disk")


def _needs_head(db: sqlite3.Connection, remote: Remote, device: str, head: layout.Head | None) -> bool:
    (newest,) = db.execute(
        "SELECT max(seq) FROM outbound WHERE remote = ? AND device = ?", (remote.repo, device)
    ).fetchone()
    if head is None or head.seq < (newest or 0):
        return True
    if remote.head_at and datetime.now(UTC) - timestamps.parse(remote.head_at) < _REWRITE_HEAD:
        return False
    return head.acks != _acks(db, remote, device)


def _announce(registry: Registry, remote: Remote, storage: Storage, device: str, report: Report) -> None:
    db = registry.db
    names = [
        row[0]
        for row in db.execute(
            "SELECT name FROM outbound WHERE remote = ? AND device = ? ORDER BY seq DESC LIMIT ?",
            (remote.repo, device, layout.TAIL),
        )
    ]
    (last,) = db.execute("SELECT value FROM meta WHERE key = 'clock'").fetchone()
    head = layout.Head(
        v=layout.FORMAT,
        seq=layout.batch_seq(names[0]) or 0 if names else 0,
        tail=names[::-1],
        hlc=f"{int(last):016x}-{device}",
        acks=_acks(db, remote, device),
    )
    report(Progress(stage="announce"))
    data = layout.encode(head)
    tag = storage.put(layout.head_key(device), data) or layout.hash32(data)
    with registry.transaction():
        db.execute(
            "UPDATE outbound SET sent = 1 WHERE remote = ? AND device = ? AND seq <= ? AND sent = 0",
            (remote.repo, device, head.seq),
        )
        db.execute("UPDATE remotes SET head_at = ? WHERE repo = ?", (timestamps.now(), remote.repo))
        db.execute(
            "INSERT INTO cursors (remote, device, seq, head_tag) VALUES (?, ?, ?, ?) "
            "ON CONFLICT DO UPDATE SET seq = excluded.seq, head_tag = excluded.head_tag",
            (remote.repo, device, head.seq, tag),
        )
    report(Progress(stage="announced"))


def _acks(db: sqlite3.Connection, remote: Remote, device: str) -> dict[str, int]:
    rows = db.execute(
        "SELECT device, seq FROM cursors WHERE remote = ? AND device <> ? AND seq > 0 ORDER BY device LIMIT ?",
        (remote.repo, device, layout.MAX_DEVICES),
    )
    return {row["device"]: row["seq"] for row in rows}
