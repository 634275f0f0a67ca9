"""Which noise levels a batch is trained at, as shares of the whole: 0 is clean, 1 is noise."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from hubman.train.settings.noise import Sampling

PATCH = 2
"""Latents a side of one token, in all families that undo flow matching."""


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
    """The shift of latents of this size: e^μ, with the :func:`shift_exponent` of FLUX.1."""
    return math.exp(shift_exponent((height // PATCH) * (width // PATCH)))


def shift_exponent(tokens: int, few: int = 256, many: int = 4096, start: float = 0.5, end: float = 1.15) -> float:
    """μ, on the line from ``start`` at ``few`` tokens to ``end`` at ``many`` (FLUX.1's own sampling code)."""
    return start + (end - start) / (many - few) * (tokens - few)
