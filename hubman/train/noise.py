"""Diffusion arithmetic of a training step: noising, targets and the weights of timesteps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


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
        alphas = alphas_cumprod.double()
        return cls(alphas.sqrt().float().to(device), (1 - alphas).sqrt().float().to(device), v_prediction)

    @property
    def timesteps(self) -> int:
        return self.signal.shape[0]

    def snr(self) -> Tensor:
        """ᾱ / (1 - ᾱ) of each timestep."""
        return (self.signal / self.sigma) ** 2

    def sample(self, shape: torch.Size, generator: torch.Generator) -> Tensor:
        """Uniformly random timesteps ``[B]`` on the CPU for latents of ``shape`` ``[B, C, h, w]``."""
        return torch.randint(self.timesteps, (shape[0],), generator=generator)

    def at(self, shares: Sequence[float]) -> Tensor:
        """The timesteps at ``shares`` (0..1) of the schedule, on the CPU."""
        return torch.tensor([min(int(share * self.timesteps), self.timesteps - 1) for share in shares])

    def weights(self, timesteps: Tensor, gamma: float) -> Tensor:
        """Min-SNR weight of each of ``timesteps`` (Hang et al. 2023); all 1 for ``gamma`` 0.

        ε: min(SNR, gamma) / SNR; v: min(SNR, gamma) / (SNR + 1). With zero terminal SNR the ε weight would be 0 / 0:
        it is 1 there.
        """
        if gamma <= 0:
            return torch.ones_like(self.signal[timesteps])
        snr = self.snr()[timesteps]
        if self.v_prediction:
            return snr.clamp(max=gamma) / (snr + 1)
        return torch.where(snr > 0, snr.clamp(max=gamma) / snr, torch.ones_like(snr))

    def add_noise(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        return _spread(self.signal[timesteps]) * latents + _spread(self.sigma[timesteps]) * noise

    def target(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """What the UNet should say: the noise, or the velocity √ᾱ·ε - √(1-ᾱ)·x."""
        if not self.v_prediction:
            return noise
        return _spread(self.signal[timesteps]) * noise - _spread(self.sigma[timesteps]) * latents


def offset_noise(shape: torch.Size, offset: float, generator: torch.Generator) -> Tensor:
    """Gaussian noise ``[B, C, H, W]`` on the CPU, plus ``offset`` times one more value a channel."""
    noise = torch.randn(shape, generator=generator)
    if offset:
        noise += offset * torch.randn(*shape[:2], 1, 1, generator=generator)
    return noise


def _spread(values: Tensor) -> Tensor:
    return values.view(-1, 1, 1, 1)
