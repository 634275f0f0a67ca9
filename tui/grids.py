"""What a drawing job fills: the axes of its grid, its pages, and the pictures that are there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from hubman.generate.prompt_tags import format_number
from hubman.jobs.records import PREVIEWS
from registry.errors import HubError

if TYPE_CHECKING:
    from hubman.generate.grids.view import GridReader
    from hubman.generate.guards import Guard
    from hubman.generate.request import DrawRequest
    from hubman.jobs.records import Job
    from tui.services.run_events import Picture

At = tuple[int, int]
"""(row, column)"""
Place = tuple[int, int, int]
"""(page, row, column)"""


@dataclass(frozen=True)
class GridShape:
    """The axes of a job's pictures; of a third axis and more each combination is a page."""

    x_label: str
    xs: tuple[str, ...]
    y_label: str
    ys: tuple[str, ...]
    pages: tuple[str, ...] = ("",)
    kinds: tuple[str, ...] = ()
    """The word of each axis, such as ``strength``, where it is known."""


@dataclass(frozen=True)
class Filled:
    """A grid as it is now: the pictures that are there, and what each shows where the plan says so."""

    shape: GridShape
    pictures: Mapping[Place, Path] = field(default_factory=dict)
    requests: Mapping[Place, DrawRequest] = field(default_factory=dict)
    keys: Mapping[str, tuple[Place, ...]] = field(default_factory=dict)
    """The cells of each request's key; a picture that is being drawn is known by it."""
    previews: Mapping[Place, Path] = field(default_factory=dict)
    """What pictures that are being drawn are going to look like."""

    def page(self, number: int) -> dict[At, Path]:
        return {(row, column): path for (page, row, column), path in self.pictures.items() if page == number}

    def previews_of(self, number: int) -> dict[At, Path]:
        return {(row, column): path for (page, row, column), path in self.previews.items() if page == number}


def look(job: Job, pictures: Sequence[Picture]) -> Filled:
    """The grid of a job as it is now. Reads its plan once, then asks the disk for what is missing; for a thread.

    A plan is written before the first picture; a job without one shows its seeds in a row.
    """
    folder = Path(job.folder).parent.parent / "generations" / job.id
    try:
        filled = _planned(_reader(folder, str(job.started_at)))
    except HubError:
        return _listed(job, pictures)
    return replace(filled, previews=_previews(job, filled)) if job.state == "running" else filled


def _previews(job: Job, filled: Filled) -> dict[Place, Path]:
    found: dict[Place, Path] = {}
    for path in (Path(job.folder) / PREVIEWS).glob("*.png"):
        found.update((place, path) for place in filled.keys.get(path.stem, ()) if place not in filled.pictures)
    return found


@lru_cache(maxsize=8)
def _reader(folder: Path, started: str) -> GridReader:
    # A job that was resumed may have planned anew.
    del started
    from hubman.generate.grids.view import GridReader

    return GridReader(folder)


def _planned(reader: GridReader) -> Filled:
    seen = reader.look()
    layout = seen.layout
    places = {(cell.place.page, cell.place.row, cell.place.column): cell for cell in seen.cells}
    keys: dict[str, tuple[Place, ...]] = {}
    for place, cell in places.items():
        keys[cell.key] = (*keys.get(cell.key, ()), place)
    return Filled(
        GridShape(
            layout.x_label,
            layout.columns,
            layout.y_label,
            layout.rows,
            layout.pages or ("",),
            tuple(axis.kind for axis in seen.axes),
        ),
        {place: Path(cell.path) for place, cell in places.items() if cell.path},
        {place: cell.request for place, cell in places.items()},
        keys,
    )


def _listed(job: Job, pictures: Sequence[Picture]) -> Filled:
    """A finished job's result names all pictures row by row, also those that an earlier job had drawn."""
    shape = shape_of(job)
    width = max(1, len(shape.xs))
    paths = [str(path) for path in (job.result or {}).get("images") or ()] or [picture.path for picture in pictures]
    drawn = {(0, *divmod(number, width)): Path(path) for number, path in enumerate(paths)}
    if job.state != "running":
        return Filled(shape, drawn)
    # Seeds are drawn in their order: what is being drawn follows what is there.
    coming = sorted((Path(job.folder) / PREVIEWS).glob("*.png"))
    previews = {(0, *divmod(len(paths) + number, width)): path for number, path in enumerate(coming)}
    return Filled(shape, drawn, previews=previews)


def shape_of(job: Job) -> GridShape:
    """The grid of a ``generate`` or ``sweep`` job by its request alone."""
    request = job.request
    seeds = tuple(str(seed) for seed in request.get("seeds") or [0])
    if job.kind == "generate":
        return GridShape("seed", seeds, "", ("",), kinds=("seed",))
    given = [float(strength) for strength in request.get("strengths", [])]
    if len(request.get("version_ids", [])) == 2:
        labels = tuple(map(format_number, given))
        return GridShape("strength of the first", labels, "of the second", labels, kinds=("strength", "strength"))
    # A sweep always draws strength 0, to compare with.
    labels = tuple(map(format_number, sorted({0.0, *given})))
    return GridShape("strength", labels, "seed", seeds, kinds=("strength", "seed"))


def request_of(filled: Filled, place: Place) -> DrawRequest | None:
    """What the picture at ``place`` shows: by the plan, else as the picture itself says. For a thread."""
    if place in filled.requests:
        return filled.requests[place]
    path = filled.pictures.get(place)
    return request_in(path) if path is not None else None


def request_in(path: Path) -> DrawRequest | None:
    """What a picture says that it was drawn with; its paths are names only. None for one that says nothing."""
    from hubman.generate.pictures import read_info

    try:
        chunk = read_info(path)[1]
    except HubError:
        return None
    return chunk.request if chunk else None


def drawn_remarks(filled: Filled) -> tuple[Guard[DrawRequest], ...]:
    """What finished pictures tell of the LoRAs in them. Reads the pictures; for a thread."""
    from hubman.generate.guards import drawn_guards

    return drawn_guards(
        (request, path) for place, path in filled.pictures.items() if (request := filled.requests.get(place))
    )
