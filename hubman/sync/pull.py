"""Read what other devices wrote: compare heads, fetch what is new, apply each log strictly in its order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from heapq import nsmallest
from itertools import groupby, islice

import msgspec

from hubman.sync.care import devices
from hubman.sync.merge import TOGETHER, Batch, Merged, Merger, Numbered
from hubman.sync.records import batches, heads, layout
from hubman.sync.records.snapshots import CatchUp, reads
from hubman.sync.session import Session
from hubman.sync.storages.storage import Entry, Storage
from registry import timestamps
from registry.errors import CancelledError, HubError

_MOST_NAMES = 100_000
"""Batches of one log that one sync looks at; more come with the next one."""


class News(msgspec.Struct, frozen=True):
    """A head that changed since it was last read to its end; None where a log has no readable head."""

    device: str
    head: layout.Head | None
    tag: str | None


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """One look at all heads."""

    news: list[News]
    own: layout.Head | None = None
    """This device's head, if it is not the one that was written here last."""
    own_is_known: bool = False
    """Whether this device's head is the one that was written here last."""
    problems: list[str] = []


class _NotYetError(Exception):
    """Something that a head names has not arrived, or not whole."""


def look(session: Session) -> Look:
    """Compare the heads with what was read before. A deep session takes every log as changed, also a headless one."""
    storage, device, deep = session.storage, session.device, session.deep
    known = {
        row["device"]: row["head_tag"]
        for row in session.db.execute("SELECT device, head_tag FROM cursors WHERE remote = ?", (session.repo,))
    }
    news: list[News] = []
    problems: list[str] = []
    own: News | None = None
    own_is_known = False
    for other, entry in _heads(storage, {device, *known}, problems):
        if entry.tag is not None and entry.tag == known.get(other) and (other == device or not deep):
            own_is_known |= other == device
            continue
        try:
            found = read_head(session, entry.key, other)
        except HubError as error:
            problems.append(f"device {other}: {error}")
            continue
        if found is None or (found.tag == known.get(other) and (other == device or not deep)):
            own_is_known |= found is not None and other == device
        elif other == device:
            own = found
        else:
            news.append(found)
    if deep:
        news += _headless(storage, {one.device for one in news} | {device}, set(known))
    news.sort(key=lambda one: one.device)
    return Look(news=news, own=own.head if own else None, own_is_known=own_is_known, problems=problems)


def _heads(storage: Storage, known: set[str], problems: list[str]) -> Iterator[tuple[str, Entry]]:
    """The heads of known devices, and of strangers as far as there may be so many devices: junk pushes nobody out."""
    room = max(layout.MAX_DEVICES - len(known), 0)
    for entry in storage.entries(layout.HEADS):
        device = layout.head_device(entry.key)
        if device is None:
            continue
        if device not in known:
            room -= 1
            if room < 0:
                continue
        yield device, entry
    if room < 0:
        problems.append(f"the remote has more than {layout.MAX_DEVICES} devices; {-room} new ones are not read")


def pull(session: Session, news: Iterable[News]) -> tuple[Merged, list[str]]:
    """Apply everything new; returns what it did, and a line for each log that could not be read to its end."""
    waiting = list(news)
    if not waiting:
        return Merged(), []
    with session.registry.much_at_once():
        return _pull(session, waiting)


def _pull(session: Session, news: Sequence[News]) -> tuple[Merged, list[str]]:
    merger = Merger(session.registry, session.remote)
    logs = _Logs(session, merger, news)
    total = logs.catch_up_if_far()
    problems: list[str] = []
    for one in news:
        old = heads.went_back(session.db, session.repo, one.device, one.head) if one.head else None
        if old:
            problems.append(f"{_called(session, one.device)}: {old}")
        try:
            total += logs.read(one, problems)
        except CancelledError:
            raise
        except (_NotYetError, HubError) as error:
            problems.append(_hold(session, one, error))
        else:
            _remember(session, one)
    return total, problems + logs.snapshots.problems


class _Logs:
    """The logs that have news, and the snapshots that stand in where their batches are gone or too many."""

    def __init__(self, session: Session, merger: Merger, news: Sequence[News]) -> None:
        self._session, self._merger = session, merger
        self._ends = {one.device: one.head.seq for one in news if one.head}
        self.snapshots = CatchUp(session, merger)

    def catch_up_if_far(self) -> Merged:
        """A snapshot instead of more batches than a head names: what a new machine begins with."""
        reached = reads(self._session.db, self._session.repo)
        behind = {device: end - reached.get(device, 0) for device, end in self._ends.items()}
        if not behind or sum(max(0, count) for count in behind.values()) <= layout.TAIL:
            return Merged()
        furthest = max(behind, key=lambda device: (behind[device], device))
        return self.snapshots.over(self._ends, furthest) or Merged()

    def read(self, one: News, problems: list[str]) -> Merged:
        """Apply what is new in one log. Raises :class:`_NotYetError` where something is missing that no snapshot has."""
        total = Merged()
        while True:
            try:
                for merged in self._batches(one, problems):
                    total += merged
            except _NotYetError:
                caught_up = self.snapshots.over(self._ends, one.device)
                if caught_up is None:
                    raise
                total += caught_up
            else:
                return total

    def _batches(self, one: News, problems: list[str]) -> Iterator[Merged]:
        fetched = self._fetched(one, problems)
        error: HubError | _NotYetError | None = None
        while error is None:
            some: list[Numbered] = []
            try:
                for numbered in islice(fetched, TOGETHER):
                    some.append(numbered)  # noqa: PERF402 - what came before an error is kept
            except (_NotYetError, HubError) as met:
                error = met
            if some:
                yield self._merger.apply(one.device, some)
            elif error is None:
                return
        raise error

    def _fetched(self, one: News, problems: list[str]) -> Iterator[Numbered]:
        session = self._session
        for seq, names, is_copy, is_said in _missing(session, one):
            session.stop_if_asked()
            session.tell("receive", seq, one.head.seq if one.head else 0, "batches")
            try:
                twins = [_fetch(session, one.device, name) for name in names]
            except _NotYetError:
                if is_said:
                    continue
                raise
            yield seq, twins
            if is_copy:
                problems.append(f"device {one.device} was copied: two of its batches have number {seq}")


