"""What is said before something is drawn: guard rails, what a grid takes, and the question whether to go on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from hubman import config
from hubman.cli import output

if TYPE_CHECKING:
    from hubman.generate.grids.grid import Grid
    from hubman.generate.grids.plan import Plan
    from registry.database import Registry


def warn_of_picture(registry: Registry, request: Mapping[str, Any]) -> list[str]:
    """Say on stderr what may go wrong with the picture that a job would draw; returns the lines."""
    from hubman.generate.asked import asked, request_of
    from hubman.generate.guards import guards
    from hubman.generate.prompt import lint

    told = asked(request)
    drawn = request_of(registry, told)
    found = [*lint(told.prompt, slots=told.slots, steps=drawn.steps)]
    found += lint(told.negative, slots=told.slots, steps=drawn.steps, is_negative=True)
    remarks = [f"{one.message}{f' ({one.fix})' if one.edit else ''}" for one in found]
    return _say([*remarks, *(f"{guard.message}: {guard.reason}" for guard in guards(drawn))])


def plan_of(registry: Registry, request: Mapping[str, Any]) -> tuple[Grid, Plan]:
    """The grid that a job would draw, and what it takes. Raises ``HubError`` for one that can't be."""
    from hubman.generate.asked import asked, curve_of, grid_of
    from hubman.generate.grids.plan import plan
    from hubman.generate.record import generations_folder

    told = asked(request)
    curve = curve_of(registry, told)
    grid = curve.grid() if curve else grid_of(registry, told)
    return grid, plan(grid, generations_folder(registry), curve.requests() if curve else ())


def warn_of_grid(grid: Grid, planned: Plan) -> list[str]:
    """Say on stderr what may go wrong with the grid's cells and its size; each thing once."""
    from hubman.generate.guards import grid_guards, guards

    lines = dict.fromkeys(
        f"{guard.message}: {guard.reason}" for cell in (grid.cells[0], grid.cells[-1]) for guard in guards(cell.request)
    )
    each = planned.seconds / planned.missing if planned.seconds and planned.missing else 0.0
    lines |= dict.fromkeys(f"{guard.message}: {guard.reason}" for guard in grid_guards(planned.missing, each))
    return _say(list(lines))


def agreed(registry: Registry, planned: Plan, *, yes: bool) -> bool:
    """Whether to draw: without a question up to 200 pictures within the user's limit of time."""
    limit = float(config.settings(registry.home)[0].grid_seconds)
    return not planned.asks(limit) or output.agreed("draw it?", yes=yes)


def _say(lines: list[str]) -> list[str]:
    for line in lines:
        click.echo(output.clean(f"note: {line}"), err=True)
    return lines
