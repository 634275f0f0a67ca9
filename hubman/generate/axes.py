"""Axes of a grid: what varies, how each value is called, and how it changes a request."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Literal

import msgspec

from hubman.generate.prompt_tags import format_number
from hubman.generate.request import DrawRequest, LoraUse
from hubman.generate.samplers import split_name
from registry.errors import UsageError

DEFAULT_POINTS = 6
"""Points of a range of decimals that says neither step nor count."""
MAX_POINTS = 1000

Which = Literal["both", "unet", "te"]

_NUMBER = r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)"
_RANGE = re.compile(
    rf"\s*({_NUMBER})\s*-\s*({_NUMBER})\s*(?:\(\s*({_NUMBER})\s*\)|\[\s*(\d+)\s*\])?\s*",
)


@dataclass(frozen=True)
class Point:
    """One value: its label, and the request that it makes of another."""

    text: str
    apply: Callable[[DrawRequest], DrawRequest]


@dataclass(frozen=True)
class Axis:
    label: str
    points: tuple[Point, ...]


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
    for item in parse_values(text):
        if re.fullmatch(_NUMBER, item):
            found.append(Decimal(item))
        elif match := _RANGE.fullmatch(item):
            found += _range(Decimal(match[1]), Decimal(match[2]), match[3] or "", match[4] or "", default_step)
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


def _range(start: Decimal, end: Decimal, step: str, count: str, default_step: str) -> list[Decimal]:
    if count or not (step or default_step):
        points = int(count[:6]) if count else DEFAULT_POINTS
        if not 1 <= points <= MAX_POINTS:
            raise UsageError(f"a range of {points} points", f"choose 1 to {MAX_POINTS}")
        return [start + (end - start) * i / (points - 1) for i in range(points)] if points > 1 else [start]
    size = abs(Decimal(step or default_step))
    if size == 0:
        raise UsageError("a range with steps of 0", "take a step above 0")
    steps = abs(end - start) / size
    if steps >= MAX_POINTS:
        raise UsageError(f"a range of more than {MAX_POINTS} points", "choose a larger step")
    points = int(steps) + 1
    direction = size if end >= start else -size
    return [start + i * direction for i in range(points)]


def strength_axis(request: DrawRequest, name: str, values: Sequence[float], which: Which = "both") -> Axis:
    """The strength of the LoRA ``name`` of ``request``: both parts, the UNet's, or the text encoder's."""
    number = lora_index(request, name)
    fields = {"both": "", "unet": " unet", "te": " te"}[which]
    points = [
        Point(format_number(value), partial(with_strength, number=number, value=value, which=which)) for value in values
    ]
    return Axis(f"{name}{fields}", tuple(points))


def lora_index(request: DrawRequest, name: str) -> int:
    """Where the LoRA called ``name`` (or with that hash) stands in ``request.loras``; ``UsageError`` if nowhere."""
    for number, use in enumerate(request.loras):
        if name in {use.name, use.sha256}:
            return number
    known = ", ".join(use.name for use in request.loras) or "none"
    raise UsageError(f"LoRA {name} is not in the prompt", f"it has {known}")


def with_strength(request: DrawRequest, number: int, value: float, which: Which = "both") -> DrawRequest:
    """``request`` with another strength of LoRA ``number``."""
    use = request.loras[number]
    if which == "both":
        changed = msgspec.structs.replace(use, strength=value, te_strength=None)
    elif which == "unet":
        changed = msgspec.structs.replace(use, strength=value, te_strength=use.text_strength)
    else:
        changed = msgspec.structs.replace(use, te_strength=value)
    loras = (*request.loras[:number], changed, *request.loras[number + 1 :])
    return msgspec.structs.replace(request, loras=loras)


def ratio_axis(request: DrawRequest, first: str, second: str, total: float, shares: Sequence[float]) -> Axis:
    """Two LoRAs whose strengths add up to ``total``: each share (0..1) is the first one's part of it."""
    a, b = lora_index(request, first), lora_index(request, second)

    def split(r: DrawRequest, share: float) -> DrawRequest:
        return with_strength(with_strength(r, a, total * share), b, total - total * share)

    points = [
        Point(
            f"{format_number(total * share)}:{format_number(total - total * share)}",
            partial(split, share=share),
        )
        for share in shares
    ]
    return Axis(f"{first} : {second}", tuple(points))


def lora_axis(request: DrawRequest, name: str, files: Sequence[LoraUse]) -> Axis:
    """Other files in the place of LoRA ``name``, such as the epochs of a training, at its strengths."""
    number = lora_index(request, name)

    def swap(r: DrawRequest, file: LoraUse) -> DrawRequest:
        old = r.loras[number]
        new = msgspec.structs.replace(
            file, strength=old.strength, te_strength=old.te_strength, start=old.start, stop=old.stop
        )
        return msgspec.structs.replace(r, loras=(*r.loras[:number], new, *r.loras[number + 1 :]))

    return Axis("LoRA", tuple(Point(file.name, partial(swap, file=file)) for file in files))


def combination_axis(request: DrawRequest) -> Axis:
    """None, each alone, all but one (from three on), and all of the request's LoRAs."""
    everyone = range(len(request.loras))
    sets: list[tuple[int, ...]] = [(), *((i,) for i in everyone)]
    sets += [tuple(i for i in everyone if i != left_out) for left_out in everyone]
    sets.append(tuple(everyone))

    def keep(r: DrawRequest, kept: tuple[int, ...]) -> DrawRequest:
        for number in everyone:
            if number not in kept:
                r = with_strength(r, number, 0.0)
        return r

    points = [
        Point(" + ".join(request.loras[i].name for i in kept) or "none", partial(keep, kept=kept))
        for kept in dict.fromkeys(sets)
    ]
    return Axis("LoRAs", tuple(points))


def seed_axis(seeds: Sequence[int]) -> Axis:
    return _field_axis("Seed", "seed", seeds)


def steps_axis(values: Sequence[int]) -> Axis:
    return _field_axis("Steps", "steps", values)


def cfg_axis(values: Sequence[float]) -> Axis:
    return _field_axis("CFG", "cfg", values)


def sampler_axis(names: Sequence[str]) -> Axis:
    """Samplers by name; ``UsageError`` names one that is unknown."""
    for name in names:
        split_name(name)
    return _field_axis("Sampler", "sampler", names)


def _field_axis(label: str, field: str, values: Sequence[int] | Sequence[float] | Sequence[str]) -> Axis:
    def put(r: DrawRequest, value: float | str) -> DrawRequest:
        return msgspec.structs.replace(r, **{field: value})

    points = [
        Point(value if isinstance(value, str) else format_number(value), partial(put, value=value)) for value in values
    ]
    return Axis(label, tuple(points))


def prompt_axis(request: DrawRequest, values: Sequence[str]) -> Axis:
    """Search and replace in the prompt: the first value is searched for, and must be there."""
    search = values[0]
    if search not in request.prompt:
        raise UsageError(f"the prompt does not hold {search!r}", "the first value of this axis is what is replaced")

    def put(r: DrawRequest, value: str) -> DrawRequest:
        return msgspec.structs.replace(r, prompt=r.prompt.replace(search, value))

    return Axis("Prompt", tuple(Point(value, partial(put, value=value)) for value in values))
