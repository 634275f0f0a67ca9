"""A full change as plain LoRA of a rank: the best approximation that a singular value decomposition finds."""

from __future__ import annotations

import torch
from torch import Tensor

_SPARE = 8
_ROUNDS = 6
"""Of the power iteration: with the spare ranks it leaves less than 0.1 % of the best possible on the table."""
_EXACT = 512
"""Up to this side the decomposition in full is as fast."""


def low_rank(delta: Tensor, rank: int) -> tuple[Tensor, Tensor, float]:
    """(down [rank, in(, kh, kw)], up [out, rank], share of ΔW's energy kept) with up · down ≈ ``delta``.

    The scale is split evenly between both, which keeps fp16 in range. The same ``delta`` gives the same factors.
    """
    matrix = delta.flatten(1).float()
    rank = min(rank, *matrix.shape)
    if min(matrix.shape) <= _EXACT:
        left, values, right = torch.linalg.svd(matrix, full_matrices=False)
        right = right.t()
    else:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            left, values, right = torch.svd_lowrank(matrix, q=min(rank + _SPARE, *matrix.shape), niter=_ROUNDS)
    root = values[:rank].sqrt()
    up, down = left[:, :rank] * root, (right[:, :rank] * root).t()
    energy = float(matrix.double().square().sum())
    kept = float(values[:rank].double().square().sum()) / energy if energy else 1.0
    return down.reshape(rank, *delta.shape[1:]).contiguous(), up.contiguous(), min(1.0, kept)
