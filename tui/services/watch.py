"""What the jobs do: polled from the registry and their event files, published to whoever shows it."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from hubman.jobs.records import Job
    from hubman.progress import Progress
    from registry.database import Registry


@dataclass(frozen=True)
class JobView:
    """A job with the last thing that it reported."""

    job: Job
    progress: Progress | None = None
    counted: Progress | None = None
    """The last event that tells how much of the whole is done."""
    offset: int = 0
    """How far its event file has been read."""
    paused: bool = False
    """Whether it was asked to wait where it is."""

    @property
    def share(self) -> float | None:
        """Done of total, or None while the total is unknown."""
        if self.job.state == "done":
            return 1.0
        return self.counted.done / self.counted.total if self.counted else None


def counts(kind: str, event: Progress) -> bool:
    """Whether an event counts the job as a whole: a training also counts the samples of each epoch."""
    return event.total > 0 and (kind != "train" or event.stage == "train")


@dataclass(frozen=True)
class Snapshot:
    """All jobs at one moment, the newest first."""

    views: tuple[JobView, ...] = ()

    @property
    def active(self) -> tuple[JobView, ...]:
        return tuple(view for view in self.views if not view.job.ended)

    def of(self, job_id: str) -> JobView | None:
        return next((view for view in self.views if view.job.id == job_id), None)


def poll(registry: Registry, before: Snapshot) -> Snapshot:
    """The jobs now; only what is new in their event files is read."""
    from hubman.jobs import store

    known: Mapping[str, JobView] = {view.job.id: view for view in before.views}
    views = []
    for job in store.latest(registry):
        old = known.get(job.id)
        if old is not None and old.job.ended and old.job == job:
            views.append(old)
            continue
        found, offset = store.events(job, old.offset if old else 0)
        seen = old or JobView(job)
        counted = [event for event in found if counts(job.kind, event)]
        last = found[-1] if found else seen.progress
        views.append(JobView(job, last, counted[-1] if counted else seen.counted, offset, job.paused))
    return Snapshot(tuple(views))


def written(home: Path) -> tuple[int, ...]:
    """Numbers that are others after any process wrote to the registry: SQLite tells a connection only of itself."""
    found: list[int] = []
    for name in ("registry.db", "registry.db-wal"):
        with contextlib.suppress(OSError):
            status = (home / name).stat()
            found += [status.st_mtime_ns, status.st_size]
    return tuple(found)
