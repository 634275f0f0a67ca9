"""What the jobs do: polled from the registry and their event files, published to whoever shows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hubman.jobs.records import Job
    from hubman.progress import Progress
    from registry.database import Registry


@dataclass(frozen=True)
class JobView:
    """A job with the last thing that it reported."""

    job: Job
    progress: Progress | None = None
    offset: int = 0
    """How far its event file has been read."""

    @property
    def share(self) -> float | None:
        """Done of total, or None while the total is unknown."""
        if self.job.state == "done":
            return 1.0
        return self.progress.done / self.progress.total if self.progress and self.progress.total > 0 else None


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
        views.append(JobView(job, found[-1] if found else old.progress if old else None, offset))
    return Snapshot(tuple(views))


@dataclass(frozen=True)
class RunEvents:
    """Everything that one job has reported so far, sorted for plots, pictures and a log."""

    losses: tuple[tuple[float, float], ...] = ()
    samples: tuple[tuple[int, str], ...] = ()
    """(epoch, path)"""
    cells: tuple[Cell, ...] = ()
    log: tuple[str, ...] = ()
    last: Progress | None = None
    offset: int = 0


@dataclass(frozen=True)
class Cell:
    """A finished picture of a grid."""

    path: str
    label: str
    row: int = 0
    column: int = 0


LOG_LINES = 1000


def follow(job: Job, before: RunEvents) -> RunEvents:
    """``before`` with what the job has reported since. Reads one file; for a thread."""
    from hubman.jobs import store

    found, offset = store.events(job, before.offset)
    if not found:
        return before
    gathered = _Gathered()
    for event in found:
        gathered.take(event)
    return replace(
        before,
        losses=before.losses + tuple(gathered.losses),
        samples=before.samples + tuple(gathered.samples),
        cells=before.cells + tuple(gathered.cells),
        log=(before.log + tuple(gathered.log))[-LOG_LINES:],
        last=found[-1],
        offset=offset,
    )


@dataclass
class _Gathered:
    losses: list[tuple[float, float]] = field(default_factory=list)
    samples: list[tuple[int, str]] = field(default_factory=list)
    cells: list[Cell] = field(default_factory=list)
    log: list[str] = field(default_factory=list)

    def take(self, event: Progress) -> None:
        data = event.data
        if "loss" in data and "step" in data:
            self.losses.append((float(data["step"]), float(data["loss"])))
        if "sample" in data:
            self.samples.append((int(data.get("epoch", 0)), str(data["sample"])))
        if "cell" in data:
            self.cells.append(
                Cell(str(data["cell"]), str(data.get("label", "")), int(data.get("row", 0)), int(data.get("column", 0)))
            )
        if event.message or not data:
            count = f" {event.done:g}/{event.total:g}" if event.total else ""
            self.log.append(f"{event.stage}{count} {event.message}".rstrip())
