"""What a drawing job has made: the grid of pictures, and the curve of a sweep."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, cast

from textual import events, on
from textual.containers import Vertical
from textual.widget import Widget
from textual.widgets import Static

from tui import formats, grids, sweep_curve
from tui.grids import Filled, Place
from tui.services.run_events import RunEvents
from tui.services.watch import JobView, Snapshot
from tui.widgets.grid_view import GridView
from tui.widgets.plot import Plot

if TYPE_CHECKING:
    from hubman.generate.guards import Guard
    from hubman.generate.request import DrawRequest
    from hubman.jobs.records import Job
    from tui.screens.base import HubScreen
    from tui.screens.look import Titled

KINDS = ("sweep", "generate")
EMPTY = """Nothing drawn yet.

/    write a prompt
D    draw it
W    sweep the strength of a LoRA
C    pair the strengths of two
x    add an axis, M draws the grid
L    load a recipe or a picture"""

Drawn = tuple["Guard[DrawRequest]", ...]


class ResultPane(Vertical):
    """Shows the newest drawing job, or the chosen one."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._events = RunEvents()
        self._chosen = ""
        self._view: JobView | None = None
        self._filled = Filled(grids.GridShape("", (), "", ()))
        self._page = 0
        self._pinned: Titled | None = None
        self._told: dict[str, str] = {}
        """What finished pictures told of their LoRAs, by job."""

    def compose(self) -> Iterable[Widget]:
        yield Static("Pictures", id="result-title", classes="title", markup=False)
        yield GridView(id="grid")
        yield Plot(id="curve", x_name="strength")
        yield Static("", id="result-line", classes="line", markup=False)
        yield Static("", id="cell-line", classes="line", markup=False)

    def on_mount(self) -> None:
        self.query_one(GridView).empty = EMPTY
        self.query_one(Plot).display = False
        self.query_one("#cell-line").display = False

    @property
    def _screen(self) -> HubScreen:
        return cast("HubScreen", self.screen)

    @property
    def grid(self) -> GridView:
        return self.query_one(GridView)

    @property
    def job(self) -> Job | None:
        """The job that is shown."""
        return self._view.job if self._view else None

    @property
    def in_grid(self) -> bool:
        return self.grid.has_focus

    # what is shown ------------------------------------------------------------------------------------------------

    def choose(self, job_id: str) -> None:
        self._chosen = job_id
        self.show_jobs(self._screen.hub.jobs)
        self.grid.focus()

    def show_jobs(self, snapshot: Snapshot) -> None:
        views = [view for view in snapshot.views if view.job.kind in KINDS]
        view = next((view for view in views if view.job.id == self._chosen), None)
        if view is None:
            view = None if self._chosen else next(iter(views), None)
        if view is None:
            return
        if self._view is None or self._view.job.id != view.job.id:
            self._events = RunEvents()
            self._page = 0
        self._view = view
        before = self._events

        def read(_: object) -> tuple[RunEvents, Filled]:
            from tui.services import run_events

            found = run_events.follow(view.job, before)
            return found, grids.look(view.job, found.pictures)

        self._screen.in_thread(read, lambda found: self._show(view, *found), group="result")

    def _show(self, view: JobView, found: RunEvents, filled: Filled) -> None:
        self._events, self._filled = found, filled
        self._show_page()
        curve = sweep_curve.read(view.job.result or {})
        plot = self.query_one(Plot)
        plot.display = bool(curve.points)
        plot.show(*sweep_curve.series(curve))
        self._look_at_drawn(view.job)
        self._say()

    def _show_page(self) -> None:
        shape = self._filled.shape
        self._page = max(0, min(self._page, len(shape.pages) - 1))
        self.grid.show(shape, self._filled.page(self._page), self._filled.previews_of(self._page))

    def _say(self) -> None:
        view = self._view
        if view is None:
            return
        pages = self._filled.shape.pages
        page = f" · {self._page + 1}/{len(pages)} {pages[self._page]}" if len(pages) > 1 else ""
        self.query_one("#result-title", Static).update(f"{formats.one_line(view.job.title)} · {view.job.state}{page}")
        self.query_one("#result-line", Static).update(self._line(view, len(self._filled.pictures)))
        self._say_cell()
        self._screen.refresh_actions()

    def _say_cell(self) -> None:
        """What the cell shows, beside what is pinned."""
        line = self.query_one("#cell-line", Static)
        pinned = f"pinned: {self._pinned[1]}  f flips" if self._pinned else ""
        cell = self.title_of_cell if self.cell is not None else ""
        line.update("  ".join(part for part in (cell, pinned) if part))
        line.display = bool(cell or pinned)

    def _line(self, view: JobView, cells: int) -> str:
        job = view.job
        if job.error:
            return formats.one_line(job.error)
        if view.share is not None and not job.ended:
            return f"{formats.bar(view.share, 20)} {view.share:4.0%}  {formats.count(cells, 'picture')}"
        told = self._told.get(job.id)
        if told:
            return f"! {told}"
        return sweep_curve.words(job.result or {}) or formats.count(cells, "picture")

    def _look_at_drawn(self, job: Job) -> None:
        """Once it is done, look whether a LoRA did nothing."""
        filled = self._filled
        if job.state != "done" or job.id in self._told or not filled.requests:
            return

        def show(found: Drawn) -> None:
            self._told[job.id] = formats.one_line(f"{found[0].message}: {found[0].reason}") if found else ""
            self._say()

        self._screen.in_thread(lambda _: grids.drawn_remarks(filled), show, group="drawn")

    def turn(self, by: int) -> None:
        """Show another page."""
        self._page += by
        self._show_page()
        self._say()

    @on(GridView.Moved)
    def _moved(self) -> None:
        self._say_cell()
        self._screen.refresh_actions()

    @on(GridView.Opened)
    def _opened(self) -> None:
        from tui.screens.look import LookScreen

        found = self.cell
        if found is not None:
            self.app.push_screen(LookScreen(found[2], self.title_of_cell))

    # the cell under the cursor ------------------------------------------------------------------------------------

    @property
    def cell(self) -> tuple[Filled, Place, Path] | None:
        """The grid, the place and the picture under the cursor, if it is finished."""
        path = self.grid.current
        return (self._filled, (self._page, *self.grid.at), path) if self._view and path is not None else None

    @property
    def swept(self) -> str:
        """The name of the LoRA whose strength varies, if it is one."""
        axes = [
            label for label, kind in zip(self._labels, self._filled.shape.kinds, strict=False) if kind == "strength"
        ]
        return axes[0] if len(axes) == 1 else ""

    @property
    def _labels(self) -> tuple[str, str]:
        return self._filled.shape.x_label, self._filled.shape.y_label

    @property
    def title_of_cell(self) -> str:
        """``strength 0.5, seed 7``"""
        shape, (row, column) = self._filled.shape, self.grid.at
        if row >= len(shape.ys) or column >= len(shape.xs):
            return ""
        parts = [(shape.x_label, shape.xs[column]), (shape.y_label, shape.ys[row])]
        told = [f"{label} {value}" for label, value in parts if value]
        return ", ".join([*told, *filter(None, [shape.pages[self._page]])])

    # comparing ----------------------------------------------------------------------------------------------------

    def pin(self) -> None:
        """Pin the cell, or unpin it."""
        found = self.cell
        if found is None:
            return
        here = (found[2], self.title_of_cell)
        self._pinned = None if self._pinned == here else here
        self.grid.pinned = self._pinned[0] if self._pinned else None
        self._say_cell()

    @property
    def pinned(self) -> Path | None:
        return self._pinned[0] if self._pinned else None

    @property
    def pair(self) -> tuple[Titled, Titled] | None:
        """The pinned picture and the one under the cursor, if they are two."""
        found = self.cell
        if self._pinned is None or found is None or found[2] == self._pinned[0]:
            return None
        return self._pinned, (found[2], self.title_of_cell)

    @property
    def has_pages(self) -> bool:
        return len(self._filled.shape.pages) > 1

    def on_click(self, event: events.Click) -> None:
        """A click on the title chooses among the results."""
        if event.widget is self.query_one("#result-title"):
            self.call_later(self.run_action, "screen.act('generate.results')")
