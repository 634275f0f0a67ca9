"""peft's LoRA on Linear and Conv2d, with less to move in a plain step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from peft.tuners import lora
from torch import Tensor, nn

from hubman.train.adapters.forms import NAME


class _PlainStep(ABC):
    """peft's LoRA, with less to move where nothing is left out: the change is added in place, as one kernel.

    Otherwise peft's own forward, preceded by the dropout of whole modules.
    """

    training: bool
    base_layer: nn.Module
    lora_A: Any  # noqa: N815 - peft's name
    lora_B: Any  # noqa: N815
    lora_variant: Any
    scaling: dict[str, float]
    disable_adapters: bool
    merged: bool
    module_dropout = 0.0

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if not (self.training or self.disable_adapters or self.merged or NAME in self.lora_variant or args or kwargs):
            return self.changed(x)
        if self.training and self.module_dropout and float(torch.rand(1)) < self.module_dropout:
            left: Tensor = self.base_layer(x)
            return left
        answer: Tensor = super().forward(x, *args, **kwargs)  # type: ignore[misc]  # of the peft layer beside it
        return answer

    @abstractmethod
    def changed(self, x: Tensor) -> Tensor:
        """The frozen layer's answer plus the change."""


class LoraLinear(_PlainStep, lora.Linear):  # type: ignore[misc]
    def changed(self, x: Tensor) -> Tensor:
        # Rows of a matrix throughout: adding in place to a view would copy the gradient on the way back.
        rows = x.flatten(0, -2)
        frozen: Tensor = self.base_layer(rows)
        low = self.lora_A[NAME](rows).to(frozen.dtype)
        up = self.lora_B[NAME].weight.to(frozen.dtype)
        return frozen.addmm_(low, up.t(), alpha=self.scaling[NAME]).view(*x.shape[:-1], -1)


class LoraConv2d(_PlainStep, lora.Conv2d):  # type: ignore[misc]
    def changed(self, x: Tensor) -> Tensor:
        frozen: Tensor = self.base_layer(x)
        change = self.lora_B[NAME](self.lora_A[NAME](x))
        return frozen.add_(change.to(frozen.dtype), alpha=self.scaling[NAME])
