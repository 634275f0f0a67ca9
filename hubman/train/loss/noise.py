"""The noise of a training step, and what may be done to it. All of it is drawn on the CPU: the same on every device."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def add_offset(
    noise: Tensor, latents: Tensor, offset: float, generator: torch.Generator, *, adaptive: float = 0.0
) -> Tensor:
    """``noise`` ``[B, C, h, w]`` plus one more draw a channel, so that a picture's mean is learned too.

    Its strength is ``offset``, plus ``adaptive`` times the size of the channel's mean in ``latents``.
    """
    axes = tuple(range(2, noise.dim()))
    strength = offset + adaptive * latents.mean(dim=axes, keepdim=True).abs()
    draw = torch.randn(*noise.shape[:2], *[1] * len(axes), generator=generator)
    return noise + strength * draw


def add_multires(noise: Tensor, iterations: int, discount: float, generator: torch.Generator) -> Tensor:
    """``noise`` ``[B, C, h, w]`` plus noise of coarser and coarser grids, brought back to unit variance.

    The i-th grid has sides ⌊side / r^i⌋, r drawn from [2, 4) each time, and counts discount^i; the last is the one that
    has a side of 1 (Whitaker 2023, "Multi-resolution noise for diffusion model training").
    """
    height, width = noise.shape[-2:]
    for i in range(iterations):
        ratio = (2 + 2 * float(torch.rand((), generator=generator))) ** i
        grid = (max(1, int(height / ratio)), max(1, int(width / ratio)))
        coarse = torch.randn(*noise.shape[:-2], *grid, generator=generator)
        noise = noise + discount**i * F.interpolate(coarse, size=(height, width), mode="bilinear")
        if 1 in grid:
            break
    return noise / noise.std()


def perturbed(noise: Tensor, gamma: float, generator: torch.Generator) -> Tensor:
    """What is added to the input in the place of ``noise``: ε + gamma·ε' (Ning et al. 2023, arXiv 2301.11706).

    The target stays that of ``noise``.
    """
    return noise + gamma * torch.randn(noise.shape, generator=generator)
