"""Read a LoRA file of any naming and kind into factors that fit a given base model."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from hubman.lora.factors import Factors, factors_of
from hubman.lora.keys import Site
from hubman.lora.resolve import Coverage, resolve
from registry.errors import DamagedFileError, HubError, NotFoundError

WeightOf = Callable[[Site], torch.Tensor]


@dataclass(frozen=True)
class LoraWeights:
    """A LoRA ready for a base: factors by place, scale folded in, float32 on the CPU."""

    file: Path
    factors: Mapping[Site, Factors]
    coverage: Coverage

    def touches(self, component: str) -> bool:
        """Whether any module of ``component`` (``unet``, ``text_encoder``, …) is changed."""
        return any(site.component == component for site in self.factors)


def load_lora(file: Path, table: Mapping[str, Site], *, base: str, weight_of: WeightOf | None = None) -> LoraWeights:
    """Load ``file`` for the base that ``table`` (see ``keys.alias_table``) describes; ``base`` names it in messages.

    ``weight_of`` gives the frozen weight of a place, which DoRA files need. Raises ``NotFoundError`` for a missing
    file, ``DamagedFileError`` for one that cannot be read, and ``HubError`` when it does not belong to this base or
    holds a kind that cannot be drawn.
    """
    if not file.is_file():
        raise NotFoundError(f"{file} is not there", "scan again, or give the path of a .safetensors file")
    if file.suffix != ".safetensors":
        raise HubError(f"{file.name} is not a safetensors file", "pickled files are never opened; convert it first")
    try:
        with safe_open(str(file), framework="pt") as tensors:
            shapes = {name: tuple(tensors.get_slice(name).get_shape()) for name in tensors.keys()}  # noqa: SIM118
            resolved = resolve(shapes, table, file=file.name, base=base)
            alphas = PeftAlphas.of(tensors.metadata() or {})
            factors = {}
            for site, module in resolved.modules.items():
                parts = {part: tensors.get_tensor(name) for part, name in module.parts.items()}
                _refuse_broken(parts, file, module.name)
                alpha = alphas.of_site(site, parts)
                frozen = weight_of(site) if "dora_scale" in parts and weight_of else None
                factors[site] = factors_of(parts, site, alpha=alpha, base=frozen)
    except (SafetensorError, OSError) as error:
        raise DamagedFileError(f"{file} cannot be read ({error})", "download or export it again") from error
    return LoraWeights(file, factors, resolved.coverage)


def _refuse_broken(parts: Mapping[str, torch.Tensor], file: Path, module: str) -> None:
    for part, tensor in parts.items():
        if not torch.isfinite(tensor.float()).all():
            raise DamagedFileError(f"{file.name} holds NaN or infinity in {module} ({part})", "that training diverged")
        if part == "alpha" and tensor.numel() != 1:
            raise DamagedFileError(f"{file.name} has an alpha of shape {tuple(tensor.shape)} in {module}")


@dataclass(frozen=True)
class PeftAlphas:
    """The alphas that new diffusers keeps in the header entry ``lora_adapter_metadata`` instead of tensors."""

    settings: Mapping[str, Any]

    @classmethod
    def of(cls, metadata: Mapping[str, str]) -> PeftAlphas:
        """Read the header; anything malformed counts as absent."""
        try:
            settings = json.loads(metadata.get("lora_adapter_metadata", "{}"))
        except json.JSONDecodeError:
            settings = {}
        return cls(settings if isinstance(settings, dict) else {})

    def of_site(self, site: Site, parts: Mapping[str, torch.Tensor]) -> float | None:
        """The alpha of a place such that alpha/rank is the intended scale; None where the header says nothing."""
        alpha = self._pattern(site, "alpha_pattern", self.settings.get(f"{site.component}.lora_alpha"))
        if not isinstance(alpha, int | float) or "down" not in parts or "alpha" in parts:
            return None
        rank = parts["down"].shape[0]
        return alpha * math.sqrt(rank) if self.settings.get(f"{site.component}.use_rslora") else float(alpha)

    def _pattern(self, site: Site, name: str, default: object) -> object:
        patterns = self.settings.get(f"{site.component}.{name}")
        for pattern, value in patterns.items() if isinstance(patterns, dict) else ():
            # PEFT matches a pattern against the end of the module path (peft.utils.other.get_pattern_key).
            if re.fullmatch(rf"(.*\.)?({re.escape(pattern.removeprefix('^'))})", site.path):
                return value
        return default
