"""Grids and sweeps as data: which requests stand where, drawn once each, kept by key, resumed where they stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from hubman.generate.axes import Axis, lora_index, seed_axis, strength_axis, with_strength
from hubman.generate.files import replace_file
from hubman.generate.pictures import is_finished
from hubman.generate.request import DrawRequest
from hubman.progress import Progress, Report, silent
from registry.errors import DamagedFileError, NotFoundError, UsageError

CELLS = "cells"
GRID_FILE = "grid.json"
DEFAULT_STRENGTHS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
DEFAULT_SEEDS = (1, 2, 3, 4)


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    column: int
    row: int
    request: DrawRequest


class Grid(msgspec.Struct, frozen=True, kw_only=True):
    """A rectangle of requests with labels. Cells that resolve to the same request share one picture."""

    title: str
    x_label: str
    x: tuple[str, ...]
    y_label: str
    y: tuple[str, ...]
    cells: tuple[Cell, ...]


class StrengthSweep(msgspec.Struct, frozen=True, kw_only=True):
    """One LoRA of ``request`` at several strengths, the same seeds at each; strength 0 is always among them.

    ``contrast`` is a second prompt; with it the curve tells how much the pictures still follow the prompt.
    """

    request: DrawRequest
    lora: str
    strengths: tuple[float, ...]
    seeds: tuple[int, ...]
    contrast: str = ""

    def at(self, strength: float, seed: int, prompt: str | None = None) -> DrawRequest:
        """The request for one strength and seed, with the sweep's own prompt or another."""
        request = with_strength(self.request, lora_index(self.request, self.lora), strength)
        prompt = self.request.prompt if prompt is None else prompt
        return msgspec.structs.replace(request, seed=seed, prompt=prompt)

    def requests(self) -> list[DrawRequest]:
        """All that must be drawn, the extremes first so that a useful picture appears early."""
        prompts = [self.request.prompt, self.contrast] if self.contrast else [self.request.prompt]
        order = [self.strengths[i] for i in coarse_to_fine(len(self.strengths))]
        return [self.at(strength, seed, prompt) for prompt in prompts for strength in order for seed in self.seeds]

    def grid(self) -> Grid:
        """Strengths across, seeds down."""
        x = strength_axis(self.request, self.lora, self.strengths)
        return make_grid(self.request, x, seed_axis(self.seeds), title=f"{self.lora}: {self.request.prompt}")


class Drawer(Protocol):
    """What draws: ``client.Engine`` or ``engine.LocalEngine``."""

    def draw(
        self,
        requests: Sequence[DrawRequest],
        out: Path,
        *,
        batch: int = 4,
        report: Report = silent,
        cancelled: Callable[[], bool] = ...,
    ) -> Iterable[HasPath]: ...


class HasPath(Protocol):
    @property
    def key(self) -> str: ...
    @property
    def path(self) -> str: ...


def strength_sweep(
    request: DrawRequest,
    lora: str,
    *,
    strengths: Sequence[float] = DEFAULT_STRENGTHS,
    seeds: Sequence[int] = DEFAULT_SEEDS,
    contrast: str = "",
) -> StrengthSweep:
    """Sweep the LoRA called ``lora`` in ``request``. Raises ``UsageError`` if it is not there or nothing varies."""
    number = lora_index(request, lora)
    if not seeds or not strengths:
        raise UsageError("a sweep needs strengths and seeds", "for instance 0-1 (+0.2) and 4 seeds")
    if contrast == request.prompt:
        raise UsageError("the contrast prompt is the prompt itself", "change what the pictures shall show")
    ordered = tuple(sorted({0.0, *(float(strength) for strength in strengths)}))
    name = request.loras[number].name
    return StrengthSweep(request=request, lora=name, strengths=ordered, seeds=tuple(seeds), contrast=contrast)


def two_lora_grid(
    request: DrawRequest, across: str, down: str, *, strengths: Sequence[float], other_strengths: Sequence[float]
) -> Grid:
    """Every strength of one LoRA with every strength of another, both of ``request``."""
    if lora_index(request, across) == lora_index(request, down):
        raise UsageError(f"both axes are the strength of {across}", "choose two LoRAs")
    x, y = strength_axis(request, across, strengths), strength_axis(request, down, other_strengths)
    return make_grid(request, x, y, title=f"{across} x {down}: {request.prompt}")


