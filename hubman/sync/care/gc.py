"""Remove blobs that nobody speaks of any more, in two steps a month apart, while others go on syncing.

First they are written down (:mod:`hubman.sync.care.marks`). What is written down for 30 days is deleted if still nobody
speaks of it and every machine that is in use has told, by a head that is newer than the mark, all that it knew then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import msgspec

from hubman.progress import Report, never, silent
from hubman.sync import pull, remotes
from hubman.sync.care import devices, marks, referenced
from hubman.sync.opening import opened
from hubman.sync.records import layout
from hubman.sync.session import Session
from hubman.sync.storages.storage import Storage
from registry import clock
from registry.database import Registry
from registry.errors import HubError

DAY_MS = 24 * 3600 * 1000
WAIT_MS = 30 * DAY_MS
SEEN_MS = 180 * DAY_MS
"""A device that was not heard of for so long is not waited for."""

_AT_ONCE = 100
"""Blobs that are deleted between two looks at what is spoken of."""


class Collected(msgspec.Struct, frozen=True, kw_only=True):
    """What a run did, or would do without ``applied``. Sizes in bytes."""

    applied: bool
    deleted: int = 0
    """Blobs."""
    deleted_bytes: int = 0
    marked: int = 0
    """Blobs that nobody speaks of and that no list had: they may go in 30 days."""
    marked_bytes: int = 0
    waiting: int = 0
    """Blobs whose 30 days are not over, or that some machine has not told of yet."""
    waits_for: tuple[str, ...] = ()
    """Machines whose heads are older than a mark of 30 days."""


def gc(
    registry: Registry,
    remote_name: str = "",
    *,
    apply: bool = False,
    report: Report = silent,
    should_stop: Callable[[], bool] = never,
    storage: Storage | None = None,
) -> Collected:
    """Look for blobs that nobody speaks of; with ``apply`` write them down and delete those whose time is over.

    Raises :class:`HubError` while something that others wrote has not been read here: it may speak of any blob.
    """
    with opened(registry, remote_name, report=report, should_stop=should_stop, storage=storage) as session:
        session.tell("look")
        (remotes.need_writable if apply else remotes.check_is_same)(session.storage, session.remote)
        heads = _heads(session)
        found = _unreferenced(session)
        known = marks.read(session)
        ripe, waits_for = _ripe(session, known, heads)
        marked = frozenset[str]().union(*(mark.blobs for mark in known))
        doomed = sorted(found.keys() & frozenset[str]().union(*(mark.blobs for mark in ripe)))
        fresh = sorted(found.keys() - marked)
        if apply:
            doomed = _delete(session, found, doomed)
            for mark in ripe:
                session.storage.delete(mark.key)
            marks.write(session, fresh)
        return Collected(
            applied=apply,
            deleted=len(doomed),
            deleted_bytes=_bytes(found, doomed),
            marked=len(fresh),
            marked_bytes=_bytes(found, fresh),
            waiting=len((found.keys() & marked) - set(doomed)),
            waits_for=waits_for,
        )


_Objects = dict[str, list[tuple[str, int]]]
"""Blob to the (key, size) of its objects."""


def _heads(session: Session) -> dict[str, layout.Head]:
    """The head of every device. Raises :class:`HubError` unless all that they name was read here."""
    found: dict[str, layout.Head] = {}
    for entry in session.storage.entries(layout.HEADS):
        device = layout.head_device(entry.key)
        if device is None:
            continue
        read = pull.read_head(session, entry.key, device)
        head = read.head if read else None
        reached = session.db.execute(
            "SELECT seq FROM cursors WHERE remote = ? AND device = ?", (session.repo, device)
        ).fetchone()
        if head is None or head.seq > (reached[0] if reached else 0):
            raise HubError(
                f"{devices.name_of(session.db, device)} has said things that were not read here",
                f"hubman sync {session.remote.name}",
            )
        found[device] = head
    return found


def _unreferenced(session: Session) -> _Objects:
    spoken_of = referenced.blobs(session)
    found: _Objects = {}
    for entry in session.storage.entries(layout.BLOBS):
        blob = marks.base_of(entry.key)
        if layout.is_known(entry.key) and blob not in spoken_of:
            found.setdefault(blob, []).append((entry.key, entry.size))
    return found


def _ripe(
    session: Session, known: Sequence[marks.Mark], heads: dict[str, layout.Head]
) -> tuple[list[marks.Mark], tuple[str, ...]]:
    """The marks by which may be deleted now, and the machines because of which others may not."""
    now = clock.wall_ms()
    gone = devices.retired(session.db)
    # A head that was lost is written anew when its machine syncs, which may speak of anything then.
    sql = "SELECT device, hlc FROM heads_seen WHERE remote = ?"
    stamps = dict(session.db.execute(sql, (session.repo,)).fetchall()) | {one: head.hlc for one, head in heads.items()}
    in_use = {
        device: stamp
        for device, stamp in stamps.items()
        if device not in gone and clock.stamp_ms(stamp) > now - SEEN_MS
    }
    ripe: list[marks.Mark] = []
    behind: set[str] = set()
    for mark in known:
        if clock.stamp_ms(mark.stamp) > now - WAIT_MS:
            continue
        silent_ones = {device for device, stamp in in_use.items() if stamp <= mark.stamp}
        behind |= silent_ones
        ripe += [] if silent_ones else [mark]
    return ripe, tuple(sorted(devices.name_of(session.db, device) for device in behind))


def _delete(session: Session, found: _Objects, blobs: Sequence[str]) -> list[str]:
    """Delete ``blobs``, and return those that it did: somebody may speak of one since, elsewhere or on this machine."""
    deleted: list[str] = []
    try:
        for number, some in enumerate(_portions(blobs)):
            session.stop_if_asked()
            session.tell("delete", number * _AT_ONCE, len(blobs), "blobs")
            _heads(session)
            spoken_of = referenced.blobs(session)
            for blob in some:
                if blob not in spoken_of:
                    deleted.append(blob)
                    for key, _ in found[blob]:
                        session.storage.delete(key)
    finally:
        _forget(session, frozenset(deleted))
    return deleted


def _forget(session: Session, deleted: frozenset[str]) -> None:
    """What was seen on the remote is not there any more."""
    known = session.db.execute("SELECT sha256 FROM remote_blobs WHERE remote = ?", (session.repo,)).fetchall()
    gone = [row[0] for row in known if session.codec.blob_key(f"{layout.BLOBS}{row[0][:2]}/{row[0]}") in deleted]
    with session.registry.transaction() as db:
        sql = "DELETE FROM remote_blobs WHERE remote = ? AND sha256 = ?"
        db.executemany(sql, [(session.repo, sha256) for sha256 in gone])


def _portions(blobs: Sequence[str]) -> Iterator[list[str]]:
    rest = iter(blobs)
    while some := list(islice(rest, _AT_ONCE)):
        yield some


def _bytes(found: _Objects, blobs: Sequence[str]) -> int:
    return sum(size for blob in blobs for _, size in found[blob])
