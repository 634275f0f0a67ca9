"""DoRA (Liu et al. 2024) on either axis: peft's on the output axis with norms in fp32, and ours on the input axis."""

from __future__ import annotations

from typing import Any

import torch
from peft.tuners import lora
from peft.tuners.lora.variants import DoraConv2dVariant, DoraLinearVariant
from torch import Tensor, nn

from hubman.train.adapters.forms import NAME


class _DoraLinear(DoraLinearVariant):  # type: ignore[misc]
    @staticmethod
    def forward(module: Any, active_adapter: str, x: Tensor, result: Tensor, **kwargs: Any) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            answer: Tensor = DoraLinearVariant.forward(module, active_adapter, x, result, **kwargs)
        return answer


class _DoraConv2d(DoraConv2dVariant):  # type: ignore[misc]
    @staticmethod
    def forward(module: Any, active_adapter: str, x: Tensor, result: Tensor, **kwargs: Any) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            answer: Tensor = DoraConv2dVariant.forward(module, active_adapter, x, result, **kwargs)
        return answer


def start_magnitude(layer: Any) -> None:
    """Magnitudes of the frozen weight, by the very arithmetic of the step: their ratio starts as exactly 1."""
    layer.lora_variant[NAME] = _DoraLinear() if isinstance(layer, lora.Linear) else _DoraConv2d()
    weight = layer.get_base_layer().weight.detach().float()
    magnitude = layer.lora_magnitude_vector[NAME]
    start = magnitude.get_weight_norm(weight=weight, lora_weight=torch.zeros_like(weight), scaling=1.0)
    magnitude.weight.data = start.clone()


def input_norm(weight: Tensor) -> Tensor:
    """Norm of each input column, ``[1, in(, 1, 1)]``."""
    axes = [axis for axis in range(weight.dim()) if axis != 1]
    norm: Tensor = torch.linalg.vector_norm(weight, dim=axes, keepdim=True) + torch.finfo(weight.dtype).eps
    return norm


def add_input_magnitude(layer: Any) -> None:
    """DoRA on the input axis: scaling a column of W + ΔW is scaling that input, so peft's layer does all the rest."""
    start = input_norm(layer.get_base_layer().weight.detach().float())
    layer.register_parameter("dora_scale", nn.Parameter(start))
    layer.register_forward_pre_hook(_scale_inputs)
    layer.cast_input_dtype_enabled = False


def _scale_inputs(layer: Any, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    if layer.disable_adapters:
        return inputs
    x, *rest = inputs
    # The norm is a constant to the gradient (section 4.3 of the paper), as in peft's layers.
    with torch.no_grad(), torch.autocast(x.device.type, enabled=False):
        norm = input_norm(layer.get_base_layer().weight.float() + layer.get_delta_weight(NAME))
    ratio = layer.dora_scale / norm
    return (x * (ratio.flatten() if ratio.dim() == 2 else ratio), *rest)
