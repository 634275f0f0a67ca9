"""The store of pictures by request: each request is drawn once, and what an interrupted call finished is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from hubman.generate.grids.grid import Grid, save_grid
from hubman.generate.grids.order import drawing_order
from hubman.generate.pictures import is_finished
from hubman.generate.request import DrawRequest
from hubman.progress import Progress, Report, silent

CELLS = "cells"


class HasPath(Protocol):
    @property
    def key(self) -> str: ...
    @property
    def path(self) -> str: ...


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


def cell_path(store: Path, request: DrawRequest) -> Path:
    """Where the picture of a request lies, drawn or not."""
    return store / CELLS / f"{request.key()}.png"


def store_of(folder: Path) -> Path:
    """The store that a grid's folder draws from: the one beside it, which all grids share, unless it has its own."""
    return folder if (folder / CELLS).is_dir() else folder.parent


def draw_requests(
    requests: Sequence[DrawRequest],
    store: Path,
    drawer: Drawer,
    *,
    batch: int = 4,
    report: Report = silent,
    cancelled: Callable[[], bool] = lambda: False,
) -> Iterator[Path]:
    """Draw what is not yet in ``store``, yielding every picture's path; each is on disk before the next is begun.

    What an earlier call finished is not drawn again. ``Progress.data["image"]`` names a picture as it arrives.
    """
    distinct = {request.key(): request for request in requests}
    missing: list[DrawRequest] = []
    for key, request in distinct.items():
        path = cell_path(store, request)
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
    for picture in drawer.draw(missing, store / CELLS, batch=batch, report=shifted, cancelled=cancelled):
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
    """Write the grid's plan to ``folder/grid.json``, then draw its cells as ``draw_requests`` does."""
    save_grid(grid, folder)
    yield from draw_requests(
        drawing_order(grid), store_of(folder), drawer, batch=batch, report=report, cancelled=cancelled
    )
