"""What is only known with the base at hand: the changes that are made of its weights, and how large these are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from hubman.generate.pipeline import load_base
from hubman.lora.change import change_of
from hubman.lora.deltas import Delta, Dense, Parts
from hubman.lora.halves import Array


class LoadedBase:
    """A base model's weights on the CPU, by the names that LoRA files give its modules. See ``load_base`` for errors."""

    def __init__(self, path: Path) -> None:
        self._base = load_base(path, device=torch.device("cpu"), dtype=torch.float32)

    def delta(self, module: str, parts: Parts, alpha: float | None) -> Delta | None:
        """W' - W of the module that a file calls ``module``; None if the base has none of that name.

        Raises ``ValueError`` for tensors that do not fit its weight.
        """
        site = self._base.table.get(module)
        if site is None or site.is_norm:
            return None
        given = {part: torch.from_numpy(array.copy()) for part, array in parts.items()}
        try:
            made = change_of(given, site, alpha=alpha, weight=lambda: self._base.weight_of(site)).factors
        except RuntimeError as error:
            raise ValueError(str(error)) from error
        return Dense(made.delta().reshape(site.shape[0], -1).numpy()) if made else None

    def weight(self, module: str) -> Array | None:
        """The weight [out, columns] of a module that is no norm."""
        site = self._base.table.get(module)
        if site is None or site.is_norm:
            return None
        found: Array = self._base.weight_of(site).float().reshape(site.shape[0], -1).numpy().astype(np.float32)
        return found
