"""A base model as the engine draws with it: the trainer's adapter of it, and the names that LoRAs give its modules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from hubman.generate.device import choose, dtype_for, has_bf16
from hubman.lora.keys import Site, alias_table
from hubman.train.architectures import load_model
from hubman.train.architectures.detect import detect
from hubman.train.architectures.fused import parts_of
from hubman.train.architectures.model import Model


@dataclass(frozen=True)
class Base:
    """A loaded base model. ``modules`` are what LoRAs change, ``table`` every name that files give these and parts of them."""

    path: Path
    model: Model
    modules: Mapping[Site, nn.Module]
    table: Mapping[str, Site]

    @property
    def name(self) -> str:
        return self.path.name if self.path.is_dir() else self.path.stem

    def weight_of(self, site: Site) -> torch.Tensor:
        """The frozen weight of a place, whatever the bank has installed there."""
        weight = self.modules[site.of or site].weight
        if not isinstance(weight, torch.Tensor):
            raise TypeError(f"{site.path} has no weight")
        return weight[site.first_row : site.first_row + site.shape[0]].detach().cpu()


def load_base(
    path: Path, *, device: torch.device | None = None, dtype: torch.dtype | None = None, layout: Path | None = None
) -> Base:
    """Load a base model; nothing is downloaded. The device is by default the best, the dtype what suits both.

    ``layout`` is a diffusers folder that says what a single file holds, where its size is not its family's.

    Raises ``NotFoundError`` if nothing is there, ``HubError`` if it is of a kind that cannot be drawn, and
    ``DamagedFileError`` if it cannot be read.
    """
    device = device or choose()
    if dtype is None:
        dtype = dtype_for(device.type, detect(layout or path).kind, has_bf16=has_bf16(device))
    model = load_model(path, device, dtype, mixed=False, layout=layout)
    modules = {site: module for name, root in model.roots.items() for site, module in sites_of(name, root).items()}
    wholes = {(site.component, site.path): site for site in modules}
    parts = [
        Site(name, path, (stop - start, *wholes[name, whole].shape[1:]), of=wholes[name, whole], first_row=start)
        for name, root in model.roots.items()
        for path, whole, start, stop in parts_of(root)
    ]
    return Base(path, model, modules, alias_table([*modules, *parts], model.original_names))


def sites_of(component: str, root: nn.Module) -> dict[Site, nn.Module]:
    """Every Linear, Conv2d and norm of a component by its place; unusual convolutions are left out."""
    found: dict[Site, nn.Module] = {}
    for path, module in root.named_modules():
        plain_conv = isinstance(module, nn.Conv2d) and module.groups == 1 and module.padding_mode == "zeros"
        norm = isinstance(module, nn.GroupNorm | nn.LayerNorm) and module.weight is not None
        if isinstance(module, nn.Linear) or plain_conv or norm:
            found[Site(component, path, tuple(module.weight.shape))] = module
    return found
