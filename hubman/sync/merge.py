"""Take in what another device wrote: merge, rebuild what the lists show, move the cursor, in one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice

import msgspec

from hubman.sync import queue
from hubman.sync.policies.policy import Policy, of_device, wants
from hubman.sync.records import growth, incoming
from hubman.sync.remote import Remote
from registry import changes, clock, projection
from registry.changes import Change
from registry.database import Registry
from registry.errors import HubError


class Merged(msgspec.Struct, frozen=True):
    """What a batch did: changes in it, edits that lost a race, changes that were kept without being understood."""

    changes: int = 0
    lost_races: int = 0
    strange: int = 0

    def __add__(self, other: Merged) -> Merged:
        return Merged(self.changes + other.changes, self.lost_races + other.lost_races, self.strange + other.strange)


class Batch(msgspec.Struct, frozen=True):
    """One unpacked batch under its name; ``size`` is what it takes on the remote."""

    name: str
    changes: list[Change]
    size: int = 0


Numbered = tuple[int, Sequence[Batch]]
"""A number, and the batches that a device wrote under it: several only if it was cloned."""

TOGETHER = 4
"""Batches that are applied in one transaction: each writes a good part of all pages, and others wait while it lasts."""


class Merger:
    """Applies batches of one remote with what stays the same during a sync looked up once."""

    def __init__(self, registry: Registry, remote: Remote) -> None:
        self._registry = registry
        self._repo = remote.repo
        self._device = clock.device_id(registry.db)
        self._policy: Policy = of_device(registry.db, self._device)
        others = registry.db.execute("SELECT 1 FROM remotes WHERE repo <> ?", (remote.repo,)).fetchone()
        self._passes_on = others is not None

    def apply(self, device: str, numbered: Sequence[Numbered]) -> Merged:
        """Apply batches of ``device`` one behind the other; what the lists show of them is rebuilt once.

        Raises :class:`registry.errors.HubError`, with nothing applied of the batch that has it and those behind it, for
        a clock more than a year ahead.
        """
        try:
            return self._apply_together(device, numbered)
        except HubError:
            if len(numbered) == 1:
                raise
        total = Merged()
        for one in numbered:
            total += self._apply_together(device, [one])
        return total

    def _apply_together(self, device: str, numbered: Sequence[Numbered]) -> Merged:
        with self._registry.transaction() as db:
            total = self._take_in(db, (batch.changes for _, twins in numbered for batch in twins))
            for seq, twins in numbered:
                for batch in twins:
                    db.execute("INSERT OR IGNORE INTO received VALUES (?, ?, ?)", (self._repo, device, batch.name))
                growth.note(db, self._repo, len(twins), sum(batch.size for batch in twins))
                db.execute(
                    "INSERT INTO cursors (remote, device, seq) VALUES (?, ?, ?) "
                    "ON CONFLICT DO UPDATE SET seq = max(seq, excluded.seq), problem = NULL, since = NULL",
                    (self._repo, device, seq),
                )
        return total

    def apply_snapshot(self, covers: Mapping[str, int], portions: Iterable[Sequence[Change]]) -> Merged:
        """Apply a snapshot, portion by portion, and go on behind what it ``covers``, but for this device's own log.

        The portions before one that can't be read stay: they are changes like all others. Raises as :meth:`apply`.
        """
        total = Merged()
        rest = iter(portions)
        while some := list(islice(rest, TOGETHER)):
            with self._registry.transaction() as db:
                total += self._take_in(db, some)
        rows = [(self._repo, device, seq, seq) for device, seq in covers.items() if device != self._device]
        with self._registry.transaction() as db:
            db.executemany(
                "INSERT INTO cursors (remote, device, seq, base) VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
                "seq = max(seq, excluded.seq), base = max(base, excluded.base), problem = NULL, since = NULL",
                rows,
            )
            growth.start_over(db, self._repo)
        return total

    def _take_in(self, db: sqlite3.Connection, portions: Iterable[Sequence[Change]]) -> Merged:
        """Merge changes, and rebuild what the lists show of them."""
        touched: set[str] = set()
        merged = Merged()
        for received in portions:
            merged += self._merge(db, received, touched)
        (newest,) = db.execute("SELECT coalesce(max(id), 0) FROM lost_edits").fetchone()
        projection.rebuild(db, touched)
        (lost,) = db.execute("SELECT count(*) FROM lost_edits WHERE id > ?", (newest,)).fetchone()
        return merged + Merged(lost_races=lost)

    def _merge(self, db: sqlite3.Connection, received: Sequence[Change], touched: set[str]) -> Merged:
        sound: list[Change] = []
        strange: list[Change] = []
        for change in received:
            (sound if incoming.is_sound(change) else strange).append(change)
        some, malformed = self._apply(db, sound)
        touched |= some
        if malformed:
            bad = {changes.encode(change) for change in malformed}
            sound = [change for change in sound if changes.encode(change) not in bad]
            strange += malformed
        # From a newer hubman, or malformed: kept as it came, and not obeyed.
        self._passing_on(db, strange, changes.keep_unknown)
        newest = max((changes.stamp_of(change) or "" for change in sound), default="")
        if newest:
            clock.observe(db, newest)
        blobs = {blob for change in sound for blob in queue.blobs_of(change)}
        queue.add(db, self._repo, "down", [blob for blob in blobs if self._is_wanted(blob)])
        back = [blob for change in sound for blob in queue.brought_back(db, change)]
        queue.add(db, self._repo, "up", [blob for blob in back if queue.is_here(db, blob.sha256)])
        return Merged(changes=len(received), strange=len(strange))

    def _is_wanted(self, blob: queue.Wanted) -> bool:
        # What a query or a limit says of weights is found out when all is taken in.
        is_later = self._policy.looks_at_all(blob.kind)
        return not is_later and wants(self._registry, self._device, self._policy, blob)

    def _apply(self, db: sqlite3.Connection, sound: Sequence[Change]) -> tuple[set[str], list[Change]]:
        """The items to rebuild, and the changes that made no sense after all."""
        touched: set[str] = set()
        malformed: list[Change] = []

        def apply(db: sqlite3.Connection, some: Sequence[Change]) -> None:
            nonlocal touched
            found, bad = changes.apply_all(db, some)
            touched |= found
            malformed.extend(bad)

        self._passing_on(db, sound, apply)
        return touched, malformed

    def _passing_on(
        self,
        db: sqlite3.Connection,
        received: Sequence[Change],
        apply: Callable[[sqlite3.Connection, Sequence[Change]], None],
    ) -> None:
        """Apply changes, and queue those that were news for the other remotes.

        Only news: two machines with the same two remotes would answer each other for ever.
        """
        if not self._passes_on:
            apply(db, received)
            return
        for change in received:
            before = db.total_changes
            apply(db, [change])
            if db.total_changes > before:
                db.execute("INSERT INTO outbox (change, origin) VALUES (?, ?)", (changes.encode(change), self._repo))
