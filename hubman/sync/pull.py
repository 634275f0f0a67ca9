"""Read what other devices wrote: compare heads, fetch what is new, apply each log strictly in its order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

import msgspec

from hubman.sync import batches, devices, heads, layout
from hubman.sync.merge import Batch, Merged, Merger
from hubman.sync.session import Session
from hubman.sync.storage import Entry, Storage
from registry import timestamps
from registry.changes import Change
from registry.errors import CancelledError, HubError


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
    for other, entry in _heads(storage, problems):
        if entry.tag is not None and entry.tag == known.get(other) and (other == device or not deep):
            own_is_known |= other == device
            continue
        try:
            found = _read_head(session, entry.key, other)
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
        news += _headless(storage, {one.device for one in news} | {device})
    news.sort(key=lambda one: one.device)
    return Look(news=news, own=own.head if own else None, own_is_known=own_is_known, problems=problems)


def _heads(storage: Storage, problems: list[str]) -> Iterator[tuple[str, Entry]]:
    devices = 0
    for entry in storage.entries(layout.HEADS):
        device = layout.head_device(entry.key)
        if device is None:
            continue
        devices += 1
        if devices > layout.MAX_DEVICES:
            problems.append(f"the remote has more than {layout.MAX_DEVICES} devices; the others are not read")
            return
        yield device, entry


def pull(session: Session, news: Iterable[News]) -> tuple[Merged, list[str]]:
    """Apply everything new; returns what it did, and a line for each log that could not be read to its end."""
    merger = Merger(session.registry, session.remote, session.codec)
    total = Merged()
    problems: list[str] = []
    for one in news:
        old = heads.went_back(session.db, session.repo, one.device, one.head) if one.head else None
        if old:
            problems.append(f"{_called(session, one.device)}: {old}")
        try:
            for seq, names, is_copy in _missing(session, one):
                session.stop_if_asked()
                session.tell("receive", seq, one.head.seq if one.head else 0, "batches")
                twins = [Batch(name, _fetch(session, one.device, name)) for name in names]
                total += merger.apply(one.device, seq, twins)
                if is_copy:
                    problems.append(f"device {one.device} was copied: two of its batches have number {seq}")
        except CancelledError:
            raise
        except (_NotYetError, HubError) as error:
            problems.append(_hold(session, one, error))
        else:
            _remember(session, one)
    return total, problems


def _read_head(session: Session, key: str, device: str) -> News | None:
    fetched = session.storage.get(key, session.codec.cap(layout.HEAD_CAP))
    if fetched is None:
        return None
    head = layout.decode_head(session.codec.open(fetched.data, layout.HEAD_CAP, key))
    return News(device, head, fetched.tag or layout.hash32(fetched.data))


def _headless(storage: Storage, known: set[str]) -> list[News]:
    """Logs whose head is lost: the batches are there all the same."""
    devices = set()
    for entry in storage.entries("log/"):
        device = entry.key.split("/")[1]
        if layout.is_known(entry.key) and device not in known:
            devices.add(device)
    return [News(device, None, None) for device in sorted(devices)[: layout.MAX_DEVICES]]


def _missing(session: Session, one: News) -> Iterator[tuple[int, list[str], bool]]:
    """(number, names, whether that number was given twice) of the batches to apply, in order.

    Raises :class:`_NotYetError` at a gap.
    """
    of_device = (session.repo, one.device)
    row = session.db.execute("SELECT seq FROM cursors WHERE remote = ? AND device = ?", of_device).fetchone()
    reached = int(row[0]) if row else 0
    names = _names(session.storage, one, reached, deep=session.deep)
    if session.deep:
        names -= {
            row[0] for row in session.db.execute("SELECT name FROM received WHERE remote = ? AND device = ?", of_device)
        }
    for seq, group in groupby(sorted(names), key=lambda name: layout.batch_seq(name) or 0):
        if seq > reached + 1:
            break
        twins = list(group)
        yield seq, twins, len(twins) > 1 or seq <= reached
        reached = max(reached, seq)
    if one.head and reached < one.head.seq:
        raise _NotYetError(f"batch {reached + 1} of {one.head.seq} has not arrived")


def _names(storage: Storage, one: News, reached: int, *, deep: bool) -> set[str]:
    """Names of batches that may be new: from the head's tail where that goes back far enough, else from a listing."""
    names = set(one.head.tail) if one.head else set()
    if deep or one.head is None or one.head.seq - len(one.head.tail) > reached:
        prefix = layout.log_prefix(one.device)
        for entry in storage.entries(prefix, "" if deep else f"{prefix}{reached:010d}-g"):
            if layout.is_known(entry.key):
                names.add(entry.key.rpartition("/")[2])
    first = 1 if deep else reached + 1
    return {name for name in names if (layout.batch_seq(name) or 0) >= first}


def _fetch(session: Session, device: str, name: str) -> list[Change]:
    codec = session.codec
    fetched = session.storage.get(layout.log_prefix(device) + name, codec.cap(batches.PACKED_CAP))
    if fetched is None:
        raise _NotYetError(f"batch {name[:10]} has not arrived")
    if not layout.is_intact(name, fetched.data):
        raise _NotYetError(f"batch {name[:10]} has not arrived whole")
    label = layout.batch_label(device, layout.batch_seq(name) or 0)
    return batches.decode(codec.open(fetched.data, batches.PACKED_CAP, label))


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
