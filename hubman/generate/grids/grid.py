"""A grid as data: axes, and a request for each combination of their values. ``grid.json`` in a folder of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path

import msgspec

from hubman.generate.axes import Axis, Point
from hubman.generate.files import replace_file
from hubman.generate.request import DrawRequest, check
from registry.decodable import decodable
from registry.errors import DamagedFileError, NotFoundError, UsageError

GRID_FILE = "grid.json"
MAX_CELLS = 100_000


class GridAxis(msgspec.Struct, frozen=True, kw_only=True):
    """What varies: ``kind`` is its word (``strength``, ``seed``, …), ``values`` are labels in their order."""

    label: str
    values: tuple[str, ...]
    kind: str = ""
    target: str = ""
    """The name of the LoRA that it is of, if of one."""
    cost: int = 0
    """How dear a change of its value is, see ``axes.Cost``: the dearest stands still the longest."""


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """``at`` is the number of its value on each axis."""

    at: tuple[int, ...]
    request: DrawRequest


class Grid(msgspec.Struct, frozen=True, kw_only=True):
    """Every combination of the axes' values. Cells that resolve to the same request share one picture."""

    title: str
    axes: tuple[GridAxis, ...]
    cells: tuple[Cell, ...]

    def requests(self) -> dict[str, DrawRequest]:
        """The distinct requests by key, in the order of the cells."""
        return {cell.request.key(): cell.request for cell in self.cells}


def make_grid(request: DrawRequest, axes: Sequence[Axis], *, title: str) -> Grid:
    """Apply every combination of the axes' points to ``request``; the last axis varies fastest.

    Raises ``UsageError`` if an axis is empty, two of them set the same thing, there are over 100,000 cells, or values do
    not go together, such as a sampler and a schedule type.
    """
    _check(axes)
    cells = []
    for at in product(*(range(len(axis.points)) for axis in axes)):
        drawn = _apply(request, [(axis, axis.points[i]) for axis, i in zip(axes, at, strict=True)])
        cells.append(Cell(at=at, request=settled(request, drawn)))
        check(drawn)
    shown = [
        GridAxis(
            label=axis.label,
            values=tuple(point.text for point in axis.points),
            kind=axis.kind,
            target=axis.target,
            cost=int(axis.cost),
        )
        for axis in axes
    ]
    return Grid(title=title, axes=tuple(shown), cells=tuple(cells))


def _check(axes: Sequence[Axis]) -> None:
    if not axes:
        raise UsageError("a grid needs an axis", "for instance seed=1-4")
    total = 1
    for number, axis in enumerate(axes):
        total *= len(axis.points)
        if not axis.points:
            raise UsageError(f"the axis {axis.label} has no values")
        for other in axes[:number]:
            if both := axis.sets & other.sets:
                raise UsageError(f"two axes set {min(both)}", "leave one of them out, or write all values on one")
    if total > MAX_CELLS:
        raise UsageError(f"a grid of {total:,} cells", f"take fewer values: {MAX_CELLS:,} at most")


def _apply(request: DrawRequest, chosen: Sequence[tuple[Axis, Point]]) -> DrawRequest:
    # Files first and what switches LoRAs off last, whatever the order on the page.
    for _, point in sorted(chosen, key=lambda pair: pair[0].stage):
        request = point.apply(request)
    return request


def settled(template: DrawRequest, request: DrawRequest) -> DrawRequest:
    """``request``, made of ``template``, with each LoRA at strength 0 as one plain request has it.

    It does nothing whatever its file, blocks and steps are, so one picture serves all of them.
    """
    off = [not (use.strength or use.text_strength) for use in request.loras]
    if request.mode in {"switch", "composite"}:
        # There each LoRA has its turn or its prediction, also one at strength 0.
        kept = tuple(use for use, is_off in zip(request.loras, off, strict=True) if not is_off)
        return msgspec.structs.replace(request, loras=kept)
    plain = {"strength": 0.0, "te_strength": None, "start": 0, "stop": None, "blocks": "", "rank": None}
    loras = tuple(
        msgspec.structs.replace(before, **plain) if is_off else use
        for use, before, is_off in zip(request.loras, template.loras, off, strict=True)
    )
    return msgspec.structs.replace(request, loras=loras)


def moved(grid: Grid, locate: Callable[[DrawRequest], DrawRequest]) -> Grid:
    """``grid`` with each request as ``locate`` gives it, which changes where files lie and no picture."""
    cells = [msgspec.structs.replace(cell, request=locate(cell.request)) for cell in grid.cells]
    return msgspec.structs.replace(grid, cells=tuple(cells))


def save_grid(grid: Grid, folder: Path) -> Path:
    """Write ``grid.json`` atomically."""
    path = folder / GRID_FILE
    replace_file(path, lambda file: file.write(msgspec.json.format(msgspec.json.encode(grid))))
    return path


def load_grid(folder: Path) -> Grid:
    """Read ``grid.json`` back. Raises ``NotFoundError`` and ``DamagedFileError``."""
    path = folder / GRID_FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=decodable(Grid))
    except FileNotFoundError as error:
        raise NotFoundError(f"{folder} holds no grid", f"it has no {GRID_FILE}") from error
    except OSError as error:
        raise DamagedFileError(f"{path} cannot be read ({error.strerror})") from error
    except msgspec.MsgspecError as error:
        raise DamagedFileError(f"{path} cannot be read ({error})") from error
