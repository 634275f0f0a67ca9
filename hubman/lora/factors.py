"""Low-rank adapter kinds as two factors: ΔW = up · down, with the scale alpha/rank folded into ``up``.

Formulas: LyCORIS (Yeh et al. 2023) for LoHa, LoKr and Tucker forms. A kind that has no low-rank form is kept exactly,
as a kernel and an identity.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch

from hubman.lora.keys import Site
from hubman.lora.kinds import scale_of

Parts = Mapping[str, torch.Tensor]


@dataclass(frozen=True)
class Factors:
    """``down`` is [rank, in] for a Linear and [rank, in, kh, kw] for a Conv2d; ``up`` is [out, rank]. Both float32."""

    down: torch.Tensor
    up: torch.Tensor
    full: torch.Tensor | None = None
    """ΔW itself, where one of the factors is the identity."""
    kron: tuple[torch.Tensor, torch.Tensor] | None = None
    """Two factors w1 [a, b] and w2 [c, d(, kh, kw)] with ΔW = kron(w1, w2), where there is no lower rank."""

    @property
    def is_full(self) -> bool:
        """Whether there is no lower rank than the layer's own."""
        return self.full is not None

    @property
    def rank(self) -> int:
        return self.down.shape[0]

    def delta(self) -> torch.Tensor:
        """ΔW in full, [out, in(, kh, kw)]."""
        if self.full is not None:
            return self.full
        return (self.up @ self.down.flatten(1)).view(self.up.shape[0], *self.down.shape[1:])

    def norm(self) -> float:
        """Frobenius norm of ΔW, without forming it: ‖B·A‖² = Σ (BᵀB ∘ A·Aᵀ)."""
        if self.full is not None:
            return float(torch.linalg.vector_norm(self.full, dtype=torch.float64))
        down, up = self.down.flatten(1).double(), self.up.double()
        return math.sqrt(max(0.0, float(((up.t() @ up) * (down @ down.t())).sum())))


def dense(delta: torch.Tensor, site: Site) -> Factors:
    """A full ΔW as factors, exact: the smaller side is the identity."""
    out, columns = site.shape[0], math.prod(site.shape[1:])
    full = delta.reshape(site.shape).contiguous()
    if site.is_conv or out <= columns:
        return Factors(full, torch.eye(out), full)
    return Factors(torch.eye(columns), full, full)


def lora(parts: Parts, site: Site, alpha: float | None) -> Factors:
    """LoRA, LoCon and its Tucker form (``mid``)."""
    down, up = parts["down"], parts["up"]
    scale = scale_of(alpha, down.shape[0])
    if "mid" in parts:
        down = torch.einsum("mnhw,ni->mihw", parts["mid"], down.flatten(1))
    return _pair(up.flatten(1), down, site, scale)


def loha(parts: Parts, site: Site, alpha: float | None) -> Factors:
    """(w1a·w1b) ∘ (w2a·w2b), each with its core for the Tucker form."""
    w1a, w1b, w2a, w2b = (parts[f"hada_{name}"] for name in ("w1_a", "w1_b", "w2_a", "w2_b"))
    scale = scale_of(alpha, w1b.shape[0])
    if "hada_t1" in parts:
        return dense(_tucker(parts["hada_t1"], w1a, w1b) * _tucker(parts["hada_t2"], w2a, w2b) * scale, site)
    if w1b.shape[0] * w2b.shape[0] >= min(site.shape[0], math.prod(site.shape[1:])):
        return dense((w1a @ w1b) * (w2a @ w2b) * scale, site)
    # Khatri-Rao: a Hadamard product of rank-r matrices has rank r², one term for each pair of terms.
    up = torch.einsum("op,oq->opq", w1a, w2a).flatten(1)
    down = torch.einsum("pi,qi->pqi", w1b, w2b).flatten(0, 1)
    return _pair(up, down, site, scale)


def lokr(parts: Parts, site: Site, alpha: float | None) -> Factors:
    """kron(w1, w2), either of them given in full or as factors, ``lokr_t2`` as the core of the second."""
    rank = next((parts[name].shape[0] for name in ("lokr_w1_b", "lokr_w2_b") if name in parts), 0)
    # With both factors full the stored alpha is only the nominal rank and does not scale.
    scale = scale_of(alpha, rank) if rank else 1.0
    w1 = parts["lokr_w1"] if "lokr_w1" in parts else parts["lokr_w1_a"] @ parts["lokr_w1_b"]
    low_rank = "lokr_w2" not in parts and "lokr_t2" not in parts
    smaller_side = min(site.shape[0], math.prod(site.shape[1:]))
    if low_rank and w1.shape[1] * parts["lokr_w2_b"].shape[0] < smaller_side:
        up = torch.kron(w1, parts["lokr_w2_a"])
        down = torch.kron(torch.eye(w1.shape[1]), parts["lokr_w2_b"].flatten(1))
        return _pair(up, down, site, scale)
    if "lokr_w2" in parts:
        w2 = parts["lokr_w2"]
    elif "lokr_t2" in parts:
        w2 = _tucker(parts["lokr_t2"], parts["lokr_w2_a"], parts["lokr_w2_b"])
    else:
        w2 = parts["lokr_w2_a"] @ parts["lokr_w2_b"].flatten(1)
    # Flattened kernels stay innermost in the Kronecker product, so the columns come out as (in, kh, kw).
    whole = dense(torch.kron(w1, w2.flatten(1).contiguous()) * scale, site)
    return replace(whole, kron=(w1 * scale, w2.reshape(*w2.shape[:2], *site.shape[2:]).contiguous()))


def _pair(up: torch.Tensor, down: torch.Tensor, site: Site, scale: float) -> Factors:
    rank = down.shape[0]
    return Factors(
        down.reshape(rank, *site.shape[1:]).contiguous(), (up.reshape(site.shape[0], rank) * scale).contiguous()
    )


def _tucker(core: torch.Tensor, w_a: torch.Tensor, w_b: torch.Tensor) -> torch.Tensor:
    return torch.einsum("ij...,jr,ip->pr...", core, w_b, w_a)
