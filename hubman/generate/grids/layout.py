"""How a grid of any number of axes lies on flat pages: the first axis across, the second down, the others as pages."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import msgspec

from hubman.generate.grids.grid import Cell, Grid, GridAxis


class Place(msgspec.Struct, frozen=True):
    """A cell's place; all count from 0."""

    page: int
    row: int
    column: int


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """Labels of columns, rows and pages. A grid without a second axis has one row, without a third one page, named ''."""

    x_label: str
    columns: tuple[str, ...]
    y_label: str
    rows: tuple[str, ...]
    pages: tuple[str, ...]
    sizes: tuple[int, ...]
    """Values of each axis."""

    def place(self, at: Sequence[int]) -> Place:
        """Where the cell with these numbers on the axes lies."""
        page = 0
        for number, size in zip(at[2:], self.sizes[2:], strict=True):
            page = page * size + number
        return Place(page, at[1] if len(at) > 1 else 0, at[0])


def lay_out(axes: Sequence[GridAxis]) -> Layout:
    """``axes`` has at least one."""
    across, down = axes[0], axes[1] if len(axes) > 1 else GridAxis(label="", values=("",))
    deeper = axes[2:]
    pages = [
        ", ".join(f"{axis.label} {text}" for axis, text in zip(deeper, chosen, strict=True))
        for chosen in product(*(axis.values for axis in deeper))
    ]
    return Layout(
        x_label=across.label,
        columns=across.values,
        y_label=down.label,
        rows=down.values,
        pages=tuple(pages),
        sizes=tuple(len(axis.values) for axis in axes),
    )


def in_reading_order(grid: Grid) -> list[Cell]:
    """The cells page by page, each row by row."""
    layout = lay_out(grid.axes)

    def place(cell: Cell) -> tuple[int, int, int]:
        found = layout.place(cell.at)
        return found.page, found.row, found.column

    return sorted(grid.cells, key=place)
