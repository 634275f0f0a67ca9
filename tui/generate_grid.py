"""The grid that the axes of a set-up make: read, counted, judged, and handed to a job."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from hubman.generate.guards import Guard, Plan, PlannedAxis, grid_guards, know
from hubman.generate.guards.facts import expected_dtype
from tui import formats, generate_settings
from tui.generate_jobs import Planned, must_be_here, picture
from tui.generation import Setup
from tui.remarks import Remark, taken

if TYPE_CHECKING:
    from hubman.generate.axes import Axis
    from hubman.generate.grids.spec import AxisSpec
    from registry.database import Registry


def read_axis(registry: Registry, setup: Setup, text: str) -> AxisSpec:
    """An axis as typed. Raises ``HubError`` for one that can't be drawn with what is set up."""
    from hubman.generate.grids.spec import parse_axis

    spec = parse_axis(text)
    _built(registry, setup, [spec])
    return spec


def _built(registry: Registry, setup: Setup, specs: Sequence[AxisSpec]) -> list[Axis]:
    from hubman.generate.grids.spec import build_axis
    from hubman.generate.naming import LibrarySources

    request, sources = picture(setup), LibrarySources(registry)
    return [build_axis(spec, request, sources) for spec in specs]


def grid_job(setup: Setup) -> Planned:
    """(kind, title, request) that draws the grid of the axes. Raises ``HubError``."""
    must_be_here(setup)
    names = " x ".join(spec.kind if not spec.target else f"{spec.kind} {spec.target}" for spec in setup.axes)
    request = {"prompt": setup.prompt, "axes": list(map(str, setup.axes)), **generate_settings.as_job(setup.settings)}
    return "sweep", f"grid {names}", request


def plan_of(registry: Registry, setup: Setup, *, limit: float = 0.0) -> Plan:
    """The grid of the axes and what it takes. ``limit`` in seconds; 0 for none. For a thread. Raises ``HubError``."""
    axes = [
        PlannedAxis(spec.kind, tuple(point.text for point in axis.points), spec.target)
        for spec, axis in zip(setup.axes, _built(registry, setup, setup.axes), strict=True)
    ]
    seeds = generate_settings.seeds(setup.settings)
    if len(seeds) > 1 and not any(axis.kind == "seed" for axis in axes):
        axes.append(PlannedAxis("seed", tuple(map(str, seeds))))
    return _plan(registry, setup, axes, limit)


def sweep_plan(registry: Registry, setup: Setup, swept: Sequence[str], *, limit: float = 0.0) -> Plan:
    """The same for a sweep of the strengths of one LoRA, or of two, by name."""
    from hubman.generate.prompt_tags import format_number

    strengths = tuple(map(format_number, generate_settings.strengths(setup.settings)))
    axes = [PlannedAxis("strength", strengths, name) for name in swept]
    if len(swept) == 1:
        axes.append(PlannedAxis("seed", tuple(map(str, generate_settings.seeds(setup.settings)))))
    return _plan(registry, setup, axes, limit)


def _plan(registry: Registry, setup: Setup, axes: Sequence[PlannedAxis], limit: float) -> Plan:
    from hubman.generate.grids.speed import forecast

    request = picture(setup)
    each = forecast(registry.home / "generations", [request]) or 0.0
    dtype = expected_dtype(Path(request.base))
    return Plan(request, tuple(axes), each, limit, dtype, known=know(registry, request))


def size_of(plan: Plan) -> str:
    """``25 cells, about 40 s``."""
    from hubman.generate.grids.plan import duration

    about = f", about {duration(plan.seconds)}" if plan.seconds_each else ""
    return f"{formats.count(plan.cells, 'cell')}{about}"


def remarks(plan: Plan) -> tuple[Remark, ...]:
    """What there is to say of a grid; a fix writes its axes anew."""
    return tuple(_remark(plan, guard) for guard in grid_guards(plan))


def _remark(plan: Plan, guard: Guard[Plan]) -> Remark:
    mend = guard.mend

    def apply(setup: Setup) -> Setup:
        if mend is None:
            return setup
        mended = mend(plan)
        changed = taken(setup, msgspec.structs.replace(picture(setup), mode=mended.request.mode))
        return _with_axes(changed, plan, mended)

    fix = apply if mend is not None else None
    return Remark(guard.code, guard.message, guard.reason, guard.fix, fix, guard.level == "error", guard.about)


def _with_axes(setup: Setup, before: Plan, after: Plan) -> Setup:
    """The set-up with the values that were left out of its axes, its seeds or its strengths."""
    for number, (old, new) in enumerate(zip(before.axes, after.axes, strict=True)):
        if old.values == new.values:
            continue
        values = written(new.values)
        if number < len(setup.axes) and setup.axes[number].kind == old.kind:
            spec = msgspec.structs.replace(setup.axes[number], values=values)
            setup = replace(setup, axes=(*setup.axes[:number], spec, *setup.axes[number + 1 :]))
        elif old.kind == "seed":
            setup = replace(setup, settings=replace(setup.settings, seeds=values))
        elif old.kind == "strength":
            setup = replace(setup, settings=replace(setup.settings, strengths=values))
    return setup


def written(values: Sequence[str]) -> str:
    """Values as an axis has them, with quotes around those that hold a comma."""
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(values)
    return text.getvalue().replace(",", ", ") if not any("," in value for value in values) else text.getvalue()
