"""The LoRA bank: all loaded LoRAs in one wrapper a module, with strengths of its own for each sample of a batch.

    y = base(x) + ((x · downᵀ) ∘ S) · upᵀ        S[b, k] = strength, for sample b, of the LoRA that owns rank k

``down`` and ``up`` are the factors of all LoRAs joined along the rank, so any number of LoRAs costs three kernels, and
a sweep, a grid of combinations or a strength that changes by the step are all just values of S. Changes of biases and
of norm layers are sums over the LoRAs in the same way. The frozen weights are never written to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import nn
from torch.nn import functional as F

from hubman.lora.change import Change
from hubman.lora.keys import Site
from hubman.lora.load import LoraWeights

_Owned = Sequence[tuple[int, Change]]


class _Adapted(nn.Module):
    """A frozen module with the joined changes of the LoRAs that touch it."""

    def __init__(self, base: nn.Module, owned: _Owned, size: int) -> None:
        super().__init__()
        self.base = base
        self.size = size
        self.strengths: torch.Tensor | None = None
        self.bias_rows = self._rows({number: change.bias for number, change in owned if change.bias is not None})

    @property
    def weight(self) -> torch.Tensor:
        weight = self.base.weight
        assert isinstance(weight, torch.Tensor)  # noqa: S101 - tells mypy what the adapted modules hold
        return weight

    @property
    def bias(self) -> object:
        return self.base.bias

    def set_strengths(self, strengths: torch.Tensor | None) -> None:
        """``strengths`` [batch, LoRAs], or None for the base alone."""
        self.strengths = None if strengths is None else strengths.to(self.weight)

    def _rows(self, vectors: Mapping[int, torch.Tensor]) -> torch.Tensor | None:
        """One row for each LoRA, zeros for those that say nothing; None if none does."""
        if not vectors:
            return None
        rows = torch.zeros(self.size, next(iter(vectors.values())).shape[0])
        for number, vector in vectors.items():
            rows[number] = vector
        return rows.to(self.weight)

    def _with_bias(self, y: torch.Tensor, *, channels_at: int) -> torch.Tensor:
        if self.bias_rows is None or self.strengths is None:
            return y
        return y + _spread(self.strengths @ self.bias_rows, y, channels_at)


def _spread(rows: torch.Tensor, like: torch.Tensor, channels_at: int) -> torch.Tensor:
    """``rows`` [batch, channels] such that they broadcast over ``like``."""
    shape = [rows.shape[0], *[1] * (like.dim() - 1)]
    shape[channels_at] = rows.shape[1]
    return rows.view(shape)


class _AdaptedMatrix(_Adapted):
    """A Linear or Conv2d: factors joined along the rank."""

    def __init__(self, base: nn.Module, owned: _Owned, size: int) -> None:
        super().__init__(base, owned, size)
        parts = [(number, change.factors) for number, change in owned if change.factors]
        self.owners = torch.tensor([n for n, factors in parts for _ in range(factors.rank)], device=self.weight.device)
        if parts:
            self.down = torch.cat([factors.down for _, factors in parts]).to(self.weight)
            self.up = torch.cat([factors.up for _, factors in parts], dim=1).to(self.weight)
        self.scale: torch.Tensor | None = None

    def set_strengths(self, strengths: torch.Tensor | None) -> None:
        super().set_strengths(strengths)
        active = self.strengths if len(self.owners) else None
        self.scale = None if active is None else active[:, self.owners]


class _AdaptedLinear(_AdaptedMatrix):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.base(x)
        if self.scale is not None:
            scale = self.scale.view(x.shape[0], *[1] * (x.dim() - 2), -1)
            hidden = F.linear(x, self.down) * scale
            y = torch.addmm(y.flatten(0, -2), hidden.flatten(0, -2), self.up.t()).view(y.shape)
        return self._with_bias(y, channels_at=-1)


class _AdaptedConv(_AdaptedMatrix):
    base: nn.Conv2d

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.base(x)
        if self.scale is not None:
            conv = self.base
            hidden = F.conv2d(x, self.down, None, conv.stride, conv.padding, conv.dilation)
            y = y + F.conv2d(hidden * self.scale[:, :, None, None], self.up[:, :, None, None])
        return self._with_bias(y, channels_at=1)


class _AdaptedNorm(_Adapted):
    base: nn.GroupNorm | nn.LayerNorm

    def __init__(self, base: nn.Module, owned: _Owned, size: int) -> None:
        super().__init__(base, owned, size)
        self.norm_rows = self._rows({number: change.norm for number, change in owned if change.norm is not None})

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.base(x)
        at = 1 if isinstance(self.base, nn.GroupNorm) else -1
        if self.norm_rows is not None and self.strengths is not None:
            y = y + self._normalised(x) * _spread(self.strengths @ self.norm_rows, y, at)
        return self._with_bias(y, channels_at=at)

    def _normalised(self, x: torch.Tensor) -> torch.Tensor:
        norm = self.base
        if isinstance(norm, nn.GroupNorm):
            return F.group_norm(x, norm.num_groups, eps=norm.eps)
        return F.layer_norm(x, norm.normalized_shape, eps=norm.eps)


class Bank:
    """Wrappers in the modules of a base: ``roots`` are its components, ``modules`` their places (see ``Base``)."""

    def __init__(self, roots: Mapping[str, nn.Module], modules: Mapping[Site, nn.Module]) -> None:
        self._roots = roots
        self._modules = modules
        self._wrappers: dict[Site, _Adapted] = {}
        self.size = 0

    def install(self, loras: Sequence[LoraWeights]) -> None:
        """Replace what is installed by ``loras``, whose order is that of the strengths' columns."""
        self.remove()
        owned: dict[Site, list[tuple[int, Change]]] = {}
        for number, lora in enumerate(loras):
            for site, change in lora.changes.items():
                owned.setdefault(site, []).append((number, change))
        for site, mine in owned.items():
            wrapper = _AdaptedNorm if site.is_norm else _AdaptedConv if site.is_conv else _AdaptedLinear
            self._wrappers[site] = wrapper(self._modules[site], mine, len(loras))
            self._put(site, self._wrappers[site])
        self.size = len(loras)

    def remove(self) -> None:
        """Put the base's own modules back."""
        for site in self._wrappers:
            self._put(site, self._modules[site])
        self._wrappers.clear()
        self.size = 0

    def set_strengths(self, component: str, strengths: Sequence[Sequence[float]]) -> None:
        """Strengths of each LoRA (columns) for each sample (rows) of the next batch through ``component``.

        The next forward must have exactly these rows; all zeros cost nothing.
        """
        table = torch.tensor(strengths, dtype=torch.float32).reshape(len(strengths), self.size)
        active = table if table.any() else None
        for site, wrapper in self._wrappers.items():
            if site.component == component:
                wrapper.set_strengths(active)

    def _put(self, site: Site, module: nn.Module) -> None:
        parent_path, _, name = site.path.rpartition(".")
        setattr(self._roots[site.component].get_submodule(parent_path), name, module)
