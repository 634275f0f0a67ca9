"""Take in what another device wrote: merge, rebuild what the lists show, move the cursor, in one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import msgspec

from hubman.sync import incoming, queue
from hubman.sync.policy import Policy, of_device, wants
from hubman.sync.remote import Remote
from registry import changes, clock, projection
from registry.changes import Change
from registry.database import Registry


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

    def __init__(self, registry: Registry, remote: Remote) -> None:
        self._registry = registry
        self._repo = remote.repo
        self._device = clock.device_id(registry.db)
        self._policy: Policy = of_device(registry.db, self._device)
        others = registry.db.execute("SELECT 1 FROM remotes WHERE repo <> ?", (remote.repo,)).fetchone()
        self._passes_on = others is not None

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
            (newest,) = db.execute("SELECT coalesce(max(id), 0) FROM lost_edits").fetchone()
            projection.rebuild(db, touched)
            (lost,) = db.execute("SELECT count(*) FROM lost_edits WHERE id > ?", (newest,)).fetchone()
            total += Merged(lost_races=lost)
            db.execute(
                "INSERT INTO cursors (remote, device, seq) VALUES (?, ?, ?) "
                "ON CONFLICT DO UPDATE SET seq = max(seq, excluded.seq), problem = NULL, since = NULL",
                (self._repo, device, seq),
            )
        return total

    def _merge(self, db: sqlite3.Connection, received: Sequence[Change], touched: set[str]) -> Merged:
        strange = 0
        newest = ""
        for change in received:
            is_sound = incoming.is_sound(change)
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
        return Merged(changes=len(received), strange=strange)

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
