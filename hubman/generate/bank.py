"""The LoRA bank: all loaded LoRAs in one wrapper a module, with strengths of its own for each sample of a batch.

    y = base(x) + ((x · down) ∘ S) · up        S[b, k] = strength and block weight, for sample b, of the LoRA of rank k

``down`` and ``up`` are the factors of all LoRAs joined along the rank, so any number of LoRAs costs three kernels, and
a sweep, a grid of combinations or a strength that changes by the step are all just values of S. Changes of biases and
of norm layers are sums over the LoRAs in the same way; a change without a low rank costs a product of its own, a Kronecker
product two small ones. The frozen weights are never written to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from torch import Tensor, nn

from hubman.generate.bank_layers import Adapted, layer_for, owners_of
from hubman.generate.bank_strengths import Rows, Strengths, Weights
from hubman.lora.blocks import Block, blocks_of
from hubman.lora.change import Change
from hubman.lora.keys import Site
from hubman.lora.load import LoraWeights


class Bank:
    """Wrappers in the modules of a base: ``roots`` are its components, ``modules`` their places (see ``Base``)."""

    def __init__(
        self,
        roots: Mapping[str, nn.Module],
        modules: Mapping[Site, nn.Module],
        *,
        originals: Mapping[str, str] = MappingProxyType({}),
        fixed: bool = False,
    ) -> None:
        """``originals`` are the original names of a transformer's modules, which its blocks are told by.

        ``fixed`` makes for one program whatever the LoRAs' ranks and strengths are, for compiled code and GPUs.
        """
        self._roots = roots
        self._modules = modules
        self._blocks = blocks_of(modules, originals)
        self.fixed = fixed
        self._wrappers: dict[Site, Adapted] = {}
        self._strengths: dict[str, Strengths] = {}
        self.size = 0

    def install(self, loras: Sequence[LoraWeights]) -> None:
        """Replace what is installed by ``loras``, whose order is that of the strengths' columns."""
        self.remove()
        owned: dict[Site, list[tuple[int, Change]]] = {}
        for number, lora in enumerate(loras):
            for site, change in lora.changes.items():
                owned.setdefault(site, []).append((number, change))
        for site, mine in owned.items():
            strengths = self._strengths.setdefault(site.component, Strengths(len(loras), always=self.fixed))
            base = self._modules[site]
            weight = base.weight
            assert isinstance(weight, Tensor)  # noqa: S101 - tells mypy what the adapted modules hold
            owners = () if site.is_norm else owners_of(mine, pad=self.fixed)
            slot = strengths.slot(self._blocks.get(site, Block("")), owners, weight)
            self._wrappers[site] = layer_for(site, base, mine, slot, pad=self.fixed)
            self._put(site, self._wrappers[site])
        self.size = len(loras)

    def remove(self) -> None:
        """Put the base's own modules back."""
        for site in self._wrappers:
            self._put(site, self._modules[site])
        self._wrappers.clear()
        self._strengths.clear()
        self.size = 0

    def set_strengths(self, component: str, strengths: Rows, weights: Weights | None = None) -> None:
        """Strengths of each LoRA (columns) for each sample (rows) of the next batch through ``component``.

        ``weights`` are its block weights in the same places. The next forward must have exactly these rows; all zeros
        cost nothing unless the bank is ``fixed``.
        """
        if (mine := self._strengths.get(component)) is not None:
            mine.set(strengths, weights)

    def _put(self, site: Site, module: nn.Module) -> None:
        parent_path, _, name = site.path.rpartition(".")
        setattr(self._roots[site.component].get_submodule(parent_path), name, module)
