"""Is this database still the only one that writes under its device id?

A database that was restored from a backup, or copied, shares its id with what wrote the rest of that log. Its head
on the remote then names batches that it does not know, and it goes on under a new id.
"""

from __future__ import annotations

import sqlite3

from hubman.sync.care import devices
from hubman.sync.policies.policy import PINS, introduce_as, pinned
from hubman.sync.records import batches, layout
from hubman.sync.records.batches import PACKED_CAP
from hubman.sync.records.freeze import number_next
from hubman.sync.remote import all_remotes
from hubman.sync.secrecy.codec import Codec
from hubman.sync.secrecy.codecs import codec_of
from hubman.sync.session import Session
from registry import changes, clock, ids
from registry.changes import Change


def settle(session: Session, head: layout.Head) -> bool:
    """Compare this device's head with what was sent from here; True if a new device id had to be made.


    Nothing is lost: what waits is sent under the new id, and the old id's log is read like any other device's.
    """
    if head.seq == 0:
        return False
    with session.registry.transaction() as db:
        device = session.device
        own = _own_names(db, session.repo, device, head)
        if head.seq not in own or any(own.get(seq, name) != name for seq, name in _named(head).items()):
            _split(db, session, device, _named(head), own)
            return True
        _take_back(db, session, head)
        confirm(session)
        return False


def settle_log(session: Session) -> bool:
    """As :func:`settle`, by everything that lies in this device's log: of two copies that both wrote there, one may find
    its own head again, as a program that carries files between folders keeps one of the two.
    """
    device = session.device
    prefix = layout.log_prefix(device)
    keys = [entry.key for entry in session.storage.entries(prefix) if layout.is_known(entry.key)]
    sql = "SELECT seq, name FROM outbound WHERE remote = ? AND device = ?"
    own = {row["seq"]: row["name"] for row in session.db.execute(sql, (session.repo, device))}
    strange = set(keys) - {prefix + name for name in own.values()}
    if not any(_is_whole(session, key) for key in strange):
        return False
    with session.registry.transaction() as db:
        _split(db, session, device, own, own)
    return True


def _is_whole(session: Session, key: str) -> bool:
    """Whether it is a batch, and not what a bad disk or somebody else left."""
    found = session.storage.get(key, session.codec.cap(PACKED_CAP))
    if found is None or not layout.is_intact(key, found.data):
        return False
    label = layout.batch_label(session.device, layout.batch_seq(key.rpartition("/")[2]) or 0)
    try:
        batches.decode(session.codec.open(found.data, PACKED_CAP, label))
    except layout.UnreadableError:
        return False
    return True


def _take_back(db: sqlite3.Connection, session: Session, head: layout.Head) -> None:
    """What was announced here after this head goes out again: the place was restored, or a copy of an older one."""
    db.execute(
        "UPDATE outbound SET sent = 0 WHERE remote = ? AND device = ? AND seq > ? AND sent = 1",
        (session.repo, session.device, head.seq),
    )


def confirm(session: Session) -> None:
    """Forget the bytes of announced batches, which the head still names."""
    with session.registry.transaction() as db:
        db.execute(
            "UPDATE outbound SET sent = 2, body = x'' WHERE remote = ? AND device = ? AND sent = 1",
            (session.repo, session.device),
        )


def _own_names(db: sqlite3.Connection, repo: str, device: str, head: layout.Head) -> dict[int, str]:
    """What was sent from here, as far back as the head tells."""
    rows = db.execute(
        "SELECT seq, name FROM outbound WHERE remote = ? AND device = ? AND seq > ?",
        (repo, device, head.seq - len(head.tail)),
    )
    return {row["seq"]: row["name"] for row in rows}


def _named(head: layout.Head) -> dict[int, str]:
    return dict(zip(range(head.seq - len(head.tail) + 1, head.seq + 1), head.tail, strict=True))


def _split(db: sqlite3.Connection, session: Session, old: str, named: dict[int, str], own: dict[int, str]) -> None:
    """Become a new device: take along what the old one's log does not have, and read the old one as a stranger.

    ``named``: what the log has under which number, and ``own`` what was sent from here.
    """
    new = ids.new_device_id()
    db.execute("UPDATE meta SET value = ? WHERE key = 'device'", (new,))
    sql = "INSERT INTO devices (id, name, policy) SELECT ?, ?, policy FROM devices WHERE id = ?"
    db.execute(sql, (new, devices.name_of(db, old), old))
    foreign = min((seq for seq, name in own.items() if named.get(seq, name) != name), default=1 << 62)
    # From the first batch that the log has differently, ours were never announced: they go out again, under the new id.
    db.execute(
        "UPDATE outbound SET sent = 0 WHERE remote = ? AND device = ? AND seq >= ? AND sent = 1",
        (session.repo, old, foreign),
    )
    for (repo,) in db.execute("SELECT DISTINCT remote FROM outbound WHERE device = ?", (old,)).fetchall():
        if (codec := _codec_of(session, repo)) is not None:
            _move_unsent(db, repo, old, new, codec)
        _read_as_stranger(db, repo, old, foreign if repo == session.repo else 1 << 62)
    db.execute("UPDATE remotes SET head_at = NULL")
    introduce_as(db, new)
    held = db.execute("SELECT sha256, state FROM holdings WHERE device = ?", (old,)).fetchall()
    made: list[Change] = [["have", new, row["sha256"], row["state"], clock.tick(db)] for row in held]
    made += [changes.add_to_set(db, new, PINS, version) for version in sorted(pinned(db, old))]
    changes.record(db, made)


def _codec_of(session: Session, repo: str) -> Codec | None:
    """None for a remote that was forgotten: adding it again sends everything anyway."""
    if repo == session.repo:
        return session.codec
    return next((codec_of(session.registry, one) for one in all_remotes(session.registry) if one.repo == repo), None)


def _move_unsent(db: sqlite3.Connection, repo: str, old: str, new: str, codec: Codec) -> None:
    rows = db.execute(
        "SELECT seq, body FROM outbound WHERE remote = ? AND device = ? AND sent = 0 ORDER BY seq", (repo, old)
    ).fetchall()
    for row in rows:
        seq = number_next(db, repo, new)
        packed = codec.open(row["body"], PACKED_CAP, layout.batch_label(old, row["seq"]))
        body = codec.seal(packed, layout.batch_label(new, seq))
        db.execute(
            "UPDATE outbound SET device = ?, seq = ?, name = ?, body = ? WHERE remote = ? AND device = ? AND seq = ?",
            (new, seq, layout.batch_name(seq, body), body, repo, old, row["seq"]),
        )


def _read_as_stranger(db: sqlite3.Connection, repo: str, old: str, before: int) -> None:
    """Start reading the old id's log behind the batches that this database wrote itself."""
    rows = db.execute(
        "SELECT seq, name FROM outbound WHERE remote = ? AND device = ? AND seq < ?", (repo, old, before)
    ).fetchall()
    reached = max((row["seq"] for row in rows), default=0)
    db.execute("INSERT OR REPLACE INTO cursors (remote, device, seq) VALUES (?, ?, ?)", (repo, old, reached))
    db.executemany("INSERT OR IGNORE INTO received VALUES (?, ?, ?)", [(repo, old, row["name"]) for row in rows])
