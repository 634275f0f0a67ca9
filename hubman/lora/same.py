"""How far two forms of a LoRA are apart."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from hubman.lora.change import Change, change_of
from hubman.lora.forms import Module
from hubman.lora.keys import Site
from hubman.lora.kinds import kind_of, needs_weight
from hubman.lora.split import joined


def largest_difference(given: Sequence[Module], found: Sequence[Module]) -> float:
    """The largest :func:`difference` of a layer; layers that one form has fused and the other not count as a whole."""
    ours, theirs = _by_layer(given), _by_layer(found)
    if ours.keys() != theirs.keys():
        return float("inf")
    return max((_layer_difference(ours[site], theirs[site]) for site in ours), default=0.0)


def _by_layer(modules: Sequence[Module]) -> dict[Site, list[Module]]:
    layers: dict[Site, list[Module]] = {}
    for module in modules:
        layers.setdefault(module.site.of or module.site, []).append(module)
    return layers


def _layer_difference(given: Sequence[Module], found: Sequence[Module]) -> float:
    if [module.site for module in given] == [module.site for module in found]:
        return max(difference(one, other) for one, other in zip(given, found, strict=True))
    ours, theirs = (
        joined({module.site: change_of(module.parts, module.site, alpha=module.alpha) for module in modules})
        for modules in (given, found)
    )
    return max(
        _relative(one, other) for site in ours for one, other in zip(_of(ours[site]), _of(theirs[site]), strict=True)
    )


def difference(one: Module, other: Module) -> float:
    """Frobenius norm of the difference of both changes, relative to the first; infinity if they can't be compared.

    What is made of the frozen weight, which need not be there, is compared by what it is made of.
    """
    exact = {"dora_scale"} | (set(one.parts) if needs_weight(kind_of(one.parts)) else set())
    for part in exact & (one.parts.keys() | other.parts.keys()):
        a, b = one.parts.get(part), other.parts.get(part)
        if a is None or b is None or not torch.equal(a.float().flatten(), b.float().flatten()):
            return float("inf")
    if needs_weight(kind_of(one.parts)):
        return 0.0
    pairs = zip(_tensors(one), _tensors(other), strict=True)
    return max(_relative(a, b) for a, b in pairs)


def _tensors(module: Module) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    parts = {part: tensor for part, tensor in module.parts.items() if part != "dora_scale"}
    return _of(change_of(parts, module.site, alpha=module.alpha))


def _of(change: Change) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    return change.factors.delta() if change.factors else None, change.norm, change.bias


def _relative(one: Tensor | None, other: Tensor | None) -> float:
    if one is None or other is None:
        return 0.0 if one is other else float("inf")
    apart = float((one.double() - other.double()).norm())
    size = float(one.double().norm())
    return apart / size if size else apart
