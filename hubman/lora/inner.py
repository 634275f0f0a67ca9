"""Inner products of changes by module: from fingerprints, and exactly from the files."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hubman.lora.arrays import Array
from hubman.lora.deltas import Delta, LowRank
from hubman.lora.fingerprints import SIZE, Fingerprint
from hubman.lora.stack import Products


def inner_products(fingerprints: Sequence[Fingerprint]) -> Products:
    """Estimates for all modules that any of them changes."""
    names = fingerprints[0].layout.names
    if any(one.layout.names != names for one in fingerprints[1:]):
        names = tuple(sorted({name for one in fingerprints for name in one.layout.names}))
    rows = np.stack([laid_out(one, names) for one in fingerprints], axis=1)
    return Products(names, np.matmul(rows, rows.transpose(0, 2, 1)).astype(np.float64))


def laid_out(one: Fingerprint, names: tuple[str, ...]) -> Array:
    """The rows in the order of ``names``, zero for those that it does not change."""
    if one.layout.names == names:
        return one.rows
    found = np.zeros((len(names), SIZE), np.float32)
    index = one.layout.index
    own = [(to, index[name]) for to, name in enumerate(names) if name in index]
    if own:
        to, source = (np.array(part) for part in zip(*own, strict=True))
        found[to] = one.rows[source]
    return found


def inner(one: Delta, other: Delta) -> float:
    """⟨ΔW₁, ΔW₂⟩ of one module; of two of low rank c₁c₂ Σ((B₁ᵀB₂) ∘ (A₁A₂ᵀ)). Raises ``ValueError`` for other shapes."""
    if (one.out, one.columns) != (other.out, other.columns):
        raise ValueError("the two do not change the same weight")
    if isinstance(one, LowRank) and isinstance(other, LowRank):
        ups, downs = one.up.T @ other.up, one.down @ other.down.T
        return float(np.einsum("ij,ij->", ups, downs, dtype=np.float64)) * one.scale * other.scale
    if isinstance(other, LowRank):
        one, other = other, one
    if isinstance(one, LowRank):
        seen = other.dense() @ one.down.T
        return float(np.einsum("ij,ij->", one.up, seen, dtype=np.float64)) * one.scale
    return float(np.einsum("ij,ij->", one.dense(), other.dense(), dtype=np.float64))
