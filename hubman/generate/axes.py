"""An axis of a grid: what varies, how each value is called and changes a request, and how values are written."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, localcontext
from enum import IntEnum

from hubman.generate.request import DrawRequest
from registry.errors import UsageError

DEFAULT_POINTS = 6
"""Points of a range of decimals that says neither step nor count."""
MAX_POINTS = 1000
_MAX_DIGITS = 40
_PRECISION = 3 * _MAX_DIGITS
"""Digits to count with, so that no sum or product of numbers of an axis is rounded."""

_NUMBER = r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)"
_RANGE = re.compile(
    rf"\s*({_NUMBER})\s*-\s*({_NUMBER})\s*(?:\(\s*({_NUMBER})\s*\)|\[\s*(\d+)\s*\])?\s*",
)


@dataclass(frozen=True)
class Point:
    """One value: its label, and the request that it makes of another."""

    text: str
    apply: Callable[[DrawRequest], DrawRequest]


class Cost(IntEnum):
    """What a change costs, the cheapest first: a batch holds many strengths, prompts and seeds, but one of the rest."""

    STRENGTH = 0
    PROMPT = 1
    SEED = 2
    SAMPLING = 3
    """Steps, sampler, size: a batch of their own."""
    FILES = 4
    BASE = 5


class Stage(IntEnum):
    """When an axis is applied, whatever its place on the page: a file has strengths, a set takes LoRAs away."""

    FILES = 0
    VALUES = 1
    SETS = 2


@dataclass(frozen=True)
class Axis:
    label: str
    points: tuple[Point, ...]
    kind: str = ""
    """Its word, such as ``strength``."""
    target: str = ""
    """The LoRA that it is of."""
    cost: Cost = Cost.STRENGTH
    stage: Stage = Stage.VALUES
    sets: frozenset[str] = frozenset()
    """What it sets: two axes of a grid must not set the same thing."""


def parse_values(text: str) -> tuple[str, ...]:
    """A comma-separated list; double quotes keep commas. Raises ``UsageError`` if it is empty."""
    row = next(csv.reader([" ".join(text.split())], skipinitialspace=True), [])
    values = tuple(value.strip() for value in row if value.strip())
    if not values:
        raise UsageError("an axis has no values", "write for instance 0.2, 0.4, 0.6")
    return values


def parse_decimals(text: str, *, default_step: str = "") -> tuple[Decimal, ...]:
    """Numbers and ranges, exact: ``0.5-1.0 (+0.1)`` by step, ``0.5-1.0 [6]`` by count, ``-1, 0, 1``.

    A range never leaves its ends; without step or count it has 6 points, or steps of ``default_step``.
    """
    found: list[Decimal] = []
    with localcontext(prec=_PRECISION):
        for item in parse_values(text):
            if len(item) > _MAX_DIGITS and re.fullmatch(_NUMBER, item.strip()):
                raise UsageError(f"{item[:12]}… has more digits than a strength needs", "write fewer")
            if re.fullmatch(_NUMBER, item):
                found.append(Decimal(item))
            elif match := _RANGE.fullmatch(item):
                found += _range(match, default_step)
            else:
                raise UsageError(f"{item!r} is neither a number nor a range", "write 0.5-1.0 (+0.1) or 0.5-1.0 [6]")
            if len(found) > MAX_POINTS:
                raise UsageError(f"an axis of more than {MAX_POINTS} values", "take larger steps")
    return tuple(found)


def parse_floats(text: str) -> tuple[float, ...]:
    """``parse_decimals`` as the nearest floats."""
    return tuple(float(value) for value in parse_decimals(text))


def parse_integers(text: str) -> tuple[int, ...]:
    """Whole numbers and ranges of them, ``1-4`` = 1, 2, 3, 4."""
    values = parse_decimals(text, default_step="1")
    for value in values:
        if value != value.to_integral_value():
            raise UsageError(f"{value} is not a whole number")
    return tuple(int(value) for value in values)


def _range(match: re.Match[str], default_step: str) -> list[Decimal]:
    if any(len(number or "") > _MAX_DIGITS for number in match.groups()):
        raise UsageError("a range with more digits than a strength needs", "write fewer")
    start, end, step, count = Decimal(match[1]), Decimal(match[2]), match[3] or default_step, match[4]
    if count or not step:
        points = int(count[:6]) if count else DEFAULT_POINTS
        if not 1 <= points <= MAX_POINTS:
            raise UsageError(f"a range of {points} points", f"choose 1 to {MAX_POINTS}")
        return [start + (end - start) * i / (points - 1) for i in range(points)] if points > 1 else [start]
    size = abs(Decimal(step))
    if size == 0:
        raise UsageError("a range with steps of 0", "take a step above 0")
    # An exact floor: a quotient rounded up would pass the end.
    steps = abs(end - start) // size if abs(end - start) < size * MAX_POINTS else Decimal(MAX_POINTS)
    if steps >= MAX_POINTS:
        raise UsageError(f"a range of more than {MAX_POINTS} points", "choose a larger step")
    direction = size if end >= start else -size
    return [start + i * direction for i in range(int(steps) + 1)]
