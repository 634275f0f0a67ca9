"""What a grid would take, before it is drawn: cells times seconds."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from hubman.generate.grids.cells import ways_of
from hubman.generate.grids.grid import Grid
from hubman.generate.grids.speed import forecast
from hubman.generate.request import DrawRequest

MANY_CELLS = 200
"""More pictures than that are drawn only where somebody agrees."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """``cells`` of the grid are ``pictures`` distinct ones, of which ``drawn`` are there and ``missing`` are not."""

    cells: int
    pictures: int
    drawn: int
    missing: int
    seconds: float | None
    """What the missing ones take; None if nothing like them was drawn on this machine before."""

    def asks(self, limit_seconds: float = 0) -> bool:
        """Whether somebody should agree first: over 200 pictures, or longer than a person's limit (0 = none)."""
        return self.missing > MANY_CELLS or (limit_seconds > 0 and (self.seconds or 0.0) > limit_seconds)

    def __str__(self) -> str:
        shared = f" ({self.pictures} pictures)" if self.pictures != self.cells else ""
        there = f", {self.drawn} there already" if self.drawn else ""
        if not self.missing:
            return f"{self.cells} cells{shared}, all drawn"
        if self.seconds is None:
            return f"{self.cells} cells{shared}{there}; how long one takes is not known here yet"
        each = self.seconds / self.missing
        return f"{self.cells} cells{shared}{there}: {self.missing} x {each:.2g} s = about {duration(self.seconds)}"


def plan(grid: Grid, store: Path, also: Iterable[DrawRequest] = ()) -> Plan:
    """Look at what of ``grid`` is in the store, and forecast the rest from what was drawn here before.

    ``also`` are pictures beside its cells that are drawn with them, such as those of a contrast prompt.
    """
    distinct = {**grid.requests(), **{request.key(): request for request in also}}
    there = ways_of(store, distinct)
    missing = [request for key, request in distinct.items() if key not in there]
    return Plan(
        cells=len(grid.cells),
        pictures=len(distinct),
        drawn=len(there),
        missing=len(missing),
        seconds=forecast(store, missing),
    )


def duration(seconds: float) -> str:
    """Seconds as a person says them: ``40 s``, ``12 min``, ``3.5 h``."""
    if seconds < 90:
        return f"{max(1, seconds):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
