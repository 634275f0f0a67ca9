"""The trainings over mode 3: loss, samples by epoch, which epoch to take; pause, stop, go on, compare."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.widget import Widget
from textual.widgets import Static

from tui import actions, run_history, run_record, run_words
from tui.grids import GridShape
from tui.run_record import RunRecord
from tui.screens.base import HubScreen
from tui.services.watch import JobView, Snapshot
from tui.widgets.grid_view import GridView
from tui.widgets.plot import Plot, Series, bounds, middle_bounds
from tui.widgets.rows import RowList
from tui.widgets.run_lists import EpochList, Mark, RunList

if TYPE_CHECKING:
    from pathlib import Path

    from hubman.jobs.records import Job
    from hubman.train.recipe import Recipe
    from registry.database import Registry
    from tui.actions import Action
    from tui.grids import At

EMPTY = """No training yet.

esc  back to the data set; s starts a training there"""


class RunsScreen(HubScreen):
    """Runs and epochs at the left, the run under the cursor at the right."""

    SCOPE = "runs"
    MODE = "train"
    CSS_PATH = "train_runs.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [*actions.bindings("runs")]
    AUTO_FOCUS = "#runs"

    def __init__(self, use: Callable[[Recipe], object], shown: str = "") -> None:
        """``use`` takes the recipe of a run, to train it again with changes."""
        super().__init__()
        self._use, self._shown = use, shown
        self._record: RunRecord | None = None
        self._records: dict[str, RunRecord] = {}
        """What was read of each run that was looked at, to go on from."""
        self._past: list[JobView] = []
        """Trainings that the registry knows of."""
        self._marks: dict[Mark, None] = {}
        """In the order in which they were marked."""

    def body(self) -> Iterable[Widget]:
        with Horizontal(id="panes"):
            with Vertical(id="lists"):
                yield Static("Trainings", classes="title", markup=False)
                yield RunList(id="runs")
                yield Static("Epochs", id="epochs-title", classes="title", markup=False)
                yield EpochList(id="epochs")
            with Vertical(id="live"):
                yield Static("", id="run-title", classes="title", markup=False)
                yield Static("", id="run-line", markup=False)
                yield Static("", id="run-facts", markup=False)
                yield Plot(id="loss", x_name="step", empty="The loss appears with the first steps.")
                yield Static("", id="best", markup=False)
                yield GridView(id="samples")
                yield Static("", id="prompt", classes="line", markup=False)

    def on_mount(self) -> None:
        self.query_one(RunList).empty = EMPTY
        self.query_one(EpochList).empty = "appear with the run"
        self.query_one(GridView).empty = "Samples appear at the start and after each epoch."
        self.show_changes()

    # runs ---------------------------------------------------------------------------------------------------------

    def choose(self, job_id: str) -> None:
        """Put the cursor on a run."""
        self._shown = job_id
        self.show_jobs(self.hub.jobs)
        self.query_one(RunList).focus()

    def show_jobs(self, snapshot: Snapshot) -> None:
        rows = self.query_one(RunList)
        jobs = [view for view in snapshot.views if view.job.kind == "train"]
        made = {(view.job.result or {}).get("version_id", "") for view in jobs}
        runs = [*jobs, *run_history.without(self._past, made)]
        rows.places = run_record.queue_places(runs)
        ids = [view.job.id for view in runs]
        rows.set_items(runs, cursor=ids.index(self._shown) if self._shown in ids else None)

    def show_changes(self) -> None:
        self.in_thread(run_history.views, self._take_past, group="past")

    def _take_past(self, past: list[JobView]) -> None:
        self._past = past
        self.show_jobs(self.hub.jobs)

    @property
    def view(self) -> JobView | None:
        return self.query_one(RunList).current

    @property
    def model(self) -> str | None:
        """The model that the run under the cursor made."""
        return (self.view.job.result or {}).get("model_id") if self.view else None

    @on(RowList.Highlighted, "#runs")
    def _follow(self) -> None:
        view = self.view
        self.refresh_actions()
        if view is None:
            return
        self._shown = view.job.id
        before = self._records.get(view.job.id)
        self.in_thread(
            lambda registry: _read(registry, view.job, before),
            lambda found: self._show(view, found),
            group="run",
        )

    def _show(self, view: JobView, record: RunRecord) -> None:
        self._records[view.job.id] = record
        if view.job.id != self._shown:
            return
        is_other = self._record is None or self._record.job.id != view.job.id
        self._record = record
        self.put("#run-title", f"{view.job.title} · {'paused' if view.paused else view.job.state}")
        self.put("#run-line", run_words.progress_line(view, record), grows=True)
        self.put("#run-facts", run_words.facts_line(record), grows=True)
        self.put("#best", run_words.proposal_line(record) if record.epochs else "", grows=True)
        self._show_curves(record)
        self._show_epochs(record, to_best=is_other)
        self._show_samples(record)
        self.refresh_actions()

    def _show_curves(self, record: RunRecord) -> None:
        events = record.events
        smooth = run_record.smoothed(events.losses, run_record.smoothing(len(events.losses)))
        shared = [loss for _, loss in events.losses]
        low, high = middle_bounds(shared) if shared else (0.0, 1.0)
        marks = [loss for _, loss in events.validations]
        y_range = bounds([low, high, *marks, *(loss for _, loss in smooth)])
        top = max((rate for _, rate in events.rates), default=0.0)
        self.query_one(Plot).show(
            Series("validation", events.validations, "second", mark="◆"),
            Series("loss, smoothed", smooth, "first", over=True),
            Series("each step", events.losses, "faint"),
            Series("learning rate", events.rates, "third", scale=(0.0, top * 1.05 or 1.0)),
            y_range=y_range if shared else None,
        )

    # epochs -------------------------------------------------------------------------------------------------------

    def _show_epochs(self, record: RunRecord, *, to_best: bool) -> None:
        rows = self.query_one(EpochList)
        rows.run, rows.best = record.job.id, record.best.epoch if record.best else None
        numbers = [epoch.number for epoch in record.epochs]
        rows.set_items(record.epochs, cursor=numbers.index(record.chosen) if to_best and numbers else None)

    @on(RowList.Highlighted, "#epochs")
    def _epoch_chosen(self) -> None:
        grid = self.query_one(GridView)
        if self.query_one(EpochList).row_count:
            grid.at = (grid.at[0], self.query_one(EpochList).cursor)
        self.refresh_actions()

    def _show_samples(self, record: RunRecord) -> None:
        grid = self.query_one(GridView)
        best = record.best.epoch if record.best else None
        names = tuple(
            "base" if not epoch.number else f"epoch {epoch.number}{' ★' if epoch.number == best else ''}"
            for epoch in record.epochs
        )
        prompts = tuple(f"prompt {number}" for number in range(1, len(record.prompts) + 1))
        before = grid.at
        grid.show(GridShape("", names if prompts else (), "", prompts), _cells(record))
        grid.at = before[0], self.query_one(EpochList).cursor

    @on(GridView.Moved)
    def _sample_chosen(self) -> None:
        record, (row, column) = self._record, self.query_one(GridView).at
        if record is None or row >= len(record.prompts):
            self.put("#prompt", "")
            return
        self.put("#prompt", f"prompt {row + 1}: {record.prompts[row] or 'no words'}")
        if self.query_one(GridView).has_focus:
            self.query_one(EpochList).cursor = column

    @on(GridView.Opened)
    def _look(self) -> None:
        from tui.screens.look import LookScreen

        grid, record = self.query_one(GridView), self._record
        if grid.current is not None and record is not None:
            row, column = grid.at
            self.app.push_screen(LookScreen(grid.current, f"{grid.shape.xs[column]} · {record.prompts[row]}"))

    @on(RowList.Chosen, "#runs")
    def _to_epochs(self) -> None:
        self.query_one(EpochList).focus()

    @on(RowList.Chosen, "#epochs")
    def _to_samples(self) -> None:
        self.query_one(GridView).focus()

    # what can be done ---------------------------------------------------------------------------------------------

    def lacks(self, need: str) -> str:
        view, record = self.view, self._record
        if view is None:
            return "there is no training yet"
        job = view.job
        lacking = {
            "epoch": (record is None or record.last is None) and "it has no epoch yet",
            "marks": len(self._marks) < 2 and "mark two or more epochs or trainings first (space)",
            "running": job.ended and f"this training is already {job.state}",
            "resumable": job.state not in {"failed", "cancelled"}
            and f"this training is {job.state}; only a failed or stopped one can be resumed",
            "trained": self.model is None and "this needs a finished training",
            "recipe": self._no_recipe(),
        }
        return lacking[need] or ""

    def _no_recipe(self) -> str:
        if self._record is None or self._record.recipe is None:
            return "its recipe can't be read"
        return "" if self._record.recipe.dataset else "its images are not on this machine"

    def do_mark(self) -> None:
        """The epoch under the cursor; on the list of runs the one that stands for the run, or no longer any of it."""
        record = self._record
        if record is None:
            return
        of_run = [mark for mark in self._marks if mark[0] == record.job.id]
        epoch = self.query_one(EpochList).current
        if self.query_one(RunList).has_focus and of_run:
            for mark in of_run:
                del self._marks[mark]
        elif self.query_one(RunList).has_focus or epoch is None:
            self._turn((record.job.id, record.chosen))
        elif epoch.is_there:
            self._turn((record.job.id, epoch.number))
        else:
            self.complain(f"epoch {epoch.number} is still to come")
        self._show_marks()

    def _turn(self, mark: Mark) -> None:
        if mark in self._marks:
            del self._marks[mark]
        else:
            self._marks[mark] = None

    def _show_marks(self) -> None:
        for rows in (self.query_one(RunList), self.query_one(EpochList)):
            rows.marks = frozenset(self._marks)
            rows.refresh()
        self.refresh_actions()

    def do_compare(self) -> None:
        from tui.screens.train_compare import CompareScreen

        # A marked run was looked at, so it was read.
        self.app.push_screen(CompareScreen([(self._records[run], epoch) for run, epoch in self._marks]))

    def label_of(self, action: Action) -> str:
        if action.id == "runs.pause" and self.view is not None and self.view.paused:
            return "go on"
        return action.label

    def do_pause(self) -> None:
        """Let it wait with all that it has loaded, or go on."""
        if self.view is not None and self.view.paused:
            self._tell("resume", "goes on")
        else:
            self._tell("pause", "waits after this step, with all that it has loaded; P goes on")

    def do_stop(self) -> None:
        self._tell("cancel", "stops after this step and keeps a checkpoint; r goes on from it")

    def do_resume(self) -> None:
        self._tell("resume", "goes on from its last checkpoint")

    def _tell(self, verb: str, said: str) -> None:
        view = self.view
        if view is None:
            return

        def work(registry: Registry) -> Job:
            from hubman.jobs import store

            verbs: dict[str, Callable[[Registry, str], Job]] = {
                "cancel": store.cancel, "pause": store.pause, "resume": store.resume,
            }  # fmt: skip
            return verbs[verb](registry, view.job.id)

        def done(job: Job) -> None:
            self.say(f"{job.title} {said}")
            self.hub.poll_soon()

        self.change(work, done)

    def do_again(self) -> None:
        record = self._record
        if record is not None and record.recipe is not None:
            self._use(record.recipe)
            self.dismiss(None)

    @property
    def version(self) -> str | None:
        """The version that the epoch under the cursor became; None where only the model is known."""
        epoch, record = self.query_one(EpochList).current, self._record
        return record.versions.get(epoch.number) if epoch is not None and record is not None else None

    async def do_test(self) -> None:
        """The epoch under the cursor, with a sweep of its strength prepared."""
        from tui.screens.generate import GenerateScreen

        model, version = self.model, self.version
        await self.app.switch_mode("generate")
        if model is not None and isinstance(self.app.screen, GenerateScreen):
            self.app.screen.take_versions([(model, version)], to_sweep=True)

    def do_publish(self) -> None:
        """The epoch under the cursor, or the newest version."""
        from tui import publish_subject
        from tui.screens.publish import PublishScreen

        model, version = self.model, self.version
        if version is not None:
            self.app.push_screen(PublishScreen([version]))
        elif model is not None:
            self.in_thread(
                lambda registry: publish_subject.newest(registry, [model]),
                lambda versions: self.app.push_screen(PublishScreen(versions)),
                group="subject",
            )

    def do_back(self) -> None:
        self.dismiss(None)


def _read(registry: Registry, job: Job, before: RunRecord | None) -> RunRecord:
    if run_history.is_past(job):
        return run_history.read(registry, job)
    return run_record.read(registry, job, before)


def _cells(record: RunRecord) -> dict[At, Path]:
    """The samples by (prompt, epoch)."""
    return {
        (row, column): record.sample_at[epoch.number, prompt]
        for column, epoch in enumerate(record.epochs)
        for row, prompt in enumerate(record.prompts)
        if (epoch.number, prompt) in record.sample_at
    }
