"""The store of pictures by request: each request is drawn once, and what an interrupted call finished is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from hubman.generate.grids import speed
from hubman.generate.grids.grid import Grid, save_grid
from hubman.generate.grids.order import drawing_order
from hubman.generate.pictures import finished
from hubman.generate.request import DrawRequest
from hubman.progress import Progress, Report, silent

CELLS = "cells"

Way = tuple[str, str]
"""How a picture was computed: data type and device. Pictures of two ways differ by more than a small step in strength."""


class Drawn(Protocol):
    """A picture on disk; ``seconds`` is what it took."""

    @property
    def key(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def seconds(self) -> float: ...


class Drawer(Protocol):
    """What draws: ``client.Engine`` or ``engine.LocalEngine``."""

    def draw(
        self,
        requests: Sequence[DrawRequest],
        out: Path,
        *,
        batch: int = 0,
        report: Report = silent,
        cancelled: Callable[[], bool] = ...,
    ) -> Iterable[Drawn]: ...


def cell_path(store: Path, request: DrawRequest) -> Path:
    """Where the picture of a request lies, drawn or not."""
    return store / CELLS / f"{request.key()}.png"


def store_of(folder: Path) -> Path:
    """The store that a grid's folder draws from: the one beside it, which all grids share, unless it has its own."""
    return folder if (folder / CELLS).is_dir() else folder.parent


def ways_of(store: Path, requests: Mapping[str, DrawRequest]) -> dict[str, Way]:
    """Those of ``requests`` (by key) whose picture is whole, and how it was computed."""
    found = {key: finished(cell_path(store, request), key) for key, request in requests.items()}
    return {key: (chunk.engine.dtype, chunk.engine.device) for key, chunk in found.items() if chunk}


def draw_requests(
    requests: Sequence[DrawRequest],
    store: Path,
    drawer: Drawer,
    *,
    batch: int = 0,
    report: Report = silent,
    cancelled: Callable[[], bool] = lambda: False,
) -> Iterator[Path]:
    """Draw what is not yet in ``store``, yielding every picture's path; each is on disk before the next is begun.

    What an earlier call finished is not drawn again, unless on another device or in another data type than the rest:
    one grid is drawn in one way. ``Progress.data["image"]`` names a picture as it arrives.
    """
    distinct = {request.key(): request for request in requests}
    ways = ways_of(store, distinct)
    missing = {key: request for key, request in distinct.items() if key not in ways} or _minority(distinct, ways)
    session = _Session(store, drawer, len(distinct), batch, report, cancelled)
    for key in ways:
        if key not in missing:
            session.done += 1
            yield cell_path(store, distinct[key])
    session.tell()
    yield from session.draw(missing)
    other = {key: distinct[key] for key, way in ways.items() if key not in missing and way != session.way}
    if session.way and other:
        session.done -= len(other)
        yield from session.draw(other)


def _minority(distinct: Mapping[str, DrawRequest], ways: Mapping[str, Way]) -> dict[str, DrawRequest]:
    """Of finished pictures those that were not computed as most of them were."""
    counted = list(ways.values())
    usual = max(counted, key=counted.count, default=None)
    return {key: distinct[key] for key, way in ways.items() if way != usual}


class _Session:
    """Draws for one call, counts on over several rounds, and learns how this machine draws and how fast."""

    def __init__(
        self, store: Path, drawer: Drawer, total: int, batch: int, report: Report, cancelled: Callable[[], bool]
    ) -> None:
        self.done = 0
        self.way: Way | None = None
        self._store, self._drawer, self._total, self._batch = store, drawer, total, batch
        self._report, self._cancelled = report, cancelled

    def tell(self, picture: Drawn | None = None) -> None:
        data = {"image": picture.path, "key": picture.key} if picture else {}
        self._report(Progress(stage="draw", done=self.done, total=self._total, unit="picture", data=data))

    def draw(self, requests: Mapping[str, DrawRequest]) -> Iterator[Path]:
        if not requests:
            return
        before = self.done

        def shifted(progress: Progress) -> None:
            self._report(msgspec.structs.replace(progress, done=before + progress.done, total=self._total))

        timed: list[tuple[DrawRequest, float]] = []
        pictures = self._drawer.draw(
            list(requests.values()),
            self._store / CELLS,
            batch=self._batch,
            report=shifted,
            cancelled=self._cancelled,
        )
        try:
            for picture in pictures:
                self.done += 1
                if self.way is None and (chunk := finished(Path(picture.path), picture.key)):
                    self.way = chunk.engine.dtype, chunk.engine.device
                if picture.key in requests:
                    timed.append((requests[picture.key], picture.seconds))
                self.tell(picture)
                yield Path(picture.path)
        finally:
            speed.learn(self._store, timed)


def draw_grid(
    grid: Grid,
    folder: Path,
    drawer: Drawer,
    *,
    batch: int = 0,
    report: Report = silent,
    cancelled: Callable[[], bool] = lambda: False,
) -> Iterator[Path]:
    """Write the grid's plan to ``folder/grid.json``, then draw its cells as ``draw_requests`` does."""
    save_grid(grid, folder)
    yield from draw_requests(
        drawing_order(grid), store_of(folder), drawer, batch=batch, report=report, cancelled=cancelled
    )
