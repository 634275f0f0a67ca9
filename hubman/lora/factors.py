"""Every adapter kind as two factors: ΔW = up · down, with the scale alpha/rank folded into ``up``.

Formulas: LyCORIS (Yeh et al. 2023) for LoHa, LoKr and Tucker forms; DoRA (Liu et al. 2024) as A1111, Forge and ComfyUI
apply it, W + s(W' - W). A kind that has no low-rank form is kept exactly, as a kernel and an identity.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from hubman.lora.keys import Site
from hubman.lora.resolve import kind_of

Parts = Mapping[str, torch.Tensor]


@dataclass(frozen=True)
class Factors:
    """``down`` is [rank, in] for a Linear and [rank, in, kh, kw] for a Conv2d; ``up`` is [out, rank]. Both float32."""

    down: torch.Tensor
    up: torch.Tensor

    @property
    def rank(self) -> int:
        return self.down.shape[0]

    def delta(self) -> torch.Tensor:
        """ΔW in full, [out, in(, kh, kw)]."""
        return (self.up @ self.down.flatten(1)).view(self.up.shape[0], *self.down.shape[1:])


def factors_of(parts: Parts, site: Site, *, alpha: float | None, base: torch.Tensor | None = None) -> Factors:
    """Turn one module's tensors into factors.

    ``alpha`` overrides what the parts say (PEFT keeps it in the header); without either it equals the rank. ``base`` is
    the frozen weight, needed only when ``dora_scale`` is among the parts (``ValueError`` without it).
    """
    parts = {part: tensor.float() for part, tensor in parts.items()}
    stored = parts.pop("alpha", None)
    if alpha is None and stored is not None:
        alpha = float(stored)
    magnitude = parts.pop("dora_scale", None)
    kind = kind_of(parts)
    if kind == "LoRA":
        factors = _lora(parts, site, alpha)
    elif kind == "LoHa":
        factors = _loha(parts, site, alpha)
    elif kind == "LoKr":
        factors = _lokr(parts, site, alpha)
    else:
        factors = dense(parts["diff"], site)
    if magnitude is None:
        return factors
    if base is None:
        raise ValueError("DoRA needs the base weight")
    return dense(_dora_delta(factors.delta(), magnitude, base.float()), site)


def dense(delta: torch.Tensor, site: Site) -> Factors:
    """A full ΔW as factors, exact: the smaller side is the identity."""
    out, columns = site.shape[0], math.prod(site.shape[1:])
    if site.is_conv or out <= columns:
        return Factors(delta.reshape(site.shape).contiguous(), torch.eye(out))
    return Factors(torch.eye(columns), delta.reshape(site.shape).contiguous())


def _pair(up: torch.Tensor, down: torch.Tensor, site: Site, scale: float) -> Factors:
    rank = down.shape[0]
    return Factors(
        down.reshape(rank, *site.shape[1:]).contiguous(), (up.reshape(site.shape[0], rank) * scale).contiguous()
    )


def _scale(alpha: float | None, rank: int) -> float:
    return 1.0 if alpha is None else alpha / rank


def _lora(parts: Parts, site: Site, alpha: float | None) -> Factors:
    down, up = parts["down"], parts["up"]
    scale = _scale(alpha, down.shape[0])
    if "mid" in parts:
        down = torch.einsum("mnhw,ni->mihw", parts["mid"], down.flatten(1))
    return _pair(up.flatten(1), down, site, scale)


def _tucker(core: torch.Tensor, w_a: torch.Tensor, w_b: torch.Tensor) -> torch.Tensor:
    return torch.einsum("ij...,jr,ip->pr...", core, w_b, w_a)


def _loha(parts: Parts, site: Site, alpha: float | None) -> Factors:
    w1a, w1b, w2a, w2b = (parts[f"hada_{name}"] for name in ("w1_a", "w1_b", "w2_a", "w2_b"))
    scale = _scale(alpha, w1b.shape[0])
    if "hada_t1" in parts:
        return dense(_tucker(parts["hada_t1"], w1a, w1b) * _tucker(parts["hada_t2"], w2a, w2b) * scale, site)
    if w1b.shape[0] * w2b.shape[0] >= min(site.shape[0], math.prod(site.shape[1:])):
        return dense((w1a @ w1b) * (w2a @ w2b) * scale, site)
    # Khatri-Rao: a Hadamard product of rank-r matrices has rank r², one term for each pair of terms.
    up = torch.einsum("op,oq->opq", w1a, w2a).flatten(1)
    down = torch.einsum("pi,qi->pqi", w1b, w2b).flatten(0, 1)
    return _pair(up, down, site, scale)


def _lokr(parts: Parts, site: Site, alpha: float | None) -> Factors:
    rank = next((parts[name].shape[0] for name in ("lokr_w1_b", "lokr_w2_b") if name in parts), 0)
    # With both factors full the stored alpha is only the nominal rank and does not scale.
    scale = _scale(alpha, rank) if rank else 1.0
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
    return dense(torch.kron(w1, w2.flatten(1)) * scale, site)


def _dora_delta(delta: torch.Tensor, magnitude: torch.Tensor, base: torch.Tensor) -> torch.Tensor:
    """W' - W; the axis of ``magnitude`` that is not 1 says whether outputs or inputs are normalised."""
    whole = base + delta.view(base.shape)
    by_column = magnitude.dim() >= 2 and magnitude.shape[0] == 1 and magnitude.shape[1] > 1
    kept = 1 if by_column else 0
    axes = [axis for axis in range(whole.dim()) if axis != kept]
    norm: torch.Tensor = torch.linalg.vector_norm(whole, dim=axes, keepdim=True) + torch.finfo(whole.dtype).eps
    changed: torch.Tensor = whole * (magnitude.reshape(norm.shape) / norm) - base
    return changed
