"""Frozen weights that are held smaller or elsewhere than they are used: in 8 bits, in main memory, or both.

A layer's weight is made when it is used and forgotten at once, in the backward pass as well: nothing of it stays in the
graph. Only layers without trained weights may be held so.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.grad import conv2d_input

WORTH_HOLDING = 1 << 16
"""Elements of a weight; smaller ones cost more to make than they take."""


class HeldWeight:
    """One weight: as it is stored, and :meth:`make` as it is used."""

    def __init__(self, weight: Tensor, *, int8: bool, offload: bool) -> None:
        self._dtype, self._device, self.shape = weight.dtype, weight.device, weight.shape
        self._scale: Tensor | None = None
        stored = weight.detach()
        if int8:
            flat = stored.float().flatten(1)
            self._scale = (flat.abs().amax(dim=1).clamp(min=1e-12) / 127).view(-1, *[1] * (stored.dim() - 1))
            stored = (stored.float() / self._scale).round().to(torch.int8)
        if offload and self._device.type != "cpu":
            stored = stored.cpu().pin_memory()
        self._stored = stored.contiguous()

    def make(self) -> Tensor:
        """The weight in its own dtype on its own device; exact unless it is held in 8 bits."""
        weight = self._stored.to(self._device, non_blocking=True)
        return weight if self._scale is None else (weight * self._scale).to(self._dtype)

    @property
    def nbytes(self) -> int:
        """Bytes that it takes while it is not used, wherever they are."""
        return self._stored.nbytes + (self._scale.nbytes if self._scale is not None else 0)


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, held: HeldWeight, bias: Tensor | None) -> Tensor:
        ctx.held = held
        weight = held.make()
        return F.linear(x.to(weight.dtype), weight, bias)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (grad,) = grads
        return grad @ ctx.held.make(), None, None


class _Conv(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, held: HeldWeight, layer: nn.Conv2d) -> Tensor:
        ctx.held, ctx.layer, ctx.shape = held, layer, x.shape
        weight = held.make()
        bias = layer.bias
        return F.conv2d(x.to(weight.dtype), weight, bias, layer.stride, layer.padding, layer.dilation, layer.groups)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (grad,) = grads
        layer = ctx.layer
        geometry = (layer.stride, layer.padding, layer.dilation, layer.groups)
        return conv2d_input(ctx.shape, ctx.held.make(), grad, *geometry), None, None  # type: ignore[no-untyped-call]


class _HeldForward:
    """The forward of one layer whose weight is held."""

    def __init__(self, layer: nn.Linear | nn.Conv2d, held: HeldWeight) -> None:
        self._layer, self.held = layer, held

    def __call__(self, x: Tensor) -> Tensor:
        if isinstance(self._layer, nn.Linear):
            answer: Tensor = _Linear.apply(x, self.held, self._layer.bias)  # type: ignore[no-untyped-call]
        else:
            answer = _Conv.apply(x, self.held, self._layer)  # type: ignore[no-untyped-call]
        return answer


def hold(model: nn.Module, *, int8: bool, offload: bool) -> int:
    """Hold the frozen weights of every larger Linear and Conv2d of ``model``; returns the bytes that they take now.

    Weights that are held already are held anew. Trained ones and convolutions that pad by name are left as they are.
    """
    taken = 0
    for layer in model.modules():
        if not isinstance(layer, nn.Linear | nn.Conv2d) or layer.weight.numel() < WORTH_HOLDING:
            continue
        if layer.weight.requires_grad or isinstance(getattr(layer, "padding", 0), str):
            continue
        before = vars(layer).get("forward")
        weight = before.held.make() if isinstance(before, _HeldForward) else layer.weight
        held = HeldWeight(weight, int8=int8, offload=offload)
        # Shape and dtype stay readable, without the memory.
        layer.weight = nn.Parameter(layer.weight.detach().to("meta"), requires_grad=False)
        vars(layer)["forward"] = _HeldForward(layer, held)
        taken += held.nbytes
    return taken
