"""What the signal-to-noise ratio of a timestep decides: the weight of its loss, and that of the last one."""

from __future__ import annotations

import torch
from torch import Tensor

from hubman.train.loss.process import Process

MOST_SNR = 1000.0
"""For the debiased weight: almost clean timesteps would count for nothing."""


def min_snr(snr: Tensor, gamma: float, *, v_prediction: bool) -> Tensor:
    """Min-SNR weights (Hang et al. 2023, arXiv 2303.09556) of each SNR in ``snr``; 1 all over for ``gamma`` 0.

    ε: min(SNR, gamma) / SNR; v: min(SNR, gamma) / (SNR + 1). Where the SNR is 0 the ε weight would be 0 / 0: it is 1, its limit.
    """
    if gamma <= 0:
        return torch.ones_like(snr)
    capped = snr.clamp(max=gamma)
    if v_prediction:
        return capped / (snr + 1)
    return torch.where(snr > 0, capped / snr, torch.ones_like(snr))


def debiased(snr: Tensor, *, v_prediction: bool) -> Tensor:
    """Debiased estimation weights (Yu et al. 2023, arXiv 2310.08442). ε: 1 / √SNR, the SNR capped; v: 1 / (SNR + 1)."""
    return 1 / (snr + 1) if v_prediction else snr.clamp(max=MOST_SNR).rsqrt()


def zero_terminal(alphas_cumprod: Tensor) -> Tensor:
    """``alphas_cumprod`` (ᾱ) rescaled so that the last timestep is pure noise and the first is what it was.

    √ᾱ loses its last value and is stretched back to its first (Lin et al. 2023, arXiv 2305.08891). Applied twice it
    changes nothing more.
    """
    signal = alphas_cumprod.double().sqrt()
    first, last = signal[0], signal[-1]
    return ((signal - last) * (first / (first - last))).square()


def loss_weights(process: Process, timesteps: Tensor, *, gamma: float, debias: bool) -> Tensor:
    """The weight ``[B]`` of each sample's loss; a flow has no SNR to weigh by: 1."""
    if process.prediction == "flow" or not (gamma or debias):
        return torch.ones_like(timesteps, dtype=torch.float32)
    signal, sigma = process.levels(timesteps)
    snr, v_prediction = (signal / sigma).square(), process.prediction == "v"
    return debiased(snr, v_prediction=v_prediction) if debias else min_snr(snr, gamma, v_prediction=v_prediction)
