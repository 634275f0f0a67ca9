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

    @property
    def is_done(self) -> bool:
        return self.done >= self.total


@dataclass(frozen=True)
class Transfers:
    """What one job moves; ``offset`` is how far its event file was read."""

    files: Mapping[tuple[str, str], Moving] = field(default_factory=dict)
    offset: int = 0


def follow(job: Job, before: Transfers, now: float) -> Transfers:
    """``before`` with what the job has reported since, at ``now`` seconds of a steady clock. Reads one file; for a thread."""
    from hubman.jobs import store

    found, offset = store.events(job, before.offset)
    if not found:
        return before
    files = dict(before.files)
    for event in found:
        if event.stage in _WAYS and event.unit == "B" and event.total > 0:
            key = (event.stage, event.message)
            files[key] = _moved(files.pop(key, None), job.id, event, now)
    through = [key for key, one in files.items() if one.is_done]
    for key in through[:-_KEPT]:
        del files[key]
    return Transfers(files, offset)


def _moved(before: Moving | None, job: str, event: Progress, now: float) -> Moving:
    """The rate is what the job says; of one that says none, the mean since the file was first heard of."""
    if before is None or event.done < before.done:
        before = Moving(job, event.message, _WAYS[event.stage], event.done, event.total, 0, 0, now, event.done)
    gone = now - before.since
    rate = float(event.data.get("rate") or 0) or ((event.done - before.begun_with) / gone if gone > 0 else 0.0)
    left = (event.total - event.done) / rate if rate > 0 else 0.0
    return replace(before, done=event.done, total=event.total, rate=rate, left=left)


def in_order(known: Mapping[str, Transfers]) -> list[Moving]:
    """Those under way first, as they were begun, then those that are through, the latest first."""
    every = [one for job in known.values() for one in job.files.values()]
    return [one for one in every if not one.is_done] + [one for one in reversed(every) if one.is_done]
