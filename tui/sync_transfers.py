"""Files under way, from what syncing jobs report of their bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hubman.jobs.records import Job
    from hubman.progress import Progress

KINDS = frozenset(("sync", "fetch"))
"""Kinds of jobs that move files of the collection."""

_WAYS = {"upload": "↑", "download": "↓"}
_KEPT = 50
"""Files that are through and still shown, the latest of them."""


@dataclass(frozen=True)
class Moving:
    """A file: ``rate`` in bytes a second and ``left`` in seconds, both 0 while unknown."""

    job: str
    name: str
    way: str
    done: float
    total: float
    rate: float = 0
    left: float = 0
    since: float = 0
    begun_with: float = 0
    is_all: bool = False
    """Whether it stands for all files that go this way."""
    is_halted: bool = False
    """Whether its job has ended before it was through: a later sync goes on with it."""

    @property
    def is_done(self) -> bool:
        """A file whose size is not known is not through before it goes."""
        return self.done >= self.total > 0

    @property
    def is_under_way(self) -> bool:
        return not self.is_done and not self.is_halted


@dataclass(frozen=True)
class Transfers:
    """What one job moves; ``offset`` is how far its event file was read."""

    files: Mapping[tuple[str, str], Moving] = field(default_factory=dict)
    offset: int = 0


def follow(job: Job, before: Transfers, now: float) -> Transfers:
    """``before`` with what the job has reported since, at ``now`` seconds of a steady clock. Reads one file; for a thread."""
    from hubman.jobs import store

    found, offset = store.events(job, before.offset)
    if not found and not job.ended:
        return before
    files = dict(before.files)
    for event in found:
        if event.stage in _WAYS and event.unit == "B" and event.total > 0:
            _take(files, job.id, event, now)
    through = [key for key, one in files.items() if one.is_done]
    for key in through[:-_KEPT]:
        del files[key]
    if job.ended:
        files = {
            key: one if one.is_done else replace(one, rate=0, left=0, is_halted=True) for key, one in files.items()
        }
    return Transfers(files, offset)


def _take(files: dict[tuple[str, str], Moving], job: str, event: Progress, now: float) -> None:
    """An event tells of one file (its message), or of all, with those that move just now as (name, done, size)."""
    if "files_total" not in event.data:
        _put(files, Moving(job, event.message, _WAYS[event.stage], event.done, event.total), event, now)
        return
    names = f": {event.message}" if event.message else ""
    name = f"{event.data.get('files', 0):,} of {event.data['files_total']:,} files{names}"
    _put(files, Moving(job, name, _WAYS[event.stage], event.done, event.total, is_all=True), event, now)
    moving = {str(name): (float(done), float(size)) for name, done, size in event.data.get("moving", ())}
    for key, one in list(files.items()):
        if key[0] == event.stage and not one.is_all and key[1] not in moving:
            files[key] = replace(one, done=one.total)
            if not one.total:
                del files[key]
    for name, (done, size) in moving.items():
        _put(files, Moving(job, name, _WAYS[event.stage], done, size), None, now, stage=event.stage)


def _put(
    files: dict[tuple[str, str], Moving], one: Moving, event: Progress | None, now: float, *, stage: str = ""
) -> None:
    """The rate is what the job says; of one that says none, the mean since the file was first heard of."""
    key = (event.stage if event else stage, "" if one.is_all else one.name)
    before = files.pop(key, None)
    fresh = before is None or one.done < before.done
    # Of what had happened before this look nobody knows when it did.
    is_new = before is None or fresh or before.since == now
    since, begun_with = (now, one.done) if before is None or is_new else (before.since, before.begun_with)
    gone = now - since
    told = float(event.data.get("rate") or 0) if event else 0.0
    rate = told or ((one.done - begun_with) / gone if gone > 0 else 0.0)
    left = (one.total - one.done) / rate if rate > 0 else 0.0
    files[key] = replace(one, rate=rate, left=left, since=since, begun_with=begun_with)


def in_order(known: Mapping[str, Transfers]) -> list[Moving]:
    """Those under way first, all in one line before each of them, then those that are through, the latest first."""
    found = [one for job in known.values() for one in job.files.values()]
    every = sorted(found, key=lambda one: not one.is_all)
    open_ = sorted((one for one in every if not one.is_done), key=lambda one: one.is_halted)
    return open_ + [one for one in reversed(every) if one.is_done]
