"""Columns of a list: which fit, how wide, and text cut to cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size


@dataclass(frozen=True)
class Column:
    """A column of ``width`` cells. ``grow`` takes what is left over; the highest ``drop`` leaves first."""

    title: str
    width: int
    grow: bool = False
    drop: int = 0
    right: bool = False


GAP = 1


def fit(columns: Sequence[Column], width: int) -> list[tuple[int, int]]:
    """(index, cells) of the columns that fit into ``width`` cells, in their order."""
    kept = list(range(len(columns)))
    while len(kept) > 1 and _needed(columns, kept) > width:
        worst = max(kept, key=lambda index: (columns[index].drop, index))
        if columns[worst].drop == 0:
            break
        kept.remove(worst)
    spare = max(0, width - _needed(columns, kept))
    growing = [index for index in kept if columns[index].grow]
    share, rest = divmod(spare, len(growing)) if growing else (0, 0)
    widths = {index: columns[index].width for index in kept}
    for position, index in enumerate(growing):
        widths[index] += share + (1 if position < rest else 0)
    return [(index, widths[index]) for index in kept]


def _needed(columns: Sequence[Column], kept: Sequence[int]) -> int:
    return sum(columns[index].width for index in kept) + GAP * max(0, len(kept) - 1)


def cut(text: str, width: int, *, right: bool = False) -> str:
    """``text`` in exactly ``width`` cells; ``…`` stands for what was cut. Wide characters count as two."""
    length = cell_len(text)
    if length > width:
        return set_cell_size(text, width - 1) + "…" if width > 0 else ""
    padding = " " * (width - length)
    return padding + text if right else text + padding
