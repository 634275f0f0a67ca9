"""In which order a grid is drawn: what is dear to change stands still, and the rest goes from coarse to fine."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter

from hubman.generate.axes import Cost
from hubman.generate.grids.grid import Grid
from hubman.generate.request import DrawRequest


def coarse_to_fine(count: int) -> list[int]:
    """0 … count-1: both ends, the middle, the middles of the halves, and so on."""
    return sorted(range(count), key=levels(count).__getitem__)


def levels(count: int) -> list[int]:
    """How late each of 0 … count-1 is drawn: 0 for the ends, 1 for the middle, 2 for the middles of the halves, …"""
    found = [0] * count
    gaps = [(0, count - 1, 1)]
    while gaps:
        low, high, level = gaps.pop()
        middle = (low + high) // 2
        if low < middle < high:
            found[middle] = level
            gaps += [(low, middle, level + 1), (middle, high, level + 1)]
    return found


def drawing_order(grid: Grid) -> list[DrawRequest]:
    """Each request once. A base and a set of files are loaded once, a sampler and size fill their batches.

    Within these, the corners of the cheap axes come first, then what halves their gaps; among equals strengths vary
    fastest, then the prompt, then the seed.
    """
    dear = [i for i, axis in enumerate(grid.axes) if axis.cost > Cost.SEED]
    cheap = [i for i, axis in enumerate(grid.axes) if axis.cost <= Cost.SEED]
    outward = sorted(dear, key=lambda i: -grid.axes[i].cost)
    inward = sorted(cheap, key=lambda i: -grid.axes[i].cost)
    late = [levels(len(axis.values)) for axis in grid.axes]
    rank = [_ranks(coarse_to_fine(len(axis.values))) for axis in grid.axes]

    def when(at: Sequence[int]) -> tuple[int, ...]:
        level = max((late[i][at[i]] for i in cheap), default=0)
        return (*(rank[i][at[i]] for i in outward), level, *(rank[i][at[i]] for i in inward))

    ordered = sorted(((when(cell.at), cell.request) for cell in grid.cells), key=itemgetter(0))
    return list({request.key(): request for _, request in ordered}.values())


def _ranks(order: Sequence[int]) -> list[int]:
    ranks = [0] * len(order)
    for rank, number in enumerate(order):
        ranks[number] = rank
    return ranks
