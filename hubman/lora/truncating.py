"""A LoRA cut down to a rank: of each module the largest singular values, as ``dyn=`` of a prompt's tag asks."""

from __future__ import annotations

from dataclasses import replace

import torch

from hubman.lora.change import Change
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
    return replace(change, factors=_of_full(factors, rank) if factors.is_full else _of_pair(factors, rank))


def _of_pair(factors: Factors, rank: int) -> Factors:
    """Of B·A by two QR decompositions: the work grows with the rank, not with the module."""
    q_up, r_up = torch.linalg.qr(factors.up.double())
    q_down, r_down = torch.linalg.qr(factors.down.flatten(1).double().t())
    left, values, right = torch.linalg.svd(r_up @ r_down.t())
    up = q_up @ (left[:, :rank] * values[:rank])
    down = right[:rank] @ q_down.t()
    return Factors(down.float().view(-1, *factors.down.shape[1:]).contiguous(), up.float().contiguous())


def _of_full(factors: Factors, rank: int) -> Factors:
    from hubman.lora.reduce import low_rank

    down, up, _ = low_rank(factors.delta(), rank)
    return Factors(down, up)
