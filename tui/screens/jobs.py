"""Mode 6: long work, wherever it was started."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.widget import Widget
from textual.widgets import Static

from tui import actions, formats
from tui.screens.base import HubScreen
from tui.services.run_events import RunEvents
from tui.services.watch import JobView, Snapshot
from tui.widgets.columns import Column
from tui.widgets.rows import Cell, RowList

if TYPE_CHECKING:
    from hubman.jobs.records import Job
    from registry.database import Registry

EMPTY = """No job yet.

Scans, pulls, trainings, sweeps, publishing and syncs run as jobs: they go on when hubman is closed,
and can be cancelled and resumed here.

1    add folders and pull models
3    train a LoRA"""

_STATES = {"queued": "muted", "running": "accent", "done": "good", "failed": "bad", "cancelled": "warn"}
BAR = 14


class JobList(RowList[JobView]):
    """Jobs, the newest first, with their progress."""

    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("Kind", 8),
        Column("Job", 18, grow=True),
        Column("State", 9),
        Column("Progress", BAR + 5, drop=1),
        Column("What it does", 24, grow=True, drop=2),
        Column("Started", 7, drop=3, right=True),
    )

    def cells(self, item: JobView) -> Sequence[Cell]:
        job, share = item.job, item.share
        running = not job.ended
        progress = f"{formats.bar(share, BAR)} {share:4.0%}" if share is not None else ""
        return (
            (job.kind, "muted"),
            (formats.one_line(job.title), ""),
            (job.state, _STATES[job.state]),
            (progress, "accent" if running else "muted"),
            (says(item), "bad" if job.state == "failed" else "muted"),
            (formats.age(job.created_at), "muted"),
        )


def says(view: JobView) -> str:
    """What a job is doing, or how it ended, in one line."""
    if view.job.error:
        return formats.one_line(view.job.error)
    if view.progress is None or view.job.ended:
        return ""
    progress = view.progress
    count = f" {progress.done:g} of {progress.total:g} {progress.unit}".rstrip() if progress.total else ""
    return formats.one_line(f"{progress.stage}{count}  {progress.message}")


def result_lines(result: dict[str, Any]) -> list[str]:
    """What came of a job, a line for each thing; of a list only its length."""
    lines = []
    for name, value in result.items():
        if isinstance(value, list | dict):
            text = formats.count(len(value), "entry").replace("entrys", "entries") if value else ""
        else:
            text = "" if value is None else formats.one_line(str(value))
        if text:
            lines.append(f"{name.replace('_', ' '):<18}{text}")
    return lines


class JobsScreen(HubScreen):
    """The list, and the events of the one under the cursor."""

    SCOPE = "jobs"
    CSS_PATH = "jobs.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [*actions.bindings("jobs")]
    AUTO_FOCUS = "#jobs"

    def __init__(self) -> None:
        super().__init__()
        self._events = RunEvents()
        self._shown = ""

    def body(self) -> Iterable[Widget]:
        yield JobList(id="jobs")
        with VerticalScroll(id="about"):
            yield Static("", id="events", markup=False)

    def on_mount(self) -> None:
        self.query_one(JobList).empty = EMPTY
        self.hub.poll_soon()

    def show_jobs(self, snapshot: Snapshot) -> None:
        rows = self.query_one(JobList)
        current = rows.current.job.id if rows.current else ""
        ids = [view.job.id for view in snapshot.views]
        rows.set_items(snapshot.views, cursor=ids.index(current) if current in ids else None)

    @property
    def current(self) -> JobView | None:
        return self.query_one(JobList).current

    def lacks(self, need: str) -> str:
        if self.current is None:
            return "there is no job"
        job = self.current.job
        if need == "running" and job.ended:
            return f"this job is already {job.state}"
        if need == "resumable" and job.state not in {"failed", "cancelled"}:
            return f"this job is {job.state}; only a failed or cancelled one can be resumed"
        if need == "done" and job.state != "done" and job.kind != "publish":
            return f"this job is {job.state}"
        return ""

    # events -------------------------------------------------------------------------------------------------------

    @on(RowList.Highlighted)
    def _follow(self) -> None:
        self.refresh_actions()
        view = self.current
        if view is None:
            self.query_one("#events", Static).update("")
            return
        if view.job.id != self._shown:
            self._shown, self._events = view.job.id, RunEvents()
        before = self._events
        self.in_thread(lambda _: _read(view.job, before), lambda found: self._show(view, found), group="events")

    def _show(self, view: JobView, found: RunEvents) -> None:
        self._events = found
        job = view.job
        lines = [f"{job.title}", f"{job.kind} · {job.state} · {formats.age(job.created_at)} · job {job.id[-6:]}"]
        if job.error:
            lines += ["", f"error: {job.error}"]
        if job.result:
            lines += ["", *result_lines(job.result)]
        if found.log:
            lines += ["", *found.log[-200:]]
        elif not job.ended:
            lines += ["", "waiting for its first word …"]
        self.query_one("#events", Static).update("\n".join(lines))

    @on(RowList.Chosen)
    def _open(self) -> None:
        self.query_one("#about", VerticalScroll).focus()

    def do_log(self) -> None:
        view = self.current
        if view is None:
            return

        def show(text: str) -> None:
            from tui.widgets.dialogs import Show

            self.app.push_screen(Show(f"log of {view.job.title}", text or "It printed nothing."))

        self.in_thread(lambda _: _log(view.job), show, group="log")

    # changes ------------------------------------------------------------------------------------------------------

    def do_cancel(self) -> None:
        self._tell("cancel", "will stop at its next safe point")

    def do_resume(self) -> None:
        self._tell("resume", "goes on")

    def _tell(self, verb: str, said: str) -> None:
        view = self.current
        if view is None:
            return

        def work(registry: Registry) -> Job:
            from hubman.jobs import store

            return (store.cancel if verb == "cancel" else store.resume)(registry, view.job.id)

        def done(job: Job) -> None:
            self.say(f"{job.title} {said}")
            self.hub.poll_soon()

        self.change(work, done)

    async def do_show(self) -> None:
        view = self.current
        if view is None:
            return
        if view.job.kind == "publish":
            from tui.screens import publish_run

            self.app.push_screen(publish_run.of_job(view.job))
            return
        mode = {"train": "train", "sweep": "generate", "generate": "generate", "sync": "sync", "check": "sync"}.get(
            view.job.kind, "library"
        )
        await self.app.switch_mode(mode)
        show_job = getattr(self.app.screen, "show_job", None)
        if show_job is not None:
            show_job(view.job)


def _read(job: Job, before: RunEvents) -> RunEvents:
    from tui.services import run_events

    return run_events.follow(job, before)


def _log(job: Job) -> str:
    try:
        return job.log_path.read_text(errors="replace")[-50_000:]
    except OSError:
        return ""
