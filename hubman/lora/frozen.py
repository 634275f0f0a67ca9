"""Adapter kinds whose change is made of the frozen weight W itself: W' - W, in full, exact to fp32.

Formulas as LyCORIS trains and A1111, Forge and ComfyUI read them: DoRA (Liu et al. 2024), Diag-OFT (Qiu et al. 2023),
BOFT (Liu et al. 2024), GLoRA (Chavan et al. 2023), (IA)³ (Liu et al. 2022). Strength m is W + m(W' - W).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

Parts = Mapping[str, Tensor]


def dora(delta: Tensor, magnitude: Tensor, weight: Tensor) -> Tensor:
    """W' - W for W' = (W + ΔW) · magnitude / ‖W + ΔW‖.

    The axis of ``magnitude`` that is not 1 says whether output rows or input columns are normalised.
    """
    delta = delta.view(weight.shape)
    whole = weight + delta
    by_column = magnitude.dim() >= 2 and magnitude.shape[0] == 1 and magnitude.shape[1] > 1
    kept = 1 if by_column else 0
    axes = [axis for axis in range(whole.dim()) if axis != kept]
    norm: Tensor = torch.linalg.vector_norm(whole, dim=axes, keepdim=True, dtype=torch.float64)
    ratio = magnitude.reshape(norm.shape) / (norm + torch.finfo(weight.dtype).eps)
    # Not whole * ratio - weight, which would lose the digits that both share.
    return delta + whole * (ratio - 1).float()


def rotation(parts: Parts, weight: Tensor, constraint: float | None) -> Tensor:
    """W' - W for Diag-OFT (``oft_blocks`` [n, b, b]) and BOFT ([stages, n, b, b]).

    Each block is R = (I + Q)(I - Q)^-1 of Q = B - Bᵀ, whose norm over all blocks is kept below constraint · out. Both
    turn the rows of W; every reader contracts a Diag-OFT block over its rows (that is Rᵀ·W) and a BOFT block over its
    columns.
    """
    blocks = parts["oft_blocks"].double()
    rotations = _cayley(blocks, (constraint or 0.0) * weight.shape[0])
    turned = _butterfly(rotations, weight.double()) if blocks.dim() == 4 else _diagonal(rotations, weight.double())
    if "rescale" in parts:
        turned = turned * parts["rescale"].reshape(-1, *[1] * (weight.dim() - 1))
    return (turned - weight).float()


def glora(parts: Parts, weight: Tensor, alpha: float | None) -> Tensor:
    """(W·a1·a2 + b1·b2) · alpha/rank; ``glora_bm`` is the core of a Tucker form of b."""
    a1, a2, b1, b2 = (parts[f"glora_{name}"].double().flatten(1) for name in ("a1", "a2", "b1", "b2"))
    rank = a2.shape[0]
    turned = torch.einsum("oi...,ir,rj->oj...", weight.double(), a1, a2)
    core = parts.get("glora_bm")
    added = b1 @ b2 if core is None else torch.einsum("mnhw,ni,om->oihw", core.double(), b2, b1)
    return ((turned + added.view(weight.shape)) * (1.0 if alpha is None else alpha / rank)).float()


def ia3(parts: Parts, weight: Tensor) -> Tensor:
    """W ∘ w along outputs or inputs: LyCORIS keeps w such that 0 changes nothing, PEFT (``ia3_l``) such that 1 does."""
    if "ia3_l" in parts:
        vector = parts["ia3_l"] - 1
        on_input = vector.dim() >= 2 and vector.shape[0] == 1 and vector.shape[1] == weight.shape[1]
    else:
        vector, on_input = parts["ia3_weight"], bool(parts["ia3_on_input"])
    ones = [1] * (weight.dim() - 2)
    return weight * (vector.reshape(1, -1, *ones) if on_input else vector.reshape(-1, 1, *ones))


def _cayley(blocks: Tensor, most: float) -> Tensor:
    skew = blocks - blocks.transpose(-1, -2)
    norm = float(skew.norm()) + 1e-8
    if most > 0 and norm > most:
        skew = skew * (most / norm)
    eye = torch.eye(blocks.shape[-1], dtype=blocks.dtype)
    inverse: Tensor = torch.linalg.inv(eye - skew)
    return (eye + skew) @ inverse


def _diagonal(rotations: Tensor, weight: Tensor) -> Tensor:
    count, size, _ = rotations.shape
    return torch.einsum("knm,kn...->km...", rotations, weight.view(count, size, *weight.shape[1:])).flatten(0, 1)


def _butterfly(stages: Tensor, weight: Tensor) -> Tensor:
    """Each stage mixes rows that are 2^stage · b/2 apart: they are brought side by side, turned, and put back."""
    turned = weight
    for number, rotations in enumerate(stages):
        count, size, _ = rotations.shape
        apart = 2**number * size // 2
        columns = turned.shape[1:]
        pairs = turned.reshape(-1, 2, apart, *columns).transpose(1, 2).reshape(count, size, *columns)
        mixed = torch.einsum("bij,bj...->bi...", rotations, pairs).reshape(-1, apart, 2, *columns)
        turned = mixed.transpose(1, 2).reshape(-1, *columns)
    return turned
