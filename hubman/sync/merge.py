"""Take in what another device wrote: merge, rebuild what the lists show, move the cursor, in one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import msgspec

from hubman.sync import batches, incoming, layout, queue
from hubman.sync.codec import PLAIN, Codec
from hubman.sync.policy import Policy, of_device, wants
from hubman.sync.remote import Remote
from registry import changes, clock, projection
from registry.changes import Change
from registry.database import Registry

_NOTHING = "~"
"""Sorts after every stamp."""


class Merged(msgspec.Struct, frozen=True):
    """What a batch did: changes in it, edits that lost a race, changes that were kept without being understood."""

    changes: int = 0
    lost_races: int = 0
    strange: int = 0

    def __add__(self, other: Merged) -> Merged:
        return Merged(self.changes + other.changes, self.lost_races + other.lost_races, self.strange + other.strange)


class Batch(msgspec.Struct, frozen=True):
    """One unpacked batch under its name."""

    name: str
    changes: list[Change]


class Merger:
    """Applies batches of one remote with what stays the same during a sync looked up once."""

    def __init__(self, registry: Registry, remote: Remote, codec: Codec = PLAIN) -> None:
        self._registry = registry
        self._repo = remote.repo
        self._device = clock.device_id(registry.db)
        self._policy: Policy = of_device(registry.db, self._device)
        others = registry.db.execute("SELECT 1 FROM remotes WHERE repo <> ?", (remote.repo,)).fetchone()
        self._passes_on = others is not None
        self._unsent = _first_unsent(registry.db, remote, self._device, codec)

    def apply(self, device: str, seq: int, twins: Sequence[Batch]) -> Merged:
        """Apply the batches that ``device`` wrote under number ``seq`` (several only if it was cloned).

        Raises :class:`registry.errors.HubError`, with nothing applied, for a clock more than a year ahead.
        """
        total = Merged()
        with self._registry.transaction() as db:
            touched: set[str] = set()
            for batch in twins:
                total += self._merge(db, batch.changes, touched)
                db.execute("INSERT OR IGNORE INTO received VALUES (?, ?, ?)", (self._repo, device, batch.name))
            projection.rebuild(db, touched)
            db.execute(
                "INSERT INTO cursors (remote, device, seq) VALUES (?, ?, ?) "
                "ON CONFLICT DO UPDATE SET seq = max(seq, excluded.seq), problem = NULL, since = NULL",
                (self._repo, device, seq),
            )
        return total

    def _merge(self, db: sqlite3.Connection, received: Sequence[Change], touched: set[str]) -> Merged:
        races = strange = 0
        newest = ""
        for change in received:
            is_sound = incoming.is_sound(change)
            races += is_sound and self._note_race(db, change)
            before = db.total_changes
            if is_sound and self._take(db, change, touched):
                newest = max(newest, changes.stamp_of(change) or "")
            else:
                # From a newer hubman, or malformed: kept as it came, and not obeyed.
                strange += 1
                db.execute("INSERT OR IGNORE INTO unknown_changes (body) VALUES (?)", (changes.encode(change),))
            # Only news goes on: two machines with the same two remotes would answer each other for ever.
            if db.total_changes > before and self._passes_on:
                db.execute("INSERT INTO outbox (change, origin) VALUES (?, ?)", (changes.encode(change), self._repo))
            queue.add(db, self._repo, "down", self._wanted(change) if is_sound else [])
        if newest:
            clock.observe(db, newest)
        return Merged(len(received), races, strange)

    def _take(self, db: sqlite3.Connection, change: Change, touched: set[str]) -> bool:
        """Apply a change; False if it made no sense after all."""
        try:
            touched |= changes.apply(db, change)
        except changes.MalformedChangeError:
            return False
        return True

    def _wanted(self, change: Change) -> list[queue.Wanted]:
        """The blobs of a sound change that this machine should fetch."""
        blobs = queue.blobs_of(change)
        return [blob for blob in blobs if wants(self._registry, self._device, self._policy, blob)]

    def _note_race(self, db: sqlite3.Connection, change: Change) -> bool:
        """Write down a person's edit that this change beats or that beats it, if neither side had seen the other's.

        Of the two machines it is the one that syncs second that can tell, and does.
        """
        if self._unsent == _NOTHING or change[0] != "set" or not change[2].startswith("user."):
            return False
        _, item, field, value, stamp = change
        name = field.partition(".")[2]
        row = db.execute(
            "SELECT value, stamp FROM facts WHERE item = ? AND field = ? AND source = 'user'", (item, name)
        ).fetchone()
        theirs = changes.encode([value])[1:-1]
        if row is None or row[0] == theirs or clock.device_of(row[1]) != self._device or row[1] < self._unsent:
            return False
        kept, lost, lost_stamp = (theirs, row[0], row[1]) if stamp > row[1] else (row[0], theirs, stamp)
        known = db.execute(
            "SELECT 1 FROM lost_edits WHERE item = ? AND field = ? AND lost_stamp = ?", (item, name, lost_stamp)
        ).fetchone()
        if known:
            return False
        db.execute(
            "INSERT INTO lost_edits (item, field, kept, lost, lost_stamp) VALUES (?, ?, ?, ?, ?)",
            (item, name, kept, lost, lost_stamp),
        )
        return True


def _first_unsent(db: sqlite3.Connection, remote: Remote, device: str, codec: Codec) -> str:
    """The oldest stamp of this device that the remote has not been told: nobody there has seen it or a later one."""
    oldest = _NOTHING
    for author, seq, body in db.execute(
        "SELECT device, seq, body FROM outbound WHERE remote = ? AND sent = 0", (remote.repo,)
    ):
        packed = codec.open(body, batches.PACKED_CAP, layout.batch_label(author, seq))
        oldest = min([oldest, *_own_stamps(batches.decode(packed), device)])
    rows = db.execute("SELECT change FROM outbox WHERE id > ? AND origin IS NULL ORDER BY id", (remote.frozen_to,))
    for (line,) in rows:
        stamps = _own_stamps([msgspec.json.decode(line)], device)
        if stamps:
            return min(oldest, stamps[0])
    return oldest


def _own_stamps(made: Sequence[Change], device: str) -> list[str]:
    stamps = (changes.stamp_of(change) for change in made)
    return [stamp for stamp in stamps if stamp and clock.device_of(stamp) == device]
