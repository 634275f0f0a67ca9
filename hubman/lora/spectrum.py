"""Exact sizes of a LoRA's changes: norms, singular values, ranks; in NumPy, and without the vectors that
``decomposition.py`` makes files of. ΔW is formed of no kind that has a low rank.

With ΔW = c·B·A, G_A = A·Aᵀ = L·Lᵀ and G_B = Bᵀ·B, the singular values are c·√eig(Lᵀ·G_B·L); ‖ΔW‖² = Σσ².
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hubman.lora.deltas import Delta, Kronecker, LowRank

Values = NDArray[np.float64]

_SMALL = 32
"""Up to this rank products are summed in float64; above it float32 leaves values below σ₁/3,000 uncertain."""


@dataclass(frozen=True)
class Spectrum:
    """``values`` are the singular values, descending; those that are zero may be missing."""

    values: Values

    @property
    def norm(self) -> float:
        """‖ΔW‖, Frobenius."""
        return float(np.sqrt(np.sum(self.values**2)))

    @property
    def stable_rank(self) -> float:
        """‖ΔW‖²/σ₁²; 0 of nothing."""
        return float(np.sum(self.values**2) / self.values[0] ** 2) if self.values.size and self.values[0] else 0.0

    @property
    def effective_rank(self) -> float:
        """exp(-Σ p ln p) with p = σ²/Σσ² (Roy and Vetterli 2007, on energies); 0 of nothing."""
        energy = self.values**2
        if not energy.sum():
            return 0.0
        shares = energy[energy > 0] / energy.sum()
        return float(math.exp(-np.sum(shares * np.log(shares))))


def spectrum(delta: Delta) -> Spectrum:
    """The singular values of a change; NaN for one that is not finite."""
    if isinstance(delta, LowRank):
        return Spectrum(_low_rank(delta))
    if isinstance(delta, Kronecker):
        # Those of a Kronecker product are the products of its factors'.
        first, second = _dense(delta.first), _dense(delta.second)
        return Spectrum(np.sort(np.outer(first, second).reshape(-1))[::-1] * abs(delta.scale))
    return Spectrum(_dense(delta.dense()))


def _low_rank(delta: LowRank) -> Values:
    if delta.down.shape[0] <= _SMALL:
        inputs, outputs = _products(delta.down.astype(np.float64), delta.up.astype(np.float64))
    else:
        inputs, outputs = _products(delta.down, delta.up)
    if not (np.isfinite(inputs).all() and np.isfinite(outputs).all()):
        return np.full(1, np.nan)
    try:
        left = np.linalg.cholesky(inputs)
    except np.linalg.LinAlgError:
        # Rows that depend on each other.
        values, vectors = np.linalg.eigh(inputs)
        left = vectors * np.sqrt(np.clip(values, 0, None))
    return _roots(np.linalg.eigvalsh(left.T @ outputs @ left)) * abs(delta.scale)


def _products(down: NDArray[Any], up: NDArray[Any]) -> tuple[Values, Values]:
    return (down @ down.T).astype(np.float64), (up.T @ up).astype(np.float64)


def _dense(matrix: NDArray[np.float32]) -> Values:
    wide: Values = matrix.astype(np.float64)
    if not np.isfinite(wide).all():
        return np.full(1, np.nan)
    if min(wide.shape) <= 512:
        return np.linalg.svd(wide, compute_uv=False).astype(np.float64)
    gram: Values = wide @ wide.T if wide.shape[0] <= wide.shape[1] else wide.T @ wide
    return _roots(np.linalg.eigvalsh(gram).astype(np.float64))


def _roots(values: Values) -> Values:
    """Square roots, descending; what rounding made negative is zero."""
    found: Values = np.sqrt(np.clip(values, 0, None))[::-1]
    return found
