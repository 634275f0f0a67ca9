"""A LoRA cut down to a rank: of each module the largest singular values, as ``dyn=`` of a prompt's tag asks."""

from __future__ import annotations

from dataclasses import replace

from hubman.lora.change import Change
from hubman.lora.decomposition import largest, of_factors
from hubman.lora.factors import Factors
from hubman.lora.load import LoraWeights


def truncated(lora: LoraWeights, rank: int) -> LoraWeights:
    """``lora`` with at most ``rank`` in every module: the best approximation there is. Norms and biases stay."""
    changes = {site: _cut(change, rank) for site, change in lora.changes.items()}
    return replace(lora, changes=changes)


def _cut(change: Change, rank: int) -> Change:
    factors = change.factors
    if factors is None or (factors.rank <= rank and not factors.is_full):
        return change
    found = largest(factors.delta(), rank) if factors.is_full else of_factors(factors)
    return replace(change, factors=Factors(*found.pair(rank)))
