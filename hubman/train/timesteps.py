"""Which noise levels a batch is trained at, as shares of the whole: 0 is clean, 1 is noise."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from hubman.train.settings.noise import Sampling

_FEW, _FEW_MU = 256, 0.5
_MANY, _MANY_MU = 4096, 1.15
_PATCH = 2
"""Latents a side of one token, in all families whose shift follows the resolution."""


def draw_shares(
    count: int,
    generator: torch.Generator,
    *,
    sampling: Sampling = "uniform",
    mean: float = 0.0,
    spread: float = 1.0,
    shift: float = 1.0,
    low: float = 0.0,
    high: float = 1.0,
) -> Tensor:
    """``count`` shares between ``low`` and ``high``, fp32 on the CPU.

    ``logit_normal`` is sigmoid(mean + spread · randn), as Stable Diffusion 3 is trained (Esser et al. 2024, arXiv 2403.03206).
    What is drawn is shifted, then stretched into the range, so that a range keeps the form of the whole.
    """
    if sampling == "uniform":
        shares = torch.rand(count, generator=generator)
    else:
        shares = torch.sigmoid(mean + spread * torch.randn(count, generator=generator))
    return low + (high - low) * shifted(shares, shift)


def shifted(shares: Tensor, shift: float) -> Tensor:
    """``k·t / (1 + (k-1)·t)``: 1 leaves the shares, more moves them towards noise."""
    return shift * shares / (1 + (shift - 1) * shares)


def resolution_shift(height: int, width: int) -> float:
    """The shift of latents of this size: e^μ, μ on the line from .5 at 256 tokens to 1.15 at 4,096 (FLUX.1)."""
    tokens = (height // _PATCH) * (width // _PATCH)
    slope = (_MANY_MU - _FEW_MU) / (_MANY - _FEW)
    return math.exp(_FEW_MU + slope * (tokens - _FEW))
