"""Epochs and trainings side by side over the trainings: facts, differences between recipes, samples."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from textual import on
from textual.binding import BindingType
from textual.containers import Vertical
from textual.widget import Widget
from textual.widgets import Static

from tui import actions, run_comparison
from tui.grids import GridShape
from tui.run_comparison import FactRow, Subject
from tui.screens.base import HubScreen
from tui.widgets.columns import Column
from tui.widgets.grid_view import GridView
from tui.widgets.rows import Cell, RowList


class FactList(RowList[FactRow]):
    """A line for each fact, a column for each subject."""

    def __init__(self, names: Sequence[str], *, id: str | None = None) -> None:
        super().__init__(id=id)
        width = max(12, *(len(name) for name in names))
        # One more column for each subject; the last ones leave first where they do not fit.
        subjects = (Column(name, min(width, 28), drop=number) for number, name in enumerate(names))
        self._columns = (Column("", 18), *subjects, Column("", 0, grow=True))

    @property
    def columns(self) -> tuple[Column, ...]:
        return self._columns

    def cells(self, item: FactRow) -> Sequence[Cell]:
        if item.heading:
            return [(item.name, "accent"), *(("", "") for _ in self.columns[1:])]
        values = [(value, "good" if column == item.best else "") for column, value in enumerate(item.values)]
        return [(item.name.replace("_", " "), "muted"), *values, ("", "")]


class CompareScreen(HubScreen):
    """What was marked, in the order in which it was marked."""

    SCOPE = "compare"
    MODE = "train"
    CSS_PATH = "train_compare.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [*actions.bindings("compare")]
    AUTO_FOCUS = "#samples"

    def __init__(self, subjects: Sequence[Subject]) -> None:
        super().__init__()
        self._subjects = tuple(subjects)
        self._names = tuple(map(run_comparison.name_of, self._subjects))
        self._prompts = run_comparison.prompts_of(self._subjects)

    def body(self) -> Iterable[Widget]:
        yield Static("Comparison", classes="title", markup=False)
        with Vertical(id="compared"):
            yield FactList(self._names, id="facts")
            yield GridView(id="samples")
            yield Static("", id="prompt", classes="line", markup=False)

    def on_mount(self) -> None:
        rows = run_comparison.fact_rows(self._subjects)
        facts = self.query_one(FactList)
        facts.set_items(rows)
        facts.styles.max_height = len(rows) + 1
        grid = self.query_one(GridView)
        grid.empty = "No samples were drawn."
        labels = tuple(f"prompt {number}" for number in range(1, len(self._prompts) + 1))
        shape = GridShape("", self._names if labels else (), "", labels)
        grid.show(shape, run_comparison.samples_of(self._subjects))

    @on(GridView.Moved)
    def _tell_prompt(self) -> None:
        row = self.query_one(GridView).at[0]
        text = f"prompt {row + 1}: {self._prompts[row] or 'no words'}" if row < len(self._prompts) else ""
        self.put("#prompt", text)

    @on(GridView.Opened)
    def _look(self) -> None:
        from tui.screens.look import LookScreen

        grid = self.query_one(GridView)
        if grid.current is not None:
            self.app.push_screen(LookScreen(grid.current, self._names[grid.at[1]]))

    def do_back(self) -> None:
        self.dismiss(None)
