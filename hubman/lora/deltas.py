"""What one module of a LoRA file adds to the weight, in NumPy and without forming it where that can be avoided.

The formulas are those of ``factors.py`` (LyCORIS, Yeh et al. 2023). There they become factors that a model is drawn
with; here all that is asked for is how the change looks from both sides: Ψᵀ·ΔW·Ω, and its rows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from hubman.lora.halves import Array
from hubman.lora.kinds import kind_of, needs_weight, scale_of

Parts = Mapping[str, Array]

WIDEST = 1 << 18
"""Rows or columns of a weight: more than any model has, and few enough to have directions for."""
_LARGEST = 1 << 28
"""Numbers of a weight that may have to be formed."""


class Delta(Protocol):
    """A change ΔW of ``out`` rows and ``columns`` columns (the kernel of a convolution flattened into them)."""

    @property
    def out(self) -> int: ...
    @property
    def columns(self) -> int: ...

    def project(self, left: Array, right: Array) -> Array:
        """leftᵀ · ΔW · right; ``left`` is [out, m], ``right`` [columns, m]."""

    def dense(self) -> Array:
        """ΔW itself, in memory of its own."""

    def rows(self, rows: slice) -> Delta:
        """The change of some rows alone."""


@dataclass(frozen=True)
class LowRank:
    """up · down · scale."""

    up: Array
    down: Array
    scale: float

    @property
    def out(self) -> int:
        return int(self.up.shape[0])

    @property
    def columns(self) -> int:
        return int(self.down.shape[1])

    def project(self, left: Array, right: Array) -> Array:
        found: Array = ((left.T @ self.up) @ (self.down @ right)) * np.float32(self.scale)
        return found

    def dense(self) -> Array:
        found: Array = (self.up @ self.down) * np.float32(self.scale)
        return found

    def rows(self, rows: slice) -> Delta:
        return LowRank(self.up[rows], self.down, self.scale)


@dataclass(frozen=True)
class Dense:
    """The change itself."""

    matrix: Array

    @property
    def out(self) -> int:
        return int(self.matrix.shape[0])

    @property
    def columns(self) -> int:
        return int(self.matrix.shape[1])

    def project(self, left: Array, right: Array) -> Array:
        found: Array = left.T @ (self.matrix @ right)
        return found

    def dense(self) -> Array:
        return self.matrix.copy()

    def rows(self, rows: slice) -> Delta:
        return Dense(self.matrix[rows])


@dataclass(frozen=True)
class Kronecker:
    """first ⊗ second · scale, of [l, m] and [k, n]."""

    first: Array
    second: Array
    scale: float

    @property
    def out(self) -> int:
        return int(self.first.shape[0] * self.second.shape[0])

    @property
    def columns(self) -> int:
        return int(self.first.shape[1] * self.second.shape[1])

    def project(self, left: Array, right: Array) -> Array:
        right = right.reshape(self.first.shape[1], self.second.shape[1], -1)
        # Contracted one factor after the other: [m, n, r] -> [m, k, r] -> [l, k, r].
        inner = np.matmul(self.second, right)
        whole = np.tensordot(self.first, inner, axes=1).reshape(self.out, -1)
        found: Array = (left.T @ whole) * np.float32(self.scale)
        return found

    def dense(self) -> Array:
        found: Array = np.kron(self.first, self.second) * np.float32(self.scale)
        return found

    def rows(self, rows: slice) -> Delta:
        return self if rows == slice(0, self.out) else Dense(self.dense()[rows])


def delta_of(parts: Parts, alpha: float | None) -> Delta | None:
    """The change of a module's weight; None where it has none, or where it is made of the base's weight.

    Raises ``ValueError`` for tensors that do not fit together.
    """
    if "dora_scale" in parts or needs_weight(kind_of(parts)):
        return None
    kind = kind_of(parts)
    made = {"LoRA": _lora, "LoHa": _loha, "LoKr": _lokr}.get(kind)
    full = parts.get("diff")
    if made is None and (full is None or full.ndim < 2):
        return None
    delta = made(parts, alpha) if made else Dense(_flat(parts["diff"]))
    if max(delta.out, delta.columns) > WIDEST:
        raise ValueError("no model has a weight of that size")
    return delta


def vectors_of(parts: Parts) -> dict[str, Array]:
    """What is added to a norm's weight and to biases, by the name it gets behind the module's."""
    found = {"bias": parts.get("diff_b", parts.get("b_norm")), "norm": parts.get("w_norm")}
    full = parts.get("diff")
    if full is not None and full.ndim == 1:
        found["norm"] = full
    return {name: vector.reshape(-1) for name, vector in found.items() if vector is not None}


def needs_base(parts: Parts) -> bool:
    """Whether the change can't be told without the base's weight."""
    return "dora_scale" in parts or needs_weight(kind_of(parts))


def _refuse_giant(out: int, columns: int) -> None:
    """A file of a few bytes could ask for more memory than there is."""
    if out * columns > _LARGEST:
        raise ValueError("no model has a weight of that size")


def _flat(array: Array) -> Array:
    return array.reshape(array.shape[0], -1)


def rank_bound(delta: Delta) -> int:
    """The largest rank that the way it is written allows."""
    side = min(delta.out, delta.columns)
    return min(side, delta.up.shape[1]) if isinstance(delta, LowRank) else side


def _lora(parts: Parts, alpha: float | None) -> Delta:
    if "down" not in parts or "up" not in parts:
        raise ValueError("half of its tensors are missing")
    down, up = parts["down"], _flat(parts["up"])
    rank = down.shape[0]
    if "mid" in parts:
        _refuse_giant(parts["mid"].shape[0], math.prod((*down.shape[1:], *parts["mid"].shape[2:])))
        down = np.einsum("mnhw,ni->mihw", parts["mid"], _flat(down), optimize=True)
    if up.shape[1] != down.shape[0] or not rank:
        raise ValueError("its ranks differ")
    return LowRank(up, _flat(down), scale_of(alpha, rank))


def _loha(parts: Parts, alpha: float | None) -> Delta:
    w1a, w1b, w2a, w2b = (parts[f"hada_{name}"] for name in ("w1_a", "w1_b", "w2_a", "w2_b"))
    scale = scale_of(alpha, w1b.shape[0])
    if "hada_t1" in parts:
        _refuse_giant(w1a.shape[1], w1b.shape[1] * math.prod(parts["hada_t1"].shape[2:]))
        whole = _tucker(parts["hada_t1"], w1a, w1b) * _tucker(parts["hada_t2"], w2a, w2b)
        return Dense(_flat(whole) * np.float32(scale))
    _refuse_giant(w1a.shape[0], math.prod(w1b.shape[1:]))
    if w1b.shape[0] * w2b.shape[0] >= min(w1a.shape[0], math.prod(w1b.shape[1:])):
        return Dense((w1a @ _flat(w1b)) * (w2a @ _flat(w2b)) * np.float32(scale))
    # A Hadamard product of rank-r matrices has rank r², one term for each pair of terms (Khatri-Rao).
    up = _flat(np.einsum("op,oq->opq", w1a, w2a))
    down = np.einsum("pi,qi->pqi", _flat(w1b), _flat(w2b))
    return LowRank(up, down.reshape(-1, down.shape[2]), scale)


def _lokr(parts: Parts, alpha: float | None) -> Delta:
    rank = next((parts[name].shape[0] for name in ("lokr_w1_b", "lokr_w2_b") if name in parts), 0)
    # With both factors full the stored alpha is only the nominal rank and does not scale.
    scale = scale_of(alpha, rank) if rank else 1.0
    first = parts["lokr_w1"] if "lokr_w1" in parts else parts["lokr_w1_a"] @ parts["lokr_w1_b"]
    if "lokr_w2" in parts:
        second = parts["lokr_w2"]
    elif "lokr_t2" in parts:
        second = _tucker(parts["lokr_t2"], parts["lokr_w2_a"], parts["lokr_w2_b"])
    else:
        second = parts["lokr_w2_a"] @ _flat(parts["lokr_w2_b"])
    first, second = _flat(first), _flat(second)
    _refuse_giant(first.shape[0] * second.shape[0], first.shape[1] * second.shape[1])
    return Kronecker(first, second, scale)


def _tucker(core: Array, w_a: Array, w_b: Array) -> Array:
    found: Array = np.einsum("ij...,jr,ip->pr...", core, w_b, w_a, optimize=True)
    return found
