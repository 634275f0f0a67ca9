"""Flow matching, as FLUX.1, SD 3.5 and Z-Image are trained: a straight line from picture to noise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Sampling = Literal["logit-normal", "uniform"]


@dataclass(frozen=True)
class FlowMatching:
    """``x_t = (1 - t)·x + t·ε`` with the velocity ``ε - x`` as target; ``t`` is the share of noise, 0..1."""

    sampling: Sampling = "logit-normal"
    """``logit-normal`` is sigmoid(s·randn) (Esser et al. 2024, "Scaling Rectified Flow Transformers")."""
    scale: float = 1.0
    """``s`` of ``logit-normal``: larger ones reach nearer to both ends."""
    shift: float = 1.0
    """``t ← k·t / (1 + (k - 1)·t)`` puts more steps where a large picture still has structure; 1 changes nothing."""
    resolution_shift: bool = False
    """Take ``k = e^μ`` with μ linear in the number of patches, .5 at 256 and 1.15 at 4,096 (FLUX.1), not ``shift``."""
    patch: int = 2
    """Latents a side that the model reads as one token."""

    def sample(self, shape: torch.Size, generator: torch.Generator) -> Tensor:
        """Random timesteps ``[B]`` on the CPU for latents of ``shape`` ``[B, C, h, w]``."""
        if self.sampling == "uniform":
            t = torch.rand(shape[0], generator=generator)
        else:
            t = torch.sigmoid(self.scale * torch.randn(shape[0], generator=generator))
        k = self.factor(shape[-2] * shape[-1] // self.patch**2)
        return k * t / (1 + (k - 1) * t)

    def factor(self, tokens: int) -> float:
        """``k`` for a picture of ``tokens`` patches."""
        return math.exp(0.5 + (tokens - 256) * (1.15 - 0.5) / (4096 - 256)) if self.resolution_shift else self.shift

    def at(self, shares: Sequence[float]) -> Tensor:
        """The shares themselves ``[B]``."""
        return torch.tensor(shares, dtype=torch.float32)

    def add_noise(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        t = timesteps.view(-1, 1, 1, 1)
        return (1 - t) * latents + t * noise

    def target(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:  # noqa: ARG002 - the same at each
        return noise - latents

    def weights(self, timesteps: Tensor, gamma: float) -> Tensor:  # noqa: ARG002 - SNR weights are of discrete schedules
        return torch.ones_like(timesteps)
