"""Inner products of changes by module: from fingerprints, and exactly from the files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from hubman.lora.deltas import Delta, LowRank
from hubman.lora.fingerprints import SIZE, Fingerprint
from hubman.lora.halves import Array
from hubman.lora.stack import Matrix, Products


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


@dataclass(frozen=True)
class Grams:
    """Of changes of low rank of one module: ``outputs`` B·ᵀB· and ``inputs`` A·A·ᵀ of all their factors beside each
    other, so that each is multiplied once; ``spans`` are the places of each in them, ``scales`` stand before.
    """

    spans: tuple[slice, ...]
    scales: tuple[float, ...]
    outputs: Matrix
    inputs: Matrix

    @classmethod
    def of(cls, deltas: Sequence[LowRank]) -> Grams:
        if not deltas:
            return cls((), (), np.empty((0, 0)), np.empty((0, 0)))
        ends = np.cumsum([0, *(delta.up.shape[1] for delta in deltas)])
        up = np.concatenate([delta.up for delta in deltas], axis=1)
        down = np.concatenate([delta.down for delta in deltas])
        return cls(
            tuple(slice(int(start), int(end)) for start, end in pairwise(ends)),
            tuple(delta.scale for delta in deltas),
            (up.T @ up).astype(np.float64),
            (down @ down.T).astype(np.float64),
        )

    def inner(self, i: int, j: int) -> float:
        """⟨ΔWᵢ, ΔWⱼ⟩ = cᵢcⱼ Σ((BᵢᵀBⱼ) ∘ (AᵢAⱼᵀ))."""
        here = self.spans[i], self.spans[j]
        return float(np.einsum("ij,ij->", self.outputs[here], self.inputs[here])) * self.scales[i] * self.scales[j]

    def output_energy(self, i: int, j: int, out: int) -> float:
        """‖UⱼᵀΔWᵢ‖² less the chance level (k/out)·‖ΔWᵢ‖², over 1 - k/out: the energy of the first in the k directions
        that the second writes to, Uⱼ their orthonormal basis, taken from BⱼᵀBⱼ.
        """
        own, other = self.spans[i], self.spans[j]
        inside = _in_basis(self.outputs[own, other], self.outputs[other, other])
        k = inside.shape[1]
        if k == 0 or k >= out:
            return 0.0
        energy = float(np.einsum("ij,ij->", self.inputs[own, own] @ inside, inside)) * self.scales[i] ** 2
        return float((energy - self.inner(i, i) * k / out) / (1 - k / out))


def _in_basis(products: Matrix, gram: Matrix) -> Matrix:
    """BᵀU for an orthonormal basis U of the columns of B₂, from ``products`` BᵀB₂ and ``gram`` B₂ᵀB₂."""
    try:
        lower = np.linalg.cholesky(gram)
    except np.linalg.LinAlgError:
        lower = np.zeros((1, 1))
    sizes = np.abs(np.diagonal(lower))
    if sizes.min() ** 2 > _WEAK * sizes.max() ** 2:
        found: Matrix = np.linalg.solve(lower, products.T).T
        return found
    # Columns that depend on each other; this takes several times as long.
    values, vectors = np.linalg.eigh(gram)
    strong = values > _WEAK * values[-1]
    inside: Matrix = products @ (vectors[:, strong] / np.sqrt(values[strong]))
    return inside


_WEAK = 1e-6
"""Of the energy of the strongest direction: what is weaker counts as none that is written to."""


def inner(one: Delta, other: Delta) -> float:
    """⟨ΔW₁, ΔW₂⟩ of one module where not both are of low rank."""
    if isinstance(other, LowRank):
        one, other = other, one
    if isinstance(one, LowRank):
        seen = other.dense() @ one.down.T
        return float(np.einsum("ij,ij->", one.up, seen, dtype=np.float64)) * one.scale
    return float(np.einsum("ij,ij->", one.dense(), other.dense(), dtype=np.float64))
