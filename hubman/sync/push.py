"""Send what was done here: blobs, then batches, then the head, so that nothing visible points at something missing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec

from hubman.sync.care import marks
from hubman.sync.records import freeze, growth, layout
from hubman.sync.session import Session
from hubman.sync.storages.storage import Storage
from registry import clock, timestamps
from registry.errors import HubError

_REWRITE_HEAD = timedelta(hours=24)
"""How often a head is written merely to tell what was read: any sooner and devices would answer each other for ever."""


def freeze_outbox(session: Session) -> int:
    """Make batches of everything that waits; returns how many changes had to be left out."""
    refused = 0
    while True:
        with session.registry.transaction() as db:
            made = freeze.next_batch(db, session.repo, session.codec)
        if made is None:
            session.tell("frozen")
            return refused
        refused += made.refused


def send(session: Session, *, is_announced: bool) -> int:
    """Send the frozen batches and announce them; returns the number of changes in them.

    ``is_announced`` says that this device's head lies on the remote as it was written last. Interrupted anywhere,
    the next call goes on with the same bytes.
    """
    device = session.device
    rows = session.db.execute(
        "SELECT seq, name, body, changes FROM outbound WHERE remote = ? AND device = ? AND sent = 0 ORDER BY seq",
        (session.repo, device),
    ).fetchall()
    for number, row in enumerate(rows):
        session.stop_if_asked()
        session.tell("send", number, len(rows), "batches")
        _put_batch(session.storage, layout.log_prefix(device) + row["name"], row["body"])
    if rows or not is_announced or is_stale(session):
        _announce(session, device)
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


def is_stale(session: Session) -> bool:
    """Whether the head should be written to tell what was read since."""
    row = session.db.execute("SELECT head_at, acks FROM remotes WHERE repo = ?", (session.repo,)).fetchone()
    if session.deep and row["head_at"] and (there := marks.keys(session)):
        # Who deletes what nobody speaks of waits for a head that is newer than the mark.
        newest = clock.stamp_ms(layout.stamp_of(there[-1].removeprefix(layout.MARKS)))
        if newest >= timestamps.parse(row["head_at"]).timestamp() * 1000:
            return True
    if row["head_at"] and datetime.now(UTC) - timestamps.parse(row["head_at"]) < _REWRITE_HEAD:
        return False
    return bool(msgspec.json.decode(row["acks"]) != _acks(session, session.device))


def _announce(session: Session, device: str) -> None:
    db = session.db
    names = [
        row[0]
        for row in db.execute(
            "SELECT name FROM outbound WHERE remote = ? AND device = ? ORDER BY seq DESC LIMIT ?",
            (session.repo, device, layout.TAIL),
        )
    ]
    (last,) = db.execute("SELECT value FROM meta WHERE key = 'clock'").fetchone()
    head = layout.Head(
        v=layout.FORMAT,
        seq=layout.batch_seq(names[0]) or 0 if names else 0,
        tail=names[::-1],
        hlc=clock.at_least(int(last), device),
        acks=_acks(session, device),
    )
    session.tell("announce")
    key = layout.head_key(device)
    data = session.codec.seal(layout.encode(head), key)
    tag = session.storage.put(key, data) or layout.hash32(data)
    with session.registry.transaction():
        batches, size = db.execute(
            "SELECT count(*), coalesce(sum(length(body)), 0) FROM outbound "
            "WHERE remote = ? AND device = ? AND seq <= ? AND sent = 0",
            (session.repo, device, head.seq),
        ).fetchone()
        growth.note(db, session.repo, batches, size)
        db.execute(
            "UPDATE outbound SET sent = 1 WHERE remote = ? AND device = ? AND seq <= ? AND sent = 0",
            (session.repo, device, head.seq),
        )
        db.execute(
            "UPDATE remotes SET head_at = ?, acks = ? WHERE repo = ?",
            (timestamps.now(), msgspec.json.encode(head.acks).decode(), session.repo),
        )
        db.execute(
            "INSERT INTO cursors (remote, device, seq, head_tag) VALUES (?, ?, ?, ?) "
            "ON CONFLICT DO UPDATE SET seq = excluded.seq, head_tag = excluded.head_tag",
            (session.repo, device, head.seq, tag),
        )
    session.tell("announced")


def _acks(session: Session, device: str) -> dict[str, int]:
    rows = session.db.execute(
        "SELECT device, seq FROM cursors WHERE remote = ? AND device <> ? AND seq > 0 ORDER BY device LIMIT ?",
        (session.repo, device, layout.MAX_DEVICES),
    )
    return {row["device"]: row["seq"] for row in rows}
