"""The snapshots of a remote: read by who is new or was away for long, written by who sees the logs grow."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Mapping

import msgspec

from hubman.sync import remotes
from hubman.sync.merge import Merged, Merger
from hubman.sync.records import growth, layout, snapshot
from hubman.sync.session import Session
from hubman.sync.storages.storage import Entry
from registry import clock, timestamps
from registry.errors import CancelledError, HubError

KEEP = 3
OLD_MS = 7 * 24 * 3600 * 1000
"""A snapshot so old has been seen by machines that are used at all; two such make batches dispensable."""

_TRIES = 8
"""Snapshots that are looked at for one sync, the newest first."""


def listed(session: Session) -> list[Entry]:
    """The newest first."""
    found = [entry for entry in session.storage.entries(layout.SNAPSHOTS) if layout.is_known(entry.key)]
    return sorted(found, key=lambda entry: entry.key, reverse=True)


def is_old(entry: Entry) -> bool:
    return clock.stamp_ms(layout.stamp_of(entry.key.removeprefix(layout.SNAPSHOTS))) < clock.wall_ms() - OLD_MS


class CatchUp:
    """Brings logs forward by a snapshot, where batches are gone or too many. Each snapshot is tried once in a sync."""

    def __init__(self, session: Session, merger: Merger) -> None:
        self._session, self._merger = session, merger
        self._waiting: list[Entry] | None = None
        self._covers: dict[str, dict[str, int]] = {}
        self.problems: list[str] = []

    def over(self, ends: Mapping[str, int], device: str) -> Merged | None:
        """Apply the newest snapshot that has more of ``device`` than was read; None where there is none.

        ``ends`` has how far each log is known to go: a snapshot that claims more does not belong to these logs, or came
        before the heads.
        """
        if self._waiting is None:
            self._waiting = listed(self._session)[:_TRIES]
        for entry in list(self._waiting):
            # One that has nothing new of this log may have what another one lacks.
            if entry.key in self._covers and not self._helps(self._covers[entry.key], ends, device):
                continue
            try:
                with snapshot.fetched(self._session, entry) as found:
                    self._covers[entry.key] = found.covers
                    if not self._helps(found.covers, ends, device):
                        continue
                    self._waiting.remove(entry)
                    merged = self._merger.apply_snapshot(found.covers, found.portions())
                    note_verified(self._session, entry, found.covers)
                    return merged
            except CancelledError:
                raise
            except HubError as error:
                self._waiting = [one for one in self._waiting if one != entry]
                self.problems.append(str(error))
        return None

    def _helps(self, covers: Mapping[str, int], ends: Mapping[str, int], device: str) -> bool:
        reached = reads(self._session.db, self._session.repo)
        if any(seq > max(ends.get(one, seq), reached.get(one, 0)) for one, seq in covers.items()):
            return False
        return covers.get(device, 0) > reached.get(device, 0)


def reads(db: sqlite3.Connection, repo: str) -> dict[str, int]:
    """How far each device's log was read."""
    return dict(db.execute("SELECT device, seq FROM cursors WHERE remote = ?", (repo,)).fetchall())


def note_verified(session: Session, entry: Entry, covers: Mapping[str, int]) -> None:
    with session.registry.transaction() as db:
        db.execute(
            "INSERT OR REPLACE INTO snapshots (remote, name, covers, verified_at) VALUES (?, ?, ?, ?)",
            (session.repo, entry.key, msgspec.json.encode(covers).decode(), timestamps.now()),
        )


def verified(session: Session, entry: Entry) -> dict[str, int] | None:
    """What a snapshot covers if it is whole: read to its end now, or before."""
    sql = "SELECT covers FROM snapshots WHERE remote = ? AND name = ?"
    row = session.db.execute(sql, (session.repo, entry.key)).fetchone()
    if row is not None:
        return msgspec.json.decode(row[0], type=dict[str, int])
    with contextlib.suppress(layout.UnreadableError), snapshot.fetched(session, entry) as found:
        for _ in found.portions():
            session.stop_if_asked()
        note_verified(session, entry, found.covers)
        return found.covers
    return None


def tend(session: Session) -> str | None:
    """Write a snapshot if there is enough to write and it is this machine's turn; its name. Old ones are removed."""
    with session.registry.transaction() as db:
        if not growth.is_due(db, session.repo):
            return None
    if not remotes.check_is_same(session.storage, session.remote).is_writable:
        return None
    there = listed(session)
    if there and (covers := verified(session, there[0])) is not None:
        reached = reads(session.db, session.repo)
        with session.registry.transaction() as db:
            growth.start_over(db, session.repo, sum(max(0, seq - covers.get(one, 0)) for one, seq in reached.items()))
            if not growth.is_large(db, session.repo):
                return None
    session.tell("snapshot")
    name = write(session)
    if name:
        _forget_old(session)
    return name


def write(session: Session) -> str | None:
    """Write a snapshot of what this machine knows; its name."""
    # Not `transaction`: other processes may write meanwhile, this one reads the state of one moment.
    session.db.execute("BEGIN")
    try:
        name = snapshot.write(session, reads(session.db, session.repo))
    finally:
        session.db.execute("COMMIT")
    if name:
        with session.registry.transaction() as db:
            growth.start_over(db, session.repo)
    return name


def _forget_old(session: Session) -> None:
    """Keep the newest three, and beyond them what trimming waits for: those that are not old yet, and two that are.

    Newest by the clocks of who wrote them, which differ: one that has what no other has stays, as batches that it has
    may be gone.
    """
    there = listed(session)
    old = [entry for entry in there if is_old(entry)]
    going = [entry for entry in there[KEEP:] if entry in old[2:]]
    if not going:
        return
    staying = [verified(session, entry) or {} for entry in there if entry not in going]
    for entry in going:
        covers = verified(session, entry)
        if covers is None:
            # It has not arrived whole, or a newer hubman wrote it: nobody here knows what it alone has.
            continue
        if not any(all(seq <= one.get(device, 0) for device, seq in covers.items()) for one in staying):
            staying.append(covers)
            continue
        session.storage.delete(entry.key)
        with session.registry.transaction() as db:
            db.execute("DELETE FROM snapshots WHERE remote = ? AND name = ?", (session.repo, entry.key))
