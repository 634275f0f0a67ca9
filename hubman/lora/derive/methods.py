"""What several changes of one module make together: their sum, or the sum of what TIES, DARE or pruning leaves of each.

TIES: Yadav et al. 2023; DARE: Yu et al. 2023. Both work on ΔW in full: on the factors alone they would make something else
(an error of 97 % of the sum), and so would adding the factors up, which nothing here does.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hubman.lora.derive.request import Method
from hubman.lora.factors import Factors, dense
from hubman.lora.keys import Site


@dataclass(frozen=True)
class Term:
    """One parent's change of a module. ``number`` is the parent's place in the request."""

    number: int
    ratio: float
    factors: Factors


def summed(terms: Sequence[Term], site: Site) -> Factors:
    """Σ ratio · ΔW, exact: the factors behind each other, the ratio in the down matrix.

    Where that would have more rank than the module, ΔW in full.
    """
    rank = sum(term.factors.rank for term in terms)
    is_full = any(term.factors.full is not None for term in terms)
    if is_full or rank > min(site.shape[0], math.prod(site.shape[1:])):
        total = torch.stack([term.factors.delta().double() * term.ratio for term in terms]).sum(0)
        return dense(total.float(), site)
    down = torch.cat([term.factors.down * term.ratio for term in terms])
    return Factors(down, torch.cat([term.factors.up for term in terms], dim=1))


def balanced(factors: Factors) -> tuple[Tensor, Tensor]:
    """(down, up) of the same product, each rank's scale shared between both by powers of two: exact, and good for fp16."""
    down, up = factors.down, factors.up
    sizes = torch.stack([down.flatten(1).norm(dim=1), up.norm(dim=0)])
    apart = (sizes[1].log2() - sizes[0].log2()) / 2
    shift = torch.where((sizes > 0).all(dim=0), apart, torch.zeros(())).round().int()
    return torch.ldexp(down, shift.reshape(-1, *[1] * (down.dim() - 1))), torch.ldexp(up, -shift)


def thinned(terms: Sequence[Term], site: Site, method: Method, density: float, seed: int) -> Tensor:
    """The ΔW that one of :data:`hubman.lora.derive.request.DENSE` makes. ``density`` is the share of each parent's entries that stays.

    DARE's choice follows from ``seed``, the module and the parent, whatever else is merged.
    """
    deltas = [term.factors.delta() * term.ratio for term in terms]
    if method == "dare":
        return torch.stack(
            [_dropped(each, density, f"{seed} {site.component} {site.path} {term.number}")
             for each, term in zip(deltas, terms, strict=True)]
        ).sum(0)  # fmt: skip
    trimmed = torch.stack([_largest(each, density) for each in deltas])
    return _elected(trimmed) if method == "ties" else trimmed.sum(0)


def _largest(delta: Tensor, density: float) -> Tensor:
    count = delta.numel() - max(1, round(density * delta.numel()))
    if count <= 0:
        return delta
    bound = delta.abs().flatten().kthvalue(count).values
    return torch.where(delta.abs() > bound, delta, torch.zeros(()))


def _elected(trimmed: Tensor) -> Tensor:
    """TIES: in each place the sign with the larger sum wins; the mean of those that have it stays."""
    agreeing = torch.where(trimmed.sign() == trimmed.sum(0).sign(), trimmed, torch.zeros(()))
    return agreeing.sum(0) / (agreeing != 0).sum(0).clamp(min=1)


def _dropped(delta: Tensor, density: float, seed: str) -> Tensor:
    number = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:7], "little")
    generator = torch.Generator().manual_seed(number)
    stays = torch.rand(delta.shape, generator=generator) < density
    return torch.where(stays, delta / density, torch.zeros(()))
