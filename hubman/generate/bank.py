"""The LoRA bank: all loaded LoRAs in one wrapper a module, with strengths of its own for each sample of a batch.

    y = base(x) + ((x · downᵀ) ∘ S) · upᵀ        S[b, k] = strength, for sample b, of the LoRA that owns rank k

``down`` and ``up`` are the factors of all LoRAs joined along the rank, so any number of LoRAs costs three kernels, and
a sweep, a grid of combinations or a strength that changes by the step are all just values of S. The frozen weights
are never written to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import nn
from torch.nn import functional as F

from hubman.lora.factors import Factors
from hubman.lora.keys import Site
from hubman.lora.load import LoraWeights


class _Adapted(nn.Module):
    """A frozen Linear or Conv2d with the joined factors of the LoRAs that change it."""

    def __init__(self, base: nn.Module, owned: Sequence[tuple[int, Factors]]) -> None:
        super().__init__()
        self.base = base
        like = self.weight
        self.down = torch.cat([factors.down for _, factors in owned]).to(like)
        self.up = torch.cat([factors.up for _, factors in owned], dim=1).to(like)
        owners = [number for number, factors in owned for _ in range(factors.rank)]
        self.owners = torch.tensor(owners, device=like.device)
        self.scale: torch.Tensor | None = None

    @property
    def weight(self) -> torch.Tensor:
        weight = self.base.weight
        assert isinstance(weight, torch.Tensor)  # noqa: S101 - tells mypy what nn.Linear and nn.Conv2d hold
        return weight

    @property
    def bias(self) -> object:
        return self.base.bias

    def set_strengths(self, strengths: torch.Tensor | None) -> None:
        """``strengths`` [batch, LoRAs], or None for the base alone."""
        self.scale = None if strengths is None else strengths[:, self.owners].to(self.down)


class _AdaptedLinear(_Adapted):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.base(x)
        if self.scale is None:
            return y
        scale = self.scale.view(x.shape[0], *[1] * (x.dim() - 2), -1)
        hidden = F.linear(x, self.down) * scale
        return torch.addmm(y.flatten(0, -2), hidden.flatten(0, -2), self.up.t()).view(y.shape)


class _AdaptedConv(_Adapted):
    base: nn.Conv2d

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.base(x)
        if self.scale is None:
            return y
        conv = self.base
        hidden = F.conv2d(x, self.down, None, conv.stride, conv.padding, conv.dilation)
        hidden = hidden * self.scale[:, :, None, None]
        return y + F.conv2d(hidden, self.up[:, :, None, None])


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
        owned: dict[Site, list[tuple[int, Factors]]] = {}
        for number, lora in enumerate(loras):
            for site, factors in lora.factors.items():
                owned.setdefault(site, []).append((number, factors))
        for site, mine in owned.items():
            wrapper = _AdaptedConv if site.is_conv else _AdaptedLinear
            self._wrappers[site] = wrapper(self._modules[site], mine)
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
                wrapper.set_strengths(None if active is None else active.to(wrapper.down.device))

    def _put(self, site: Site, module: nn.Module) -> None:
        parent_path, _, name = site.path.rpartition(".")
        setattr(self._roots[site.component].get_submodule(parent_path), name, module)
