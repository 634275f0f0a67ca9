"""Axes over the settings of a picture: seed, steps, guidance, sampler, size, base model and the like."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import msgspec

from hubman.generate.axes import Axis, Cost, Point
from hubman.generate.prompt_tags import format_number
from hubman.generate.request import DrawRequest, check

_PLAIN = DrawRequest(base="", prompt="")
"""What values are checked in: whether they go with the others of a cell is known when all axes are."""


def field_axis(
    label: str,
    field: str,
    values: Sequence[int] | Sequence[float] | Sequence[str],
    cost: Cost,
    kind: str = "",
) -> Axis:
    """A field of a request by its values. Raises ``UsageError`` for a value that no engine could draw."""

    def put(r: DrawRequest, value: float | str) -> DrawRequest:
        return msgspec.structs.replace(r, **{field: value})

    for value in values:
        check(put(_PLAIN, value))
    points = [
        Point(value if isinstance(value, str) else format_number(value), partial(put, value=value)) for value in values
    ]
    return Axis(label, tuple(points), kind=kind or field, cost=cost, sets=frozenset({f"the {label}"}))


def seed_axis(seeds: Sequence[int]) -> Axis:
    return field_axis("Seed", "seed", seeds, Cost.SEED)


def size_axis(sizes: Sequence[tuple[int, int]]) -> Axis:
    """Sizes as (width, height) in pixels. Raises ``UsageError`` for one that no base could draw."""

    def put(r: DrawRequest, size: tuple[int, int]) -> DrawRequest:
        return msgspec.structs.replace(r, width=size[0], height=size[1])

    for size in sizes:
        check(put(_PLAIN, size))
    points = [Point(f"{size[0]}x{size[1]}", partial(put, size=size)) for size in sizes]
    return Axis("Size", tuple(points), kind="size", cost=Cost.SAMPLING, sets=frozenset({"the Size"}))


def base_axis(found: Sequence[tuple[str, str, str]]) -> Axis:
    """Base models as (name, path, SHA-256 of the file or '')."""

    def put(r: DrawRequest, path: str, sha256: str) -> DrawRequest:
        return msgspec.structs.replace(r, base=path, base_sha256=sha256)

    points = [Point(name, partial(put, path=path, sha256=sha256)) for name, path, sha256 in found]
    return Axis("Checkpoint", tuple(points), kind="checkpoint", cost=Cost.BASE, sets=frozenset({"the Checkpoint"}))
