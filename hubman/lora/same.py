"""How far two forms of one module are apart."""

from __future__ import annotations

import torch
from torch import Tensor

from hubman.lora.change import change_of
from hubman.lora.forms import Module
from hubman.lora.kinds import kind_of, needs_weight


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
    change = change_of(parts, module.site, alpha=module.alpha)
    return change.factors.delta() if change.factors else None, change.norm, change.bias


def _relative(one: Tensor | None, other: Tensor | None) -> float:
    if one is None or other is None:
        return 0.0 if one is other else float("inf")
    apart = float((one.double() - other.double()).norm())
    size = float(one.double().norm())
    return apart / size if size else apart
