"""LoRAs written into the weights ("turbo"): as fast as the base alone, for a long run of one setting.

Always from the base's own weights, of which a copy is kept, and back by copying: taking a LoRA out again by arithmetic leaves
2e-3 of the weights' norm behind after one cycle in bf16.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from hubman.lora.keys import Site
from hubman.lora.load import LoraWeights

StrengthAt = Callable[[Site], float]


class Fused:
    """Writes LoRAs into ``modules`` and takes them out again."""

    def __init__(self, modules: Mapping[Site, nn.Module]) -> None:
        self._modules = modules
        self._pristine: dict[Site, tuple[Tensor, Tensor | None]] = {}

    @property
    def is_in(self) -> bool:
        """Whether weights are changed now."""
        return bool(self._pristine)

    @torch.no_grad()
    def write(self, loras: Sequence[tuple[LoraWeights, StrengthAt]]) -> None:
        """W + Σ s(W' - W), added up in fp32 and rounded once. What was written before is taken out first."""
        self.restore()
        for site in dict.fromkeys(site for lora, _ in loras for site in lora.changes):
            weight, bias = self._parameters(site)
            changed, moved = weight.float(), None if bias is None else bias.float()
            for lora, strength_at in loras:
                if (change := lora.changes.get(site)) is None or not (strength := strength_at(site)):
                    continue
                delta = change.factors.delta() if change.factors else change.norm
                if delta is not None:
                    changed = changed + strength * delta.to(changed).view_as(changed)
                if change.bias is not None:
                    added = strength * change.bias.to(changed)
                    moved = added if moved is None else moved + added
            self._keep(site, weight, bias)
            self._put(site, changed, moved)

    @torch.no_grad()
    def restore(self) -> None:
        """The base's own weights, bit for bit."""
        for site, (weight, bias) in self._pristine.items():
            self._put(site, weight, bias)
            if bias is None:
                self._modules[site].register_parameter("bias", None)
        self._pristine.clear()

    def _keep(self, site: Site, weight: Tensor, bias: Tensor | None) -> None:
        kept = None if bias is None else bias.detach().to("cpu", copy=True)
        self._pristine[site] = weight.detach().to("cpu", copy=True), kept

    def _put(self, site: Site, weight: Tensor, bias: Tensor | None) -> None:
        own, own_bias = self._parameters(site)
        own.copy_(weight)
        if bias is not None and own_bias is not None:
            own_bias.copy_(bias)
        elif bias is not None:
            self._modules[site].register_parameter("bias", nn.Parameter(bias.to(own), requires_grad=False))

    def _parameters(self, site: Site) -> tuple[Tensor, Tensor | None]:
        parameters = dict(self._modules[site].named_parameters(recurse=False))
        return parameters["weight"], parameters.get("bias")
