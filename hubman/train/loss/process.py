"""How pictures become noise: the one interface of the discrete schedules and of flow matching."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    # What is edited before a run is loaded without torch, and needs to know of predictions.
    from torch import Tensor

Prediction = Literal["epsilon", "v", "flow"]


class Process(Protocol):
    """What a base model was trained to undo.

    Timesteps ``[B]`` are in the process's own unit, which only its base model reads: an index (int64) of a discrete
    schedule, the share of noise (float, 0..1) of flow matching. Latents and noise are ``[B, C, h, w]``.
    """

    @property
    def prediction(self) -> Prediction:
        """What the base model answers: the noise, or one of the two velocities."""

    def at(self, shares: Sequence[float] | Tensor) -> Tensor:
        """The timesteps at ``shares`` (0: clean, 1: noise) of the whole, on the CPU."""

    def progress(self, timesteps: Tensor) -> Tensor:
        """The shares ``[B]`` that ``timesteps`` are at, fp32."""

    def levels(self, timesteps: Tensor) -> tuple[Tensor, Tensor]:
        """The factors ``[B]`` of the latents and of the noise in what the base model sees."""

    def add_noise(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """What the base model sees."""

    def target(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """What it should answer."""
