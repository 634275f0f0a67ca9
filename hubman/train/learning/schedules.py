"""How the learning rate goes through a run."""

from __future__ import annotations

import math

from hubman.train.settings.learning import Shape


def rate_share(
    step: int, steps: int, shape: Shape, *, warmup: int = 0, restarts: int = 1, power: float = 1.0, floor: float = 0.0
) -> float:
    """The share of the full rate at ``step`` (from 0) of ``steps``: it rises for ``warmup`` steps, then falls.

    ``restarts`` is how often a cosine with restarts falls, ``power`` the polynomial's. The fall is from 1 to ``floor``.
    """
    if step < warmup:
        return (step + 1) / warmup
    progress = (step - warmup) / max(1, steps - warmup)
    return floor + (1 - floor) * _left(progress, shape, restarts, power)


def _left(progress: float, shape: Shape, restarts: int, power: float) -> float:
    match shape:
        case "constant":
            return 1.0
        case "linear":
            return 1 - progress
        case "cosine":
            return 0.5 * (1 + math.cos(math.pi * progress))
        case "cosine_restarts":
            return 0.5 * (1 + math.cos(math.pi * (restarts * progress % 1)))
        case "polynomial":
            return float((1 - progress) ** power)
