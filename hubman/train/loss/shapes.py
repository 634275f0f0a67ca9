"""Values of samples against tensors of samples."""

from __future__ import annotations

from torch import Tensor


def spread(values: Tensor, like: Tensor) -> Tensor:
    """``values`` ``[B]`` with as many trailing unit axes as ``like`` ``[B, …]`` has, so that the two multiply."""
    return values.view(-1, *[1] * (like.dim() - 1))
