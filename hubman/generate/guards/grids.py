"""Guard rails of a grid, before it is drawn and afterwards."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from math import prod
from pathlib import Path

import msgspec

from hubman.generate.grids.grid import Grid
from hubman.generate.grids.plan import MANY_CELLS, duration
from hubman.generate.guards.facts import Known
from hubman.generate.guards.guard import Guard, Mend, without
from hubman.generate.prompt_tags import format_number
from hubman.generate.request import DrawRequest

SMALLEST_STEP = 0.1
"""In bf16 the order of two additions changes a picture as much as a step of 0.05 does."""
STRENGTHS = frozenset({"strength", "unet", "te"})
"""Kinds of axes whose values are strengths."""
_WHOLE = frozenset({"combine", "ratio", "epochs", "order"})
"""Kinds whose values are not written one by one, so that none can be left out."""


@dataclass(frozen=True)
class PlannedAxis:
    """What varies: ``kind`` is its word, ``target`` the LoRA that it is of, ``values`` are written as labels."""

    kind: str
    values: tuple[str, ...]
    target: str = ""


@dataclass(frozen=True)
class Plan:
    """A grid before it is drawn. Times are in seconds; 0 for one that is not known, or no limit."""

    request: DrawRequest
    axes: tuple[PlannedAxis, ...]
    seconds_each: float = 0.0
    limit: float = 0.0
    dtype: str = "float32"
    drawn: int = 0
    """Pictures that are there already."""
    known: Known = field(default_factory=Known, compare=False)

    @property
    def cells(self) -> int:
        return prod(len(axis.values) for axis in self.axes)

    @property
    def missing(self) -> int:
        return max(0, self.cells - self.drawn)

    @property
    def seconds(self) -> float:
        return self.missing * self.seconds_each


def plan_of(
    grid: Grid, known: Known, *, seconds: float = 0.0, drawn: int = 0, limit: float = 0.0, dtype: str = "float32"
) -> Plan:
    """The plan of a grid that is built already. ``seconds`` are those of what is not ``drawn`` yet."""
    axes = tuple(PlannedAxis(axis.kind, axis.values, axis.target) for axis in grid.axes)
    plan = Plan(grid.cells[0].request, axes, 0.0, limit, dtype, drawn, known)
    return replace(plan, seconds_each=seconds / plan.missing if plan.missing else 0.0)


def grid_guards(plan: Plan) -> tuple[Guard[Plan], ...]:
    """What to say of a grid before it is drawn."""
    return (*_size(plan), *_low_precision(plan), *_dense(plan))


def _size(plan: Plan) -> Iterator[Guard[Plan]]:
    late = bool(plan.limit) and plan.seconds > plan.limit
    if plan.missing <= MANY_CELLS and not late:
        return
    most = MANY_CELLS
    if late:
        most = max(1, min(MANY_CELLS, int(plan.limit / plan.seconds_each)))
    about = f", about {duration(plan.seconds)}" if plan.seconds_each else ""
    limit = f"your limit is {duration(plan.limit)}; " if late else ""
    yield Guard(
        "too-long" if late else "many-cells",
        f"{plan.missing:,} cells{about}",
        f"{limit}each cell is a whole picture; finished cells are kept if you stop it",
        fix="fewer points",
        mend=lambda now: thinned(now, most),
    )


def thinned(plan: Plan, most: int) -> Plan:
    """Every second value of the longest axis left out, both ends kept, until there are at most ``most`` cells."""
    while plan.missing > most:
        longest = max(
            (axis for axis in plan.axes if axis.kind not in _WHOLE), key=lambda axis: len(axis.values), default=None
        )
        if longest is None or len(longest.values) < 2:
            break
        values = longest.values[::2] if len(longest.values) > 2 else longest.values[:1]
        if len(longest.values) > 2 and len(longest.values) % 2 == 0:
            values = (*values[:-1], longest.values[-1])
        plan = replace(
            plan, axes=tuple(replace(axis, values=values) if axis is longest else axis for axis in plan.axes)
        )
    return plan


def _low_precision(plan: Plan) -> Iterator[Guard[Plan]]:
    fine = [axis for axis in plan.axes if axis.kind in STRENGTHS and _closest(axis.values) < SMALLEST_STEP - 1e-9]
    if plan.dtype not in ("bf16", "bfloat16") or not fine:
        return
    step = min(_closest(axis.values) for axis in fine)
    yield Guard(
        "small-steps",
        f"steps of {step:g} in strength are drawn in bf16",
        "that precision changes pictures as much as such a step does",
        fix=f"steps of {SMALLEST_STEP:g} and more",
        mend=_coarser,
    )


def _numbers(values: Iterable[str]) -> list[float]:
    found = []
    for value in values:
        try:
            found.append(float(value))
        except ValueError:
            continue
    return sorted(found)


def _closest(values: Sequence[str]) -> float:
    numbers = _numbers(values)
    return min((b - a for a, b in pairwise(numbers)), default=1.0)


def _coarser(plan: Plan) -> Plan:
    def kept(values: Sequence[str]) -> tuple[str, ...]:
        chosen: list[float] = []
        for number in _numbers(values):
            if not chosen or number - chosen[-1] >= SMALLEST_STEP - 1e-9:
                chosen.append(number)
        return tuple(map(format_number, chosen))

    axes = [replace(axis, values=kept(axis.values)) if axis.kind in STRENGTHS else axis for axis in plan.axes]
    return replace(plan, axes=tuple(axes))


def _dense(plan: Plan) -> Iterator[Guard[Plan]]:
    if plan.request.mode == "fused" or plan.cells < 2:
        return
    for use in plan.request.loras:
        kinds = plan.known.of(use.sha256).dense
        if kinds:
            yield Guard(
                "dense",
                f"{use.name} has {', '.join(sorted(kinds))}, which costs one product more in each of its layers at every step",
                "such changes have no low rank; fused into the base they cost nothing, but each other strength is a load",
                fix="mode fused",
                mend=lambda now: replace(now, request=msgspec.structs.replace(now.request, mode="fused")),
                about=(use.sha256.lower(),),
            )


def drawn_guards(pictures: Iterable[tuple[DrawRequest, Path]]) -> tuple[Guard[DrawRequest], ...]:
    """What finished pictures tell: a LoRA with which two strengths give the same picture does nothing; black ones.

    Reads the files; one that can't be read tells nothing.
    """
    pictures = list(pictures)
    black = black_pictures([path for _, path in pictures])
    groups: dict[tuple[str, str, str], dict[str, float]] = {}
    found: dict[str, Guard[DrawRequest]] = {}
    for request, path in pictures:
        digest = "" if path in black else _pixels(path)
        for number, use in enumerate(request.loras if digest else ()):
            sha256 = use.sha256.lower()
            rest = msgspec.structs.replace(
                request, loras=tuple(each for i, each in enumerate(request.loras) if i != number)
            )
            known = groups.setdefault((sha256, rest.key(), use.blocks), {})
            before = known.setdefault(digest, use.strength)
            if before != use.strength and sha256 not in found:
                found[sha256] = _idle(use.name, sha256, before, use.strength)
    return (*found.values(), *([black_guard(len(black))] if black else ()))


def black_pictures(paths: Iterable[Path]) -> frozenset[Path]:
    """Those of ``paths`` on which every pixel is black: what becomes of a picture whose numbers overflowed."""
    return frozenset(path for path in paths if _is_black(path))


def black_guard(count: int) -> Guard[DrawRequest]:
    """The remark on so many black pictures."""
    return Guard(
        "black",
        "a picture is all black" if count == 1 else f"{count} pictures are all black",
        "a number grew too large on the way, in the sampler or in the VAE, and that is no look of a LoRA",
        fix="take another sampler, more steps, or another VAE",
    )


def _is_black(path: Path) -> bool:
    from PIL import Image

    try:
        with Image.open(path) as image:
            return image.convert("L").getextrema() == (0, 0)
    except (OSError, ValueError, SyntaxError):
        return False


def _idle(name: str, sha256: str, one: float, other: float) -> Guard[DrawRequest]:
    low, high = sorted((one, other))
    mend: Mend = without(sha256)
    return Guard(
        "does-nothing",
        f"{name} draws the same picture at {format_number(low)} and {format_number(high)}",
        "it does nothing here: its weights may be zero, or made for another base",
        fix=f"take {name} out",
        mend=mend,
        about=(sha256,),
    )


def _pixels(path: Path) -> str:
    from PIL import Image

    try:
        with Image.open(path) as image:
            return hashlib.sha256(image.convert("RGB").tobytes()).hexdigest()
    except (OSError, ValueError, SyntaxError):
        return ""
