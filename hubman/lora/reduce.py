"""A full change as plain LoRA of a rank: the best approximation that a singular value decomposition finds."""

from __future__ import annotations

from torch import Tensor

from hubman.lora.decomposition import largest


def low_rank(delta: Tensor, rank: int) -> tuple[Tensor, Tensor, float]:
    """(down [rank, in(, kh, kw)], up [out, rank], share of ΔW's energy kept) with up · down ≈ ``delta``.

    The scale is split evenly between both, which keeps fp16 in range. The same ``delta`` gives the same factors.
    """
    rank = min(rank, delta.shape[0], delta[0].numel())
    found = largest(delta, rank)
    return *found.pair(rank), found.kept(rank)
