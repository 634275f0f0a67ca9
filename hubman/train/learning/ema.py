"""A running mean of the trained weights: calmer than the last step's, and what is kept if the recipe asks for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor


class Ema:
    """The exponential moving average of some parameters, in fp32 beside them."""

    def __init__(self, parameters: Sequence[Tensor], decay: float) -> None:
        """``decay`` between 0 and 1 is the share of the old mean that stays at each step."""
        self._parameters = list(parameters)
        self._means = [parameter.detach().clone() for parameter in self._parameters]
        self._decay = decay

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after ``step`` (from 0).

        The first steps count more, (1 + step) / (10 + step) instead of the decay, or the start would linger in the
        mean for 1 / (1 - decay) steps.
        """
        decay = min(self._decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self._means, self._parameters, 1 - decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The parameters are their means inside the block, and afterwards what they were."""
        live = [parameter.detach().clone() for parameter in self._parameters]
        self._write(self._means)
        try:
            yield
        finally:
            self._write(live)

    def state_dict(self) -> dict[str, Tensor]:
        """The means, by their place."""
        return {str(place): mean for place, mean in enumerate(self._means)}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take over what :meth:`state_dict` gave. Raises KeyError or RuntimeError if it does not fit."""
        for place, mean in enumerate(self._means):
            mean.copy_(state[str(place)])

    @torch.no_grad()
    def _write(self, values: Sequence[Tensor]) -> None:
        torch._foreach_copy_(self._parameters, list(values))
