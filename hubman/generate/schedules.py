"""A1111's schedule types: which noise levels a sampler visits. The names need no numpy; the levels do."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

AUTOMATIC = "Automatic"
"""What the sampler is mostly drawn with; where there is no such thing, the spacing of the base's own scheduler."""
SCHEDULES = (
    AUTOMATIC,
    "Uniform",
    "Karras",
    "Exponential",
    "Polyexponential",
    "SGM Uniform",
    "KL Optimal",
    "Align Your Steps",
    "Simple",
    "Normal",
    "DDIM",
    "Beta",
    "Turbo",
)
NATIVE: Mapping[str, Mapping[str, bool]] = {
    "Karras": {"use_karras_sigmas": True},
    "Exponential": {"use_exponential_sigmas": True},
    "Polyexponential": {"use_exponential_sigmas": True},
}
"""Settings of diffusers' schedulers that mean the same. Polyexponential has the exponent 1 in A1111."""
PLAIN_OF_FLOW = frozenset({AUTOMATIC, "Simple", "Normal", "Uniform", "SGM Uniform"})
"""Types that mean equal steps to a flow model, before its shift."""


def levels(schedule: str, trained: NDArray[Any], steps: int, ays: str = "StableDiffusionSigmas") -> NDArray[Any]:
    """The noise levels (sigma) of ``steps`` steps, falling, without the 0 at the end.

    ``trained`` are those of the training timesteps, rising. ``ays`` names the table of Align Your Steps (Sabour et al. 2024)
    in diffusers. The others are those of A1111 1.10 and k-diffusion.
    """
    import numpy as np

    last = len(trained) - 1
    count = np.arange(steps)
    at: NDArray[Any]
    match schedule:
        case "Karras":  # Karras et al. 2022, equation 5
            low, high = trained[0] ** (1 / 7), trained[-1] ** (1 / 7)
            return np.asarray(np.linspace(high, low, steps) ** 7)
        case "Exponential" | "Polyexponential":
            return np.exp(np.linspace(np.log(trained[-1]), np.log(trained[0]), steps))
        case "KL Optimal":  # Sabour et al. 2024, section 3
            share = count / steps
            return np.asarray(np.tan(share * np.arctan(trained[0]) + (1 - share) * np.arctan(trained[-1])))
        case "Align Your Steps":
            return _stretched(_align_your_steps(ays), steps)
        case "Beta":  # Lee et al. 2024
            return np.asarray(trained[0] + _beta_quantiles(np.linspace(1, 0, steps)) * (trained[-1] - trained[0]))
        case "SGM Uniform":
            at = np.linspace(last, 0, steps + 1)[:-1]
        case "Simple":
            at = last - np.floor(count * len(trained) / steps)
        case "DDIM":
            at = np.minimum(count[::-1] * max(1, len(trained) // steps) + 1, last)
        case "Turbo":
            at = (np.arange(steps, 0, -1) * (len(trained) / steps) - 1).round().clip(0, last)
        case _:  # Uniform and Normal
            at = np.linspace(last, 0, steps)
    return np.asarray(np.exp(np.interp(at, np.arange(len(trained)), np.log(trained))))


def _beta_quantiles(share: NDArray[Any]) -> NDArray[Any]:
    """Of Beta(0.6, 0.6), to 1e-6."""
    import numpy as np

    edges, below = _beta_integral()
    return np.asarray(np.sin(np.interp(share, below, edges)) ** 2)


@lru_cache(maxsize=1)
def _beta_integral() -> tuple[NDArray[Any], NDArray[Any]]:
    """(θ, share below sin²θ): with x = sin²θ the density (x(1 - x))^-0.4 has no poles to integrate over."""
    import numpy as np

    cells = 200_000
    edges = np.linspace(0, np.pi / 2, cells + 1)
    density = np.sin(edges[:-1] + edges[1:]) ** 0.2  # twice the middle: sin·cos of it but for a factor
    below = np.append(0.0, np.cumsum(density))
    return edges, below / below[-1]


def _align_your_steps(table: str) -> NDArray[Any]:
    import numpy as np
    from diffusers.schedulers import AysSchedules

    return np.array([each for each in AysSchedules[table] if each > 0])


def _stretched(few: NDArray[Any], steps: int) -> NDArray[Any]:
    """``few`` levels as ``steps``, straight in their logarithms."""
    import numpy as np

    return np.asarray(np.exp(np.interp(np.linspace(0, 1, steps), np.linspace(0, 1, len(few)), np.log(few))))
