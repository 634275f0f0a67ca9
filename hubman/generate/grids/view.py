"""A grid to look at while it fills: which cells are there, where their pictures lie, what they are called."""

from __future__ import annotations

from pathlib import Path

import msgspec

from hubman.generate.grids.cells import cell_path, store_of
from hubman.generate.grids.grid import GRID_FILE, GridAxis, load_grid
from hubman.generate.grids.layout import Layout, Place, lay_out
from hubman.generate.request import DrawRequest
from registry.errors import DamagedFileError, NotFoundError


class ShownCell(msgspec.Struct, frozen=True, kw_only=True):
    """One cell. Cells of one request have the same ``key`` and picture."""

    at: tuple[int, ...]
    """The number of its value on each axis."""
    place: Place
    labels: tuple[str, ...]
    """Its value on each axis, as shown."""
    key: str
    path: str
    """Where its picture lies; empty while it is not drawn."""
    request: DrawRequest


class GridView(msgspec.Struct, frozen=True, kw_only=True):
    """A grid as it is now; ``drawn`` of ``total`` distinct pictures are there."""

    id: str
    title: str
    axes: tuple[GridAxis, ...]
    layout: Layout
    cells: tuple[ShownCell, ...]
    drawn: int
    total: int

    def page(self, number: int) -> dict[tuple[int, int], ShownCell]:
        """The cells of a page by (row, column)."""
        return {(c.place.row, c.place.column): c for c in self.cells if c.place.page == number}

    def in_reading_order(self) -> list[ShownCell]:
        """The cells page by page, each row by row."""
        return sorted(self.cells, key=lambda cell: (cell.place.page, cell.place.row, cell.place.column))


class GridReader:
    """Looks at one grid again and again: a look asks the disk only for the pictures that were not there before.

    Making one raises ``NotFoundError`` and ``DamagedFileError``.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._grid = load_grid(folder)
        self._layout = lay_out(self._grid.axes)
        self._keys = [cell.request.key() for cell in self._grid.cells]
        store = store_of(folder)
        requests = {key: cell.request for key, cell in zip(self._keys, self._grid.cells, strict=True)}
        self._missing = {key: cell_path(store, request) for key, request in requests.items()}
        self._there: dict[str, str] = {}

    def look(self) -> GridView:
        """The grid as it is now."""
        arrived = {key: str(path) for key, path in self._missing.items() if path.is_file()}
        self._there |= arrived
        for key in arrived:
            del self._missing[key]
        axes = self._grid.axes
        cells = [
            ShownCell(
                at=cell.at,
                place=self._layout.place(cell.at),
                labels=tuple(axis.values[i] for axis, i in zip(axes, cell.at, strict=True)),
                key=key,
                path=self._there.get(key, ""),
                request=cell.request,
            )
            for key, cell in zip(self._keys, self._grid.cells, strict=True)
        ]
        return GridView(
            id=self.folder.name,
            title=self._grid.title,
            axes=axes,
            layout=self._layout,
            cells=tuple(cells),
            drawn=len(self._there),
            total=len(self._there) + len(self._missing),
        )


class GridSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a list of grids. ``problem`` says why a damaged one cannot be read."""

    id: str
    title: str
    axes: tuple[str, ...]
    drawn: int
    total: int
    changed: float
    """When its plan was written, in seconds since 1970."""
    problem: str = ""


def grids(generations: Path) -> tuple[GridSummary, ...]:
    """All grids of the folder that grids are kept in, the newest first."""
    plans = [path for path in generations.glob(f"*/{GRID_FILE}") if path.is_file()]
    return tuple(sorted(map(_summary, plans), key=lambda one: -one.changed))


def _summary(plan: Path) -> GridSummary:
    changed = plan.stat().st_mtime
    try:
        seen = GridReader(plan.parent).look()
    except (NotFoundError, DamagedFileError) as error:
        return GridSummary(
            id=plan.parent.name, title="", axes=(), drawn=0, total=0, changed=changed, problem=error.message
        )
    labels = tuple(f"{axis.label} ({len(axis.values)})" for axis in seen.axes)
    return GridSummary(id=seen.id, title=seen.title, axes=labels, drawn=seen.drawn, total=seen.total, changed=changed)
