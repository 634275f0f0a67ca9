"""Changes taken apart into singular values and vectors, in torch, to write or draw them at another rank.

What only looks at the sizes of a file's changes takes ``spectrum.py``, which needs no torch and no vectors.

Where two factors make ΔW it is not formed: B·A with B = Q₁R₁ and Aᵀ = Q₂R₂ has the singular values of the small R₁R₂ᵀ
(Golub & Van Loan, Matrix Computations, 5.2 and 8.6), so the work grows with the rank and not with the layer.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hubman.lora.factors import Factors

_DIRECT = 512
"""Up to this side the decomposition in full is as quick as any other."""
_SPARE = 8
_ROUNDS = 6
"""Of the power iteration: with the spare ranks it leaves less than 0.1 % of the best possible on the table."""
_NOISE = 1e-7
"""Singular values below this share of the largest are rounding errors."""


@dataclass(frozen=True)
class Decomposition:
    """ΔW = left · diag(values) · right, the largest first. ``left`` is [out, n], ``right`` [n, in·kh·kw]."""

    left: Tensor
    values: Tensor
    right: Tensor
    energy: float
    """‖ΔW‖², also of what is not among the values."""
    inputs: tuple[int, ...]
    """The shape of a row of the down matrix: [in] or [in, kh, kw]."""

    def kept(self, rank: int) -> float:
        """The share of the energy, 0..1, that the first ``rank`` values have."""
        if not self.energy:
            return 1.0
        return min(1.0, float(self.values[:rank].double().square().sum()) / self.energy)

    def pair(self, rank: int) -> tuple[Tensor, Tensor]:
        """(down [rank, in(, kh, kw)], up [out, rank]) of the first values, the best approximation of that rank; float32.

        Their roots go to both sides, which keeps fp16 in range.
        """
        root = self.values[:rank].sqrt()
        up, down = self.left[:, :rank] * root, root[:, None] * self.right[:rank]
        return down.reshape(-1, *self.inputs).float().contiguous(), up.float().contiguous()


def of_factors(factors: Factors) -> Decomposition:
    """All singular values of a low-rank change; the same factors give the same."""
    up, down = factors.up, factors.down.flatten(1)
    if factors.full is not None or factors.rank >= min(up.shape[0], down.shape[1]):
        return of_matrix(factors.delta())
    q_up, r_up = torch.linalg.qr(up.double())
    q_down, r_down = torch.linalg.qr(down.t().double())
    left, values, right = torch.linalg.svd(r_up @ r_down.t())
    energy = float(values.square().sum())
    return Decomposition(q_up @ left, values, right @ q_down.t(), energy, tuple(factors.down.shape[1:]))


def of_matrix(delta: Tensor) -> Decomposition:
    """All singular values of a ΔW in full, [out, in(, kh, kw)], but for those that are rounding errors."""
    matrix = delta.flatten(1).double()
    inputs = tuple(delta.shape[1:])
    energy = float(matrix.square().sum())
    if min(matrix.shape) <= _DIRECT:
        left, values, right = torch.linalg.svd(matrix, full_matrices=False)
        return Decomposition(left, values, right, energy, inputs)
    # The shorter side's Gram matrix has the squares of the values, several times sooner than the decomposition in full.
    is_wide = matrix.shape[0] <= matrix.shape[1]
    squares, vectors = torch.linalg.eigh(matrix @ matrix.t() if is_wide else matrix.t() @ matrix)
    values, vectors = squares.flip(0).clamp(min=0).sqrt(), vectors.flip(1)
    count = max(1, int((values > values[0] * _NOISE).sum()))
    values, vectors = values[:count], vectors[:, :count]
    others = (vectors.t() @ matrix if is_wide else (matrix @ vectors).t()) / values.clamp(min=1e-300)[:, None]
    left, right = (vectors, others) if is_wide else (others.t(), vectors.t())
    return Decomposition(left, values, right, energy, inputs)


def largest(delta: Tensor, rank: int) -> Decomposition:
    """The ``rank`` largest singular values of a ΔW in full; the same ΔW gives the same. Quicker than all of them."""
    matrix = delta.flatten(1).float()
    if min(matrix.shape) <= _DIRECT:
        return of_matrix(delta)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        left, values, turned = torch.svd_lowrank(matrix, q=min(rank + _SPARE, *matrix.shape), niter=_ROUNDS)
    right = turned.t()
    energy = float(matrix.double().square().sum())
    return Decomposition(left, values, right, energy, tuple(delta.shape[1:]))
