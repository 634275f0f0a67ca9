"""Frozen weights that are held smaller or elsewhere than they are used: in 8 bits, in main memory, or both.

A layer's weight is made when it is used or asked for and forgotten at once, in the backward pass as well: nothing of it
stays in the graph. Only layers without trained weights may be held so.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.grad import conv2d_input

from hubman.train.architectures.small_maps import SmallMapConv2d

WORTH_HOLDING = 1 << 16
"""Elements of a weight; smaller ones cost more to make than they take."""


class HeldWeight:
    """One weight: as it is stored, and :meth:`make` as it is used."""

    def __init__(self, weight: Tensor, device: torch.device, *, int8: bool, offload: bool) -> None:
        """``device`` is where it is used; with ``offload`` it waits in main memory."""
        self._dtype, self._device = weight.dtype, device
        self._scale: Tensor | None = None
        stored = weight.detach()
        if int8:
            flat = stored.float().flatten(1)
            self._scale = (flat.abs().amax(dim=1).clamp(min=1e-12) / 127).view(-1, *[1] * (stored.dim() - 1))
            stored = (stored.float() / self._scale).round().to(torch.int8)
        self._stored = stored.to("cpu" if offload else device).contiguous()
        if self._scale is not None:
            self._scale = self._scale.to(device)
        if offload and device.type == "cuda":
            self._stored = self._stored.pin_memory()

    def make(self) -> Tensor:
        """The weight in its own dtype on its own device; exact unless it is held in 8 bits."""
        weight = self._stored.to(self._device, non_blocking=True)
        return weight if self._scale is None else (weight * self._scale).to(self._dtype)

    @property
    def stored_on(self) -> torch.device:
        """Where it waits."""
        return self._stored.device

    @property
    def nbytes(self) -> int:
        """Bytes that it takes while it is not used, wherever they are."""
        return self._stored.nbytes + (self._scale.nbytes if self._scale is not None else 0)


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, held: HeldWeight, bias: Tensor | None) -> Tensor:
        ctx.held = held
        weight = held.make()
        return F.linear(rows.to(weight.dtype), weight, bias)

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


class _Held:
    """A layer whose weight is held: whoever asks for the weight, as DoRA does in each step, gets it made."""

    held: HeldWeight

    @property
    def weight(self) -> Tensor:
        return self.held.make()


class _HeldLinear(_Held, nn.Linear):  # type: ignore[override]  # its weight is not written
    def forward(self, x: Tensor) -> Tensor:
        # Rows of a matrix: what a Function answers may be changed in place only if it is no view.
        rows: Tensor = _Linear.apply(x.reshape(-1, x.shape[-1]), self.held, self.bias)  # type: ignore[no-untyped-call]
        return rows.view(*x.shape[:-1], -1)


class _HeldConv2d(_Held, nn.Conv2d):  # type: ignore[override]
    def forward(self, x: Tensor) -> Tensor:
        answer: Tensor = _Conv.apply(x, self.held, self)  # type: ignore[no-untyped-call]
        return answer


_HELD: dict[type[nn.Module], type[_Held]] = {
    nn.Linear: _HeldLinear,
    nn.Conv2d: _HeldConv2d,
    SmallMapConv2d: _HeldConv2d,
    _HeldLinear: _HeldLinear,
    _HeldConv2d: _HeldConv2d,
}


def hold(model: nn.Module, device: torch.device, *, int8: bool, offload: bool) -> int:
    """Hold the frozen weights of every larger Linear and Conv2d of ``model``; returns the bytes that they take now.

    They are used on ``device``; all else in ``model`` stays where it is. Weights that are held already are held anew.
    Trained ones and convolutions that pad by name are left as they are.
    """
    taken = 0
    for layer in model.modules():
        held_class = _HELD.get(type(layer))
        if held_class is None or isinstance(getattr(layer, "padding", 0), str):
            continue
        weight = getattr(layer, "weight")  # noqa: B009 - of a Linear, a Conv2d or one that is held
        if weight.numel() < WORTH_HOLDING or weight.requires_grad:
            continue
        layer._parameters.pop("weight", None)
        layer.__class__ = held_class  # type: ignore[assignment]  # it is a module, too
        held = HeldWeight(weight, device, int8=int8, offload=offload)
        layer.held = held  # type: ignore[assignment]
        taken += held.nbytes
    return taken
