"""How pictures become noise: the one interface of the discrete schedules and of flow matching."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor


class Process(Protocol):
    """What a base model was trained to undo.

    Timesteps ``[B]`` are in the process's own unit, which only its base model reads: an index (int64) of a discrete
    schedule, the share of noise (float, 0..1) of flow matching. Latents and noise are ``[B, C, h, w]``.
    """

    def sample(self, shape: torch.Size, generator: torch.Generator) -> Tensor:
        """Random timesteps on the CPU for latents of ``shape``."""

    def at(self, shares: Sequence[float]) -> Tensor:
        """The timesteps at ``shares`` (0: clean, 1: noise) of the whole, on the CPU."""

    def add_noise(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """What the base model sees."""

    def target(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """What it should answer."""

    def weights(self, timesteps: Tensor, gamma: float) -> Tensor:
        """Weight ``[B]`` of each sample's loss; min-SNR's ``gamma`` (0: all alike) concerns discrete schedules only."""