def seed_grid(request: DrawRequest, seeds: Sequence[int]) -> Grid:
    """The same request with several seeds, in one row."""
    return make_grid(request, seed_axis(seeds), Axis("", ()), title=request.prompt)


def make_grid(request: DrawRequest, x: Axis, y: Axis, *, title: str) -> Grid:
    """Apply each point of ``x`` and then of ``y`` (which may be empty: one row) to ``request``."""
    if not x.points:
        raise UsageError("the horizontal axis has no values")
    rows = y.points or (None,)
    cells = [
        Cell(
            column=column, row=row, request=across.apply(request) if down is None else down.apply(across.apply(request))
        )
        for row, down in enumerate(rows)
        for column, across in enumerate(x.points)
    ]
    return Grid(
        title=title,
        x_label=x.label,
        x=tuple(point.text for point in x.points),
        y_label=y.label,
        y=tuple(point.text for point in y.points) or ("",),
        cells=tuple(cells),
    )


def coarse_to_fine(count: int) -> list[int]:
    """0 … count-1: both ends, the middle, the middles of the halves, and so on."""
    order = list(dict.fromkeys([0, count - 1])) if count else []
    gaps = [(0, count - 1)]
    while gaps:
        low, high = gaps.pop(0)
        middle = (low + high) // 2
        if low < middle < high:
            order.append(middle)
            gaps += [(low, middle), (middle, high)]
    return order


def cell_path(folder: Path, request: DrawRequest) -> Path:
    """Where the picture of a request lies, drawn or not."""
    return folder / CELLS / f"{request.key()}.png"


def draw_requests(
    requests: Sequence[DrawRequest],
    folder: Path,
    drawer: Drawer,
    *,
    batch: int = 4,
    report: Report = silent,
    cancelled: Callable[[], bool] = lambda: False,
) -> Iterator[Path]:
    """Draw what is not yet in ``folder``, yielding every picture's path; each is on disk before the next is begun.

    What an earlier call finished is not drawn again. ``Progress.data["image"]`` names a picture as it arrives.
    """
    distinct = {request.key(): request for request in requests}
    missing: list[DrawRequest] = []
    for key, request in distinct.items():
        path = cell_path(folder, request)
        if is_finished(path, key):
            yield path
        else:
            missing.append(request)
    before, total = len(distinct) - len(missing), len(distinct)

    def shifted(progress: Progress) -> None:
        report(msgspec.structs.replace(progress, done=before + progress.done, total=total))

    done = before
    report(Progress(stage="draw", done=done, total=total, unit="picture"))
    if not missing:
        return
    for picture in drawer.draw(missing, folder / CELLS, batch=batch, report=shifted, cancelled=cancelled):
        done += 1
        data = {"image": picture.path, "key": picture.key}
        report(Progress(stage="draw", done=done, total=total, unit="picture", data=data))
        yield Path(picture.path)


def draw_grid(
    grid: Grid,
    folder: Path,
    drawer: Drawer,
    *,
    batch: int = 4,
    report: Report = silent,
    cancelled: Callable[[], bool] = lambda: False,
) -> Iterator[Path]:
    """Write the grid's plan to ``folder/grid.json`` and draw its cells as ``draw_requests`` does."""
    save_grid(grid, folder)
    rows, columns = coarse_to_fine(len(grid.y)), coarse_to_fine(len(grid.x))
    place = {(cell.column, cell.row): cell.request for cell in grid.cells}
    ordered = [place[column, row] for column in columns for row in rows if (column, row) in place]
    yield from draw_requests(ordered, folder, drawer, batch=batch, report=report, cancelled=cancelled)


def save_grid(grid: Grid, folder: Path) -> Path:
    """Write ``grid.json`` atomically."""
    path = folder / GRID_FILE
    replace_file(path, lambda file: file.write(msgspec.json.format(msgspec.json.encode(grid))))
    return path


def load_grid(folder: Path) -> Grid:
    """Read ``grid.json`` back. Raises ``NotFoundError`` and ``DamagedFileError``."""
    path = folder / GRID_FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=Grid)
    except FileNotFoundError as error:
        raise NotFoundError(f"{folder} holds no grid", f"it has no {GRID_FILE}") from error
    except msgspec.MsgspecError as error:
        raise DamagedFileError(f"{path} cannot be read ({error})") from error
