"""Read a LoRA file of any naming and kind into changes that fit a given base model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from hubman.lora.change import Change, change_of
from hubman.lora.factors import Factors
from hubman.lora.keys import Site
from hubman.lora.peft_header import PeftHeader
from hubman.lora.resolve import Coverage, Resolved, resolve
from hubman.lora.split import joined
from registry.errors import DamagedFileError, HubError, NotFoundError

WeightOf = Callable[[Site], torch.Tensor]


@dataclass(frozen=True)
class LoraWeights:
    """A LoRA ready for a base: changes by place, scale folded in, float32 on the CPU."""

    file: Path
    changes: Mapping[Site, Change]
    coverage: Coverage

    @property
    def factors(self) -> dict[Site, Factors]:
        """The changes of Linear and Conv2d weights as factors."""
        return {site: change.factors for site, change in self.changes.items() if change.factors}

    def touches(self, component: str) -> bool:
        """Whether any module of ``component`` (``unet``, ``text_encoder``, …) is changed."""
        return any(site.component == component for site in self.changes)


@dataclass(frozen=True)
class OpenLora:
    """A file whose names and shapes fit; its weights are read module by module."""

    file: Path
    resolved: Resolved
    metadata: Mapping[str, str]
    _tensors: Any
    _header: PeftHeader
    _weight_of: WeightOf | None

    def parts(self, site: Site) -> dict[str, torch.Tensor]:
        """The tensors of one module, as stored; PEFT's forms as LyCORIS has them.

        Raises ``DamagedFileError`` for values that are not finite.
        """
        module = self.resolved.modules[site]
        parts = {part: self._tensors.get_tensor(name) for part, name in module.parts.items()}
        _refuse_broken(parts, self.file, module.name)
        if "dora_vector" in parts:
            # Always along the outputs, though a convolution's is [1, out, 1, 1].
            ones = [1] * (len(site.shape) - 1)
            parts["dora_scale"] = parts.pop("dora_vector").reshape(-1, *ones)
        if {"lokr_w1", "lokr_w2"} <= parts.keys():
            parts["lokr_w1"] = parts["lokr_w1"] * self._header.full_scale(site)
        return parts

    def alpha(self, site: Site, parts: Mapping[str, torch.Tensor]) -> float | None:
        """The alpha that the header says where the tensors don't."""
        return self._header.alpha(site, parts)

    def change(self, site: Site) -> Change:
        """The change of one module. Raises ``DamagedFileError`` for tensors that make none."""
        parts = self.parts(site)
        weight = partial(self._weight_of, site) if self._weight_of else None
        try:
            return change_of(parts, site, alpha=self.alpha(site, parts), weight=weight)
        except RuntimeError as error:
            module = self.resolved.modules[site].name
            raise DamagedFileError(
                f"{self.file.name}: the tensors of {module} do not fit together", "export the file again"
            ) from error


@contextmanager
def open_lora(
    file: Path, table: Mapping[str, Site], *, base: str, weight_of: WeightOf | None = None
) -> Iterator[OpenLora]:
    """Open ``file`` for the base that ``table`` (see ``keys.alias_table``) describes; ``base`` names it in messages.

    ``weight_of`` gives the frozen weight of a place, which DoRA, OFT, GLoRA and (IA)³ files need. Raises
    ``NotFoundError`` for a missing file, ``DamagedFileError`` for one that cannot be read, and ``HubError`` when it
    does not belong to this base.
    """
    if not file.is_file():
        raise NotFoundError(f"{file} is not there", "scan again, or give the path of a .safetensors file")
    if file.suffix != ".safetensors":
        raise HubError(f"{file.name} is not a safetensors file", "pickled files are never opened; convert it first")
    try:
        with safe_open(str(file), framework="pt") as tensors:
            shapes = {name: tuple(tensors.get_slice(name).get_shape()) for name in tensors.keys()}  # noqa: SIM118
            metadata = tensors.metadata() or {}
            resolved = resolve(shapes, table, file=file.name, base=base)
            yield OpenLora(file, resolved, metadata, tensors, PeftHeader.of(metadata, file), weight_of)
    except (SafetensorError, OSError) as error:
        raise DamagedFileError(f"{file} cannot be read ({error})", "download or export it again") from error


def load_lora(file: Path, table: Mapping[str, Site], *, base: str, weight_of: WeightOf | None = None) -> LoraWeights:
    """All changes of ``file``; arguments and errors as :func:`open_lora`."""
    with open_lora(file, table, base=base, weight_of=weight_of) as opened:
        changes = {site: opened.change(site) for site in opened.resolved.modules}
    return LoraWeights(file, joined(changes), opened.resolved.coverage)


def _refuse_broken(parts: Mapping[str, torch.Tensor], file: Path, module: str) -> None:
    for part, tensor in parts.items():
        if not torch.isfinite(tensor.float()).all():
            raise DamagedFileError(f"{file.name} holds NaN or infinity in {module} ({part})", "that training diverged")
        if part == "alpha" and tensor.numel() != 1:
            raise DamagedFileError(f"{file.name} has an alpha of shape {tuple(tensor.shape)} in {module}")
