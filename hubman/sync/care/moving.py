"""Move a remote to another place, and follow one that was moved."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping

import msgspec

from hubman.progress import Report, never, silent
from hubman.sync import outgoing, queue, remotes
from hubman.sync.care import devices
from hubman.sync.care.asks import item
from hubman.sync.care.copying import Copied, Copier, need_whole
from hubman.sync.opening import opened
from hubman.sync.records import layout
from hubman.sync.remote import Remote
from hubman.sync.session import Session
from hubman.sync.storages.storage import Storage, StorageError, open_storage
from registry import changes, clock, timestamps
from registry.database import Registry
from registry.errors import HubError, UsageError

_MOVED = "moved_to"


def migrate(
    registry: Registry,
    name: str,
    location: str,
    *,
    options: Mapping[str, str] | None = None,
    report: Report = silent,
    should_stop: Callable[[], bool] = never,
    target: Storage | None = None,
) -> Copied:
    """Copy the remote to an empty place, tell the other machines, and use it there from now on.

    What lies at the old place stays. Stopped anywhere, the same call goes on. Raises :class:`UsageError` for a place
    that can't be one and :class:`HubError` for one that holds other things or when either can't be reached.
    """
    with opened(registry, name, report=report, should_stop=should_stop) as session:
        remote = session.remote
        if remote.is_read_only:
            raise UsageError(f"{remote.name} is only read by this machine", "migrate it where it is written")
        kind, place = remotes.place_of(registry, location, options or {})
        if place == remote.location:
            raise UsageError(f"{remote.name} lies at {place} already", "name another place")
        hub = remotes.check_is_same(session.storage, remote)
        there = target or open_storage(kind, place, options or {})
        copier = Copier(session, there)
        try:
            is_new = _need_free(session, there, copier, place)
            copied = _copy(copier, with_heads=is_new)
            there.create(layout.HUB, layout.encode(hub))
            _tell(session, place)
            rest = _copy(copier, with_heads=False)
            there.put(layout.head_key(session.device), _own_head(session))
        finally:
            copier.close()
        point_to(session, kind, place, options or {})
    return Copied(objects=copied.objects + rest.objects, bytes=copied.bytes + rest.bytes)


def follow(registry: Registry, name: str, location: str, *, options: Mapping[str, str] | None = None) -> None:
    """Use a remote at the place where it lies now: it was moved, or is mounted elsewhere.

    What this machine had sent to the old place and nobody copied goes there too. Raises :class:`HubError` when the
    place holds another remote, or can't be reached.
    """
    with opened(registry, name) as session:
        read_only = session.remote.is_read_only
        kind, place = remotes.place_of(registry, location, options or {}, read_only=read_only)
        there = open_storage(kind, place, options or {})
        remotes.check_is_same(there, msgspec.structs.replace(session.remote, location=place))
        if not read_only:
            _take_along(session, there)
        point_to(session, kind, place, options or {})


class Moved(msgspec.Struct, frozen=True):
    """Another machine moved the remote to ``place``, as it says: nobody goes there unasked. ``by`` is its name."""

    by: str
    place: str


def moved(db: sqlite3.Connection, remote: Remote) -> Moved | None:
    """Where a remote was moved to, unless this machine moved or followed it since that was said."""
    row = db.execute(
        "SELECT value, stamp FROM facts WHERE item = ? AND field = ? AND source = 'user'", (item(remote.repo), _MOVED)
    ).fetchone()
    if row is None or clock.device_of(row["stamp"]) == clock.device_id(db):
        return None
    if clock.stamp_ms(row["stamp"]) <= timestamps.parse(remote.added_at).timestamp() * 1000:
        return None
    return Moved(devices.name_of(db, clock.device_of(row["stamp"])), str(msgspec.json.decode(row["value"])))


def moved_to(session: Session) -> str | None:
    """:func:`moved` as a line."""
    (added_at,) = session.db.execute("SELECT added_at FROM remotes WHERE repo = ?", (session.repo,)).fetchone()
    remote = msgspec.structs.replace(session.remote, added_at=added_at)
    found, name = moved(session.db, remote), remote.name
    if found is None:
        return None
    return f"{found.by} moved {name} to {found.place}: hubman remote add {name} PLACE follows it there"


def point_to(session: Session, kind: str, place: str, options: Mapping[str, str]) -> None:
    """Use the remote at ``place`` from now on; every head is read again."""
    kept = {"read_only": "yes"} if session.remote.is_read_only else {}
    settings = msgspec.json.encode({**options, **kept}).decode()
    with session.registry.transaction() as db:
        db.execute(
            "UPDATE remotes SET kind = ?, location = ?, options = ?, capabilities = '{}', added_at = ? WHERE repo = ?",
            (kind, place, settings, timestamps.now(), session.repo),
        )
        db.execute("UPDATE cursors SET head_tag = NULL WHERE remote = ?", (session.repo,))


def _need_free(session: Session, there: Storage, copier: Copier, place: str) -> bool:
    """True for a place that is no remote yet; False for this remote, on the way there.

    Raises :class:`HubError` for a place that holds anything else.
    """
    found = there.get(layout.HUB, layout.HUB_CAP)
    if found is not None:
        remotes.check_is_same(there, msgspec.structs.replace(session.remote, location=place))
        return False
    if strange := copier.strange():
        raise HubError(f"{place} holds other things ({strange})", "choose an empty place")
    remotes.need_empty(there, place, layout.FOLDERS)
    remotes.prepare(there)
    return True


def _copy(copier: Copier, *, with_heads: bool) -> Copied:
    """Until a look finds nothing new: others may sync meanwhile."""
    total = Copied()
    while True:
        copied = copier.copy(with_heads=with_heads)
        need_whole(copied)
        total = Copied(objects=total.objects + copied.objects, bytes=total.bytes + copied.bytes)
        if with_heads or copied.objects == 0:
            # Heads are copied once, with what they name.
            return total


def _tell(session: Session, place: str) -> None:
    """Say on the old place where the remote is now, with all that waits to be sent."""
    with session.registry.transaction() as db:
        changes.record(db, [changes.set_field(db, item(session.repo), "user", _MOVED, place)])
    outgoing.send(session, is_announced=True, warnings=[])


def _own_head(session: Session) -> bytes:
    key = layout.head_key(session.device)
    found = session.storage.get(key, session.codec.cap(layout.HEAD_CAP))
    if found is None:
        raise HubError(f"{key} is not on the remote", f"hubman sync {session.remote.name}, then migrate")
    return found.data


def _take_along(session: Session, there: Storage) -> None:
    """Copy what came to the old place after it was left; where that is gone, what is here goes out again."""
    copier = Copier(session, there)
    try:
        remotes.check_is_same(session.storage, session.remote)
        need_whole(copier.copy(with_heads=False))
    except StorageError:
        _send_again(session)
    except HubError:
        # It holds no remote any more, or a damaged one.
        _send_again(session)
    finally:
        copier.close()


def _send_again(session: Session) -> None:
    with session.registry.transaction() as db:
        db.execute(
            "UPDATE outbound SET sent = 0 WHERE remote = ? AND device = ? AND sent = 1", (session.repo, session.device)
        )
        db.execute("DELETE FROM remote_blobs WHERE remote = ?", (session.repo,))
        queue.add(db, session.repo, "up", queue.known_blobs(db))
