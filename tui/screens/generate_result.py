"""What a drawing job has made: the grid of pictures, and the curve of a sweep."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from textual import on
from textual.containers import Vertical
from textual.widget import Widget
from textual.widgets import Static

from tui import formats, generation
from tui.generation import At
from tui.services.run_events import RunEvents
from tui.services.watch import JobView, Snapshot
from tui.widgets.grid_view import GridView
from tui.widgets.plot import Plot, Series

if TYPE_CHECKING:
    from tui.screens.base import HubScreen

KINDS = ("sweep", "generate")
EMPTY = """Nothing drawn yet.

/    write a prompt
D    draw it
W    sweep the strength of the LoRA under the cursor
C    draw every pair of strengths of two LoRAs"""


class ResultPane(Vertical):
    """Shows the newest drawing job, or the chosen one."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._events = RunEvents()
        self._chosen = ""
        self._view: JobView | None = None

    def compose(self) -> Iterable[Widget]:
        yield Static("Pictures", id="result-title", classes="title", markup=False)
        yield GridView(id="grid")
        yield Plot(id="curve", x_name="strength")
        yield Static("", id="result-line", classes="line", markup=False)

    def on_mount(self) -> None:
        self.query_one(GridView).empty = EMPTY
        self.query_one(Plot).display = False

    @property
    def _screen(self) -> HubScreen:
        return cast("HubScreen", self.screen)

    def choose(self, job_id: str) -> None:
        self._chosen = job_id
        self.show_jobs(self._screen.hub.jobs)
        self.query_one(GridView).focus()

    def show_jobs(self, snapshot: Snapshot) -> None:
        views = [view for view in snapshot.views if view.job.kind in KINDS]
        view = next((view for view in views if view.job.id == self._chosen), None)
        if view is None:
            view = None if self._chosen else next(iter(views), None)
        if view is None:
            return
        if self._view is None or self._view.job.id != view.job.id:
            self._events = RunEvents()
        self._view = view
        before = self._events

        def read(_: object) -> tuple[RunEvents, dict[At, Path]]:
            from tui.services import run_events

            found = run_events.follow(view.job, before)
            return found, generation.cells_of(view.job, found.pictures)

        self._screen.in_thread(read, lambda found: self._show(view, *found), group="result")

    def _show(self, view: JobView, found: RunEvents, cells: dict[At, Path]) -> None:
        self._events = found
        job = view.job
        shape = generation.shape_of(job)
        self.query_one("#result-title", Static).update(f"{job.title} · {job.state}")
        self.query_one("#result-line", Static).update(self._line(view, len(cells)))
        self.query_one(GridView).show(shape, cells)
        self._show_curve((job.result or {}).get("curve") or [])

    def _line(self, view: JobView, cells: int) -> str:
        job = view.job
        if job.error:
            return formats.one_line(job.error)
        if view.share is not None and not job.ended:
            return f"{formats.bar(view.share, 20)} {view.share:4.0%}  {formats.count(cells, 'picture')}"
        result = job.result or {}
        if result.get("suggested") is not None:
            return f"suggested strength {result['suggested']:g}: {result.get('reason') or 'R on its column makes it the recommended one'}"
        return formats.one_line(str(result.get("reason") or result.get("grid_path") or formats.count(cells, "picture")))

    def _show_curve(self, points: list[dict[str, Any]]) -> None:
        plot = self.query_one(Plot)
        plot.display = bool(points)
        distance = [(float(point["strength"]), float(point["distance"])) for point in points]
        clip = [(float(point["strength"]), float(point["clip"])) for point in points if point.get("clip") is not None]
        low, high = (min(y for _, y in clip), max(y for _, y in clip)) if clip else (0.0, 1.0)
        plot.show(
            Series("style distance", distance, "first"),
            Series("CLIP adherence (own scale)", clip, "second", scale=(low, high if high > low else low + 1)),
        )

    @on(GridView.Moved)
    def _moved(self) -> None:
        self._screen.refresh_actions()

    @on(GridView.Opened)
    def _opened(self) -> None:
        from tui.screens.look import LookScreen

        cell = self.query_one(GridView).current
        if cell is not None:
            self.app.push_screen(LookScreen(cell, self._title_of_cell()))

    # the cell under the cursor ------------------------------------------------------------------------------------

    def lacks_cell(self) -> str:
        if self._view is None or self.query_one(GridView).current is None:
            return "there is no finished picture under the cursor"
        return ""

    def strength_of_cell(self) -> tuple[str, float] | None:
        """(version, strength) of the cell, if its grid is the sweep of one LoRA."""
        grid = self.query_one(GridView)
        versions = self._view.job.request.get("version_ids", []) if self._view else []
        if len(versions) != 1 or grid.current is None:
            return None
        return versions[0], float(grid.shape.xs[grid.at[1]])

    def picture_of_cell(self) -> tuple[str, Path] | None:
        """(version, picture); for a plain drawing the version is that of the prompt's first tag."""
        cell = self.query_one(GridView).current
        if self._view is None or cell is None:
            return None
        request = self._view.job.request
        versions = request.get("version_ids") or self._versions_of_tags(request.get("prompt", ""))
        if not versions:
            self._screen.complain("no LoRA made this picture")
            return None
        return versions[0], cell

    def _title_of_cell(self) -> str:
        """``strength 0.5, seed 7``"""
        grid = self.query_one(GridView)
        row, column = grid.at
        parts = [(grid.shape.x_label, grid.shape.xs[column]), (grid.shape.y_label, grid.shape.ys[row])]
        return ", ".join(f"{label} {value}" for label, value in parts if value)

    def _versions_of_tags(self, prompt: str) -> list[str]:
        _, items, _ = generation.take_tags(self._screen.registry, prompt)
        return [item.version_id for item in items]
