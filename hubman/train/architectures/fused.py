"""Layers put together as the original models have them: kohya's files change a fused ``qkv``, not its three parts.

diffusers splits what the models' own code keeps in one layer. A LoRA of the fused layer shares one down matrix, which
no three LoRAs of the parts can say, so the layers are fused before any LoRA hangs in them: the one Linear stands in
the block under a name of its own, and in the places of its parts stand views that hand out their rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn


class _Shared:
    """Calls the fused layer once for all parts that are asked about the same input."""

    def __init__(self, owner: nn.Module, name: str, parts: int) -> None:
        self.owner, self.name, self._parts = owner, name, parts
        self._input: Tensor | None = None
        self._output: Tensor | None = None
        self._left = 0

    def of(self, x: Tensor) -> Tensor:
        output = self._output
        if output is None or self._input is not x:
            output = self.owner.get_submodule(self.name)(x)
            self._input, self._output, self._left = x, output, self._parts
        self._left -= 1
        if not self._left:
            self._input = self._output = None
        return output


class Rows(nn.Module):
    """Some rows of a fused layer's output, in the place of the layer that gave them."""

    def __init__(self, shared: _Shared, spans: Sequence[tuple[int, int]]) -> None:
        super().__init__()
        self.shared, self.spans = shared, spans

    def forward(self, x: Tensor) -> Tensor:
        whole = self.shared.of(x)
        rows = [whole[..., start:stop] for start, stop in self.spans]
        return rows[0] if len(rows) == 1 else torch.cat(rows, dim=-1)


def fuse(owner: nn.Module, name: str, places: Sequence[str]) -> None:
    """Join the Linears at ``places`` (paths in ``owner``), which read the same input, to the one ``owner.name``."""
    layers = [owner.get_submodule(place) for place in places]
    linears = [layer for layer in layers if isinstance(layer, nn.Linear)]
    weight = torch.cat([layer.weight.detach() for layer in linears])
    biases = [bias for layer in linears if (bias := _bias(layer)) is not None]
    owner.add_module(name, _linear(weight, torch.cat(biases) if biases else None))
    shared, start = _Shared(owner, name, len(places)), 0
    for place, layer in zip(places, linears, strict=True):
        _put(owner, place, Rows(shared, [(start, start + layer.out_features)]))
        start += layer.out_features


def parts_of(root: nn.Module) -> Iterator[tuple[str, str, int, int]]:
    """Path, path of the fused layer, first row and end of each part of a fused layer in ``root``."""
    paths = {id(module): path for path, module in root.named_modules()}
    for path, module in root.named_modules():
        if isinstance(module, Rows) and len(module.spans) == 1:
            owner = paths[id(module.shared.owner)]
            yield path, f"{owner}.{module.shared.name}", *module.spans[0]


def reordered(root: nn.Module) -> Iterator[str]:
    """Paths in ``root`` of layers whose rows are in another order than diffusers has them."""
    paths = {id(module): path for path, module in root.named_modules()}
    for module in root.modules():
        if isinstance(module, Rows) and len(module.spans) > 1:
            yield f"{paths[id(module.shared.owner)]}.{module.shared.name}"


def swap_halves(owner: nn.Module, name: str, place: str) -> None:
    """Let ``owner.name`` hold the Linear at ``place`` with the halves of its rows the other way round."""
    layer = owner.get_submodule(place)
    if not isinstance(layer, nn.Linear):
        raise TypeError(f"{place} is a {type(layer).__name__}")
    half, whole = layer.out_features // 2, layer.out_features
    bias = _bias(layer)
    owner.add_module(name, _linear(layer.weight.detach().roll(half, 0), bias if bias is None else bias.roll(half)))
    _put(owner, place, Rows(_Shared(owner, name, 1), [(half, whole), (0, half)]))


def _bias(layer: nn.Linear) -> Tensor | None:
    bias: Tensor | None = layer.bias
    return bias if bias is None else bias.detach()


def _linear(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    with torch.device("meta"):
        made = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    made.weight = nn.Parameter(weight, requires_grad=False)
    if bias is not None:
        made.bias = nn.Parameter(bias, requires_grad=False)
    return made


def _put(owner: nn.Module, place: str, module: nn.Module) -> None:
    parent, _, name = place.rpartition(".")
    setattr(owner.get_submodule(parent), name, module)
