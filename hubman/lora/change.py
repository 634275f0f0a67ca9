"""What a LoRA file does to one module, whatever its kind."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from hubman.lora import frozen
from hubman.lora.factors import Factors, Parts, dense, loha, lokr, lora
from hubman.lora.keys import Site
from hubman.lora.kinds import kind_of, needs_weight

Weight = Callable[[], torch.Tensor]
"""Gives the frozen weight."""


@dataclass(frozen=True)
class Change:
    """W' - W of one module, float32 on the CPU, as factors where the module is a Linear or Conv2d."""

    factors: Factors | None = None
    norm: torch.Tensor | None = None
    """Of the weight of a norm layer, [n]."""
    bias: torch.Tensor | None = None
    """Of the bias, [out]."""

    def size(self) -> float:
        """Frobenius norm of all of it."""
        sizes = [float(each.norm()) for each in (self.norm, self.bias) if each is not None]
        return math.hypot(*sizes, self.factors.norm() if self.factors else 0.0)


def change_of(parts: Parts, site: Site, *, alpha: float | None = None, weight: Weight | None = None) -> Change:
    """Turn one module's tensors into its change.

    ``alpha`` overrides what the parts say (PEFT keeps it in the header); without either it equals the rank. ``weight``
    gives the frozen weight, which some kinds need (``ValueError`` without it).
    """
    parts = {part: tensor.float() for part, tensor in parts.items()}
    stored = parts.pop("alpha", None)
    if alpha is None and stored is not None:
        alpha = float(stored)
    bias = parts.pop("diff_b", parts.pop("b_norm", None))
    if site.is_norm:
        return Change(norm=parts.get("w_norm", parts.get("diff")), bias=bias)
    if not parts:
        return Change(bias=bias)
    return Change(factors=_factors(parts, site, alpha, weight), bias=bias)


def _factors(parts: dict[str, torch.Tensor], site: Site, alpha: float | None, weight: Weight | None) -> Factors:
    magnitude = parts.pop("dora_scale", None)
    kind = kind_of(parts)
    low_rank = {"LoRA": lora, "LoHa": loha, "LoKr": lokr}.get(kind)
    if low_rank and magnitude is None:
        return low_rank(parts, site, alpha)
    if weight is None and (magnitude is not None or needs_weight(kind)):
        raise ValueError(f"{'DoRA' if magnitude is not None else kind} needs the frozen weight")
    base = weight().float() if weight else torch.empty(0)
    if low_rank:
        delta = low_rank(parts, site, alpha).delta()
    elif kind == "OFT":
        delta = frozen.rotation(parts, base, alpha)
    elif kind == "GLoRA":
        delta = frozen.glora(parts, base, alpha)
    elif kind == "(IA)3":
        delta = frozen.ia3(parts, base)
    else:
        delta = parts["diff"]
    return dense(delta if magnitude is None else frozen.dora(delta, magnitude, base), site)
