"""What a step leaves out at random that peft cannot: single ranks, inputs of the change, whole adapters."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class RankDropout:
    """A hook behind the down matrix: for each sample some ranks are left out, the others scaled up (as sd-scripts)."""

    def __init__(self, share: float) -> None:
        self._share = share

    def __call__(self, module: nn.Module, _inputs: Any, low: Tensor) -> Tensor | None:
        if not module.training:
            return None
        ranks = [1] * (low.dim() - 2)
        shape = (
            (low.shape[0], low.shape[1], *ranks)
            if isinstance(module, nn.Conv2d)
            else (low.shape[0], *ranks, low.shape[-1])
        )
        kept = torch.rand(shape, device=low.device) >= self._share
        return low * kept / (1 - self._share)


class LeftOut:
    """Hooks around a layer: in some steps the whole adapter is left out, what it does to the inputs included."""

    def __init__(self, share: float) -> None:
        self._share = share
        self._is_out = False

    def watch(self, layer: nn.Module) -> None:
        """Must come before other hooks that change the inputs."""
        layer.register_forward_pre_hook(self._begin)
        layer.register_forward_hook(self._end, always_call=True)

    def _begin(self, layer: Any, _inputs: Any) -> None:
        self._is_out = layer.training and not layer.disable_adapters and float(torch.rand(1)) < self._share
        if self._is_out:
            # Not by peft's method, which would also take the tensors out of the gradients.
            layer._disable_adapters = True

    def _end(self, layer: Any, _inputs: Any, _output: Any) -> None:
        if self._is_out:
            layer._disable_adapters = self._is_out = False


class InputDropout:
    """Leaves out inputs of the change, not of the frozen layer."""

    input_dropout: nn.Dropout

    def _get_delta_activations(self, adapter_name: str, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        answer: Tensor = super()._get_delta_activations(adapter_name, self.input_dropout(x), *args, **kwargs)  # type: ignore[misc]
        return answer
