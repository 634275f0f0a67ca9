"""How many singular values a module keeps: a fixed number, or as many as its own spectrum asks for."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from hubman.lora.decomposition import Decomposition


@dataclass(frozen=True)
class RankRule:
    """Each module keeps what all the rules that are given allow, and one value at least.

    ``keep`` is a share of the Frobenius norm (0..1, kohya's ``sv_fro``), ``sv_ratio`` how many times smaller than the
    largest a value may be, ``floor`` the smallest value that counts, ``most`` the largest rank.
    """

    most: int | None = None
    keep: float | None = None
    sv_ratio: float | None = None
    floor: float | None = None

    @property
    def reads_all(self) -> bool:
        """Whether all singular values must be known, not only the largest."""
        return self.keep is not None or self.sv_ratio is not None or self.floor is not None

    def rank(self, found: Decomposition) -> int:
        values = found.values.double()
        counts = [int(values.shape[0])]
        if self.most is not None:
            counts.append(self.most)
        if self.keep is not None and found.energy:
            shares = values.square().cumsum(0) / found.energy
            # The rounding of the last digits must not ask for a value more.
            wanted = torch.tensor(self.keep**2 - 1e-12, dtype=torch.float64)
            counts.append(int(torch.searchsorted(shares, wanted)) + 1)
        if self.sv_ratio is not None:
            counts.append(int((values * self.sv_ratio >= values[0]).sum()))
        if self.floor is not None:
            counts.append(int((values >= self.floor).sum()))
        return max(1, min(counts))
