"""A training as it goes: list of runs, loss, time left, samples."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, cast

from textual import on
from textual.containers import Horizontal, Vertical
from textual.widget import Widget
from textual.widgets import Static

from registry import timestamps
from tui import formats
from tui.services.watch import JobView, RunEvents, Snapshot
from tui.widgets.picture_row import PictureRow
from tui.widgets.plot import Plot, Series
from tui.widgets.rows import RowList
from tui.widgets.train_lists import RunList

if TYPE_CHECKING:
    from tui.screens.base import HubScreen

EMPTY = """No training yet.

esc  back to the dataset; s starts a training there"""


class RunPane(Horizontal):
    """The runs at the left, the one under the cursor at the right."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._events = RunEvents()
        self._shown = ""

    def compose(self) -> Iterable[Widget]:
        runs = RunList(id="runs")
        runs.empty = EMPTY
        yield runs
        with Vertical(id="live"):
            yield Static("", id="run-title", classes="title", markup=False)
            yield Static("", id="run-line", classes="line", markup=False)
            yield Plot(id="loss", x_name="step", empty="The loss appears with the first steps.")
            yield PictureRow(id="samples", empty="Samples appear after the first epoch.")

    @property
    def _screen(self) -> HubScreen:
        return cast("HubScreen", self.screen)

    @property
    def model(self) -> str | None:
        """The model that the run under the cursor made."""
        view = self.query_one(RunList).current
        return (view.job.result or {}).get("model_id") if view else None

    def choose(self, job_id: str) -> None:
        """Put the cursor on a run, or leave it where it is, and take the focus."""
        self._shown = job_id or self._shown
        self.show_jobs(self._screen.hub.jobs)
        self.query_one(RunList).focus()

    def show_jobs(self, snapshot: Snapshot) -> None:
        rows = self.query_one(RunList)
        runs = [view for view in snapshot.views if view.job.kind == "train"]
        ids = [view.job.id for view in runs]
        rows.set_items(runs, cursor=ids.index(self._shown) if self._shown in ids else None)

    @on(RowList.Highlighted)
    def _follow(self, event: RowList.Highlighted) -> None:
        event.stop()
        view = self.query_one(RunList).current
        if view is None:
            return
        if view.job.id != self._shown or not self._events.offset:
            self._shown, self._events = view.job.id, RunEvents()
        before = self._events

        def read(_: object) -> RunEvents:
            from tui.services import watch

            return watch.follow(view.job, before)

        self._screen.in_thread(read, lambda found: self._show(view, found), group="run")

    def _show(self, view: JobView, found: RunEvents) -> None:
        if view.job.id != self._shown:
            return
        self._events = found
        self._screen.refresh_actions()
        self.query_one("#run-title", Static).update(f"{view.job.title} · {view.job.state}")
        self.query_one("#run-line", Static).update(run_line(view, found))
        smooth = smoothed(found.losses)
        self.query_one(Plot).show(Series("loss, smoothed", smooth, "first"), Series("each step", found.losses, "third"))
        samples = [(f"epoch {epoch}", Path(path)) for epoch, path in found.samples]
        self.query_one(PictureRow).show(samples)


def smoothed(points: tuple[tuple[float, float], ...], weight: float = 0.9) -> list[tuple[float, float]]:
    """An exponential mean of the losses, corrected for its start."""
    mean, trust = 0.0, 0.0
    result = []
    for x, y in points:
        mean = weight * mean + (1 - weight) * y
        trust = weight * trust + (1 - weight)
        result.append((x, mean / trust))
    return result


def run_line(view: JobView, events: RunEvents) -> str:
    """Progress, time left or taken, and the last words, in one line."""
    job, last, counted = view.job, events.last, events.counted
    if job.error:
        return formats.one_line(job.error)
    parts = []
    if counted is not None and not job.ended:
        share = counted.done / counted.total
        parts.append(
            f"{formats.bar(share, 20)} {share:4.0%}  {counted.done:g} of {counted.total:g} {counted.unit}".rstrip()
        )
    if job.started_at:
        begun = timestamps.parse(job.started_at)
        end = timestamps.parse(job.finished_at) if job.finished_at else formats.now()
        taken = (end - begun).total_seconds()
        if job.ended:
            parts.append(f"took {formats.duration(taken)}")
        elif counted is not None and counted.done:
            left = counted.data.get("eta", taken * (counted.total - counted.done) / counted.done)
            parts.append(f"{formats.duration(left)} left")
    if last is not None and not job.ended and last is not counted:
        parts.append(formats.one_line(f"{last.stage} {last.message}"))
    if job.result and job.result.get("path"):
        parts.append(str(job.result["path"]))
    return "  ·  ".join(parts) or "waiting for its first word …"
