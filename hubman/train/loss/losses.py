"""The error of a prediction, value by value: squares, pseudo-Huber and smooth L1.

The two robust losses have a parameter ``c``: below it an error counts by its square, above it by its size. A schedule
lets ``c`` fall with the noise (Khrapov et al. 2024, arXiv 2403.16728), as sd-scripts does.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from hubman.train.loss.shapes import spread
from hubman.train.settings.noise import HuberSchedule, LossKind


def huber_c(schedule: HuberSchedule, c: float, *, progress: Tensor, noise_to_signal: Tensor) -> Tensor:
    """``c`` at each timestep, of the shape of ``progress``.

    ``progress`` is t / T (0 clean, 1 noise), ``noise_to_signal`` the ratio of their factors (√((1-ᾱ)/ᾱ), or t/(1-t)),
    which may be infinite. Constant: c; exponential: c^(t/T); SNR: (1-c) / (1 + ratio)² + c.
    """
    match schedule:
        case "constant":
            return torch.full_like(progress, c)
        case "exponential":
            return torch.exp(math.log(c) * progress)
        case "snr":
            return (1 - c) / (1 + noise_to_signal).square() + c


def elementwise(prediction: Tensor, target: Tensor, loss: LossKind, c: Tensor | None = None) -> Tensor:
    """The error of each value, of the shape of ``prediction`` ``[B, …]``; ``c`` ``[B]`` is for the robust ones.

    With e the difference: L2 e²; Huber 2c (√(e² + c²) - c), which is e² for small errors; smooth L1
    2 (√(e² + c²) - c), whose slope is 2 for large errors whatever c is.
    """
    squares = (prediction - target).square()
    if loss == "l2":
        return squares
    if c is None:
        raise TypeError(f"the {loss} loss needs c")
    c = spread(c, squares)
    error = 2 * ((squares + c.square()).sqrt() - c)
    return c * error if loss == "huber" else error
