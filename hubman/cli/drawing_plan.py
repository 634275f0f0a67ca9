"""What is said before something is drawn: guard rails, what a grid takes, and the question whether to go on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hubman import config
from hubman.cli import output

if TYPE_CHECKING:
    from hubman.generate.grids.grid import Grid
    from hubman.generate.grids.plan import Plan
    from hubman.generate.request import DrawRequest
    from registry.database import Registry


def warn_of_picture(registry: Registry, request: Mapping[str, Any]) -> list[str]:
    """Say on stderr what may go wrong with the picture that a job would draw; returns the lines.

    Raises ``HubError`` for what no engine could draw.
    """
    from hubman.generate.asked import asked, request_of
    from hubman.generate.prompt import lint

    told = asked(request)
    drawn = request_of(registry, told)
    found = [*lint(told.prompt, slots=told.slots, steps=drawn.steps)]
    found += lint(told.negative, slots=told.slots, steps=drawn.steps, is_negative=True)
    remarks = [f"{one.message}{f' ({one.fix})' if one.edit else ''}" for one in found]
    return [*say(remarks), *warn_of_request(registry, drawn)]


def warn_of_request(registry: Registry, request: DrawRequest) -> list[str]:
    """The same of a request that is made already, by its guard rails alone."""
    from hubman.generate.guards import guards, know, refuse

    found = guards(request, know(registry, request))
    refuse(found)
    return say(list(map(str, found)))


def plan_of(registry: Registry, request: Mapping[str, Any]) -> tuple[Grid, Plan]:
    """The grid that a job would draw, and what it takes. Raises ``HubError`` for one that can't be."""
    from hubman.generate.asked import asked, curve_of, grid_of
    from hubman.generate.grids.plan import plan
    from hubman.generate.record import generations_folder

    told = asked(request)
    curve = curve_of(registry, told)
    grid = curve.grid() if curve else grid_of(registry, told)
    return grid, plan(grid, generations_folder(registry), curve.requests() if curve else ())


def warn_of_grid(registry: Registry, grid: Grid, planned: Plan) -> list[str]:
    """Say on stderr what may go wrong with the grid's cells and its size; each thing once.

    Raises ``HubError`` for what no engine could draw.
    """
    from hubman.generate.guards import facts, grid_guards, grids, guards, know, refuse

    first, last = grid.cells[0].request, grid.cells[-1].request
    lines: dict[str, None] = {}
    for request in (first, last):
        found = guards(request, know(registry, request))
        refuse(found)
        lines |= dict.fromkeys(map(str, found))
    plan = grids.plan_of(
        grid, know(registry, last), seconds=planned.seconds or 0.0, drawn=planned.cells - planned.missing,
        limit=float(config.settings(registry.home)[0].grid_seconds), dtype=facts.expected_dtype(Path(last.base)),
    )  # fmt: skip
    return say([*lines, *map(str, grid_guards(plan))])


def warn_of_drawn(grid: Grid, store: Path) -> list[str]:
    """Say on stderr what the finished pictures tell: that a LoRA did nothing."""
    from hubman.generate.grids.cells import cell_path
    from hubman.generate.guards import drawn_guards

    return say([str(guard) for guard in drawn_guards((r, cell_path(store, r)) for r in grid.requests().values())])


def agreed(registry: Registry, planned: Plan, *, yes: bool) -> bool:
    """Whether to draw: without a question up to 200 pictures within the user's limit of time."""
    limit = float(config.settings(registry.home)[0].grid_seconds)
    return not planned.asks(limit) or output.agreed("draw it?", yes=yes)


def say(lines: list[str]) -> list[str]:
    """The lines as notes on stderr; returns them."""
    for line in lines:
        click.echo(output.clean(f"note: {line}"), err=True)
    return lines
