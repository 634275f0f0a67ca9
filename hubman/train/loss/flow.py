"""Flow matching, as FLUX.1, SD 3.5 and Z-Image are trained: a straight line from picture to noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hubman.train.loss.process import Prediction
from hubman.train.loss.shapes import spread


@dataclass(frozen=True)
class FlowMatching:
    """``x_t = (1 - t)·x + t·ε`` with the velocity ``ε - x`` as target; ``t`` is the share of noise, 0..1."""

    prediction: Prediction = "flow"

    def at(self, shares: Sequence[float] | Tensor) -> Tensor:
        """The shares themselves ``[B]``."""
        return torch.as_tensor(shares, dtype=torch.float32)

    def progress(self, timesteps: Tensor) -> Tensor:
        return timesteps

    def levels(self, timesteps: Tensor) -> tuple[Tensor, Tensor]:
        """``1 - t`` and ``t``."""
        return 1 - timesteps, timesteps

    def add_noise(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        t = spread(timesteps, latents)
        return (1 - t) * latents + t * noise

    def target(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:  # noqa: ARG002 - the same at each
        return noise - latents
