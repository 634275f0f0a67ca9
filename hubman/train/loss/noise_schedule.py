"""The discrete noise schedule of Stable Diffusion 1.x, 2.x and SDXL, for bases that predict noise or velocity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hubman.train.loss.process import Prediction
from hubman.train.loss.shapes import spread
from hubman.train.loss.snr import zero_terminal


@dataclass(frozen=True)
class NoiseSchedule:
    """What a base's scheduler says, as tensors ``[timesteps]`` on the device that trains."""

    signal: Tensor
    """√ᾱ"""
    sigma: Tensor
    """√(1 - ᾱ)"""
    v_prediction: bool

    @classmethod
    def of(cls, alphas_cumprod: Tensor, *, v_prediction: bool, device: torch.device) -> NoiseSchedule:
        """From the ᾱ ``[timesteps]`` of a scheduler."""
        alphas = alphas_cumprod.cpu().double()
        return cls(alphas.sqrt().float().to(device), (1 - alphas).sqrt().float().to(device), v_prediction)

    def with_zero_terminal_snr(self) -> NoiseSchedule:
        """The same, its last timestep pure noise; see :func:`~hubman.train.loss.snr.zero_terminal`."""
        # In double precision, which some devices (MPS) do not have.
        alphas = zero_terminal(self.signal.cpu().double().square())
        return NoiseSchedule.of(alphas, v_prediction=self.v_prediction, device=self.signal.device)

    @property
    def timesteps(self) -> int:
        return self.signal.shape[0]

    @property
    def prediction(self) -> Prediction:
        return "v" if self.v_prediction else "epsilon"

    def at(self, shares: Sequence[float] | Tensor) -> Tensor:
        """The timesteps ``[B]`` at ``shares`` (0..1) of the schedule, int64."""
        places = torch.as_tensor(shares, dtype=torch.float64) * self.timesteps
        return places.long().clamp(max=self.timesteps - 1)

    def progress(self, timesteps: Tensor) -> Tensor:
        """``t / T``."""
        return timesteps.float() / self.timesteps

    def levels(self, timesteps: Tensor) -> tuple[Tensor, Tensor]:
        """√ᾱ and √(1 - ᾱ)."""
        return self.signal[timesteps], self.sigma[timesteps]

    def add_noise(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        signal, sigma = self.levels(timesteps)
        return spread(signal, latents) * latents + spread(sigma, noise) * noise

    def target(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """What the UNet should say: the noise, or the velocity √ᾱ·ε - √(1-ᾱ)·x."""
        if not self.v_prediction:
            return noise
        signal, sigma = self.levels(timesteps)
        return spread(signal, noise) * noise - spread(sigma, latents) * latents