def read_head(session: Session, key: str, device: str) -> News | None:
    fetched = session.storage.get(key, session.codec.cap(layout.HEAD_CAP))
    if fetched is None:
        return None
    head = layout.decode_head(session.codec.open(fetched.data, layout.HEAD_CAP, key))
    return News(device, head, fetched.tag or layout.hash32(fetched.data))


def _headless(storage: Storage, read: set[str], known: set[str]) -> list[News]:
    """Logs whose head is lost: the batches are there all the same. Those of known devices come first."""
    listed = (entry.key.split("/")[1] for entry in storage.entries("log/") if layout.is_known(entry.key))
    one_each = (device for device, _ in groupby(listed) if device not in read)
    devices = nsmallest(layout.MAX_DEVICES, one_each, key=lambda device: (device not in known, device))
    return [News(device, None, None) for device in devices]


def _missing(session: Session, one: News) -> Iterator[tuple[int, list[str], bool, bool]]:
    """(number, names, whether that number was given twice, whether a snapshot said it) of the batches to apply, in order.

    Raises :class:`_NotYetError` at a gap.
    """
    of_device = (session.repo, one.device)
    row = session.db.execute("SELECT seq, base FROM cursors WHERE remote = ? AND device = ?", of_device).fetchone()
    reached, base = (int(row[0]), int(row[1])) if row else (0, 0)
    names = _names(session.storage, one, reached, deep=session.deep)
    if session.deep:
        names -= {
            row[0] for row in session.db.execute("SELECT name FROM received WHERE remote = ? AND device = ?", of_device)
        }
    for seq, group in groupby(sorted(names), key=lambda name: layout.batch_seq(name) or 0):
        if seq > reached + 1:
            break
        twins = list(group)
        yield seq, twins, len(twins) > 1 or base < seq <= reached, seq <= base
        reached = max(reached, seq)
    if one.head and reached < one.head.seq:
        raise _NotYetError(f"batch {reached + 1} of {one.head.seq} has not arrived")


def _names(storage: Storage, one: News, reached: int, *, deep: bool) -> set[str]:
    """Names of batches that may be new: from the head's tail where that goes back far enough, else from a listing."""
    # What was read and has been trimmed since may still stand in the tail.
    names = {name for name in one.head.tail if (layout.batch_seq(name) or 0) > reached} if one.head else set()
    if deep or one.head is None or one.head.seq - len(one.head.tail) > reached:
        prefix = layout.log_prefix(one.device)
        listed = storage.entries(prefix, "" if deep else f"{prefix}{reached:010d}-g")
        names |= set(
            nsmallest(_MOST_NAMES, (entry.key.rpartition("/")[2] for entry in listed if layout.is_known(entry.key)))
        )
    first = 1 if deep else reached + 1
    return {name for name in names if (layout.batch_seq(name) or 0) >= first}


def _fetch(session: Session, device: str, name: str) -> Batch:
    codec = session.codec
    fetched = session.storage.get(layout.log_prefix(device) + name, codec.cap(batches.PACKED_CAP))
    if fetched is None:
        raise _NotYetError(f"batch {name[:10]} has not arrived")
    if not layout.is_intact(name, fetched.data):
        raise _NotYetError(f"batch {name[:10]} has not arrived whole")
    label = layout.batch_label(device, layout.batch_seq(name) or 0)
    changes = batches.decode(codec.open(fetched.data, batches.PACKED_CAP, label))
    return Batch(name, changes, len(fetched.data))


def _hold(session: Session, one: News, error: Exception) -> str:
    """Note why a log was not read to its end, and since when. The next sync tries again."""
    with session.registry.transaction() as db:
        db.execute(
            "INSERT INTO cursors (remote, device, problem, since) VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
            "problem = excluded.problem, since = coalesce(since, excluded.since), head_tag = NULL",
            (session.repo, one.device, str(error), timestamps.now()),
        )
        if one.head:
            heads.note(db, session.repo, one.device, one.head)
    return f"{_called(session, one.device)}: {error}"


def _remember(session: Session, one: News) -> None:
    """Everything that this head names is applied."""
    with session.registry.transaction() as db:
        db.execute(
            "INSERT INTO cursors (remote, device, head_tag) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET "
            "head_tag = excluded.head_tag, problem = NULL, since = NULL",
            (session.repo, one.device, one.tag),
        )
        if one.head:
            heads.note(db, session.repo, one.device, one.head)


def _called(session: Session, device: str) -> str:
    name = devices.name_of(session.db, device)
    return f"device {device}" if name == device else name
