"""A training that goes on from a LoRA file instead of from nothing."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from hubman.lora.change import change_of
from hubman.lora.factors import Factors
from hubman.lora.keys import Site
from hubman.lora.kinds import scale_of
from hubman.lora.load import OpenLora, open_lora
from hubman.lora.split import joined
from hubman.train.adapters.network import MAGNITUDE, STARTS_AT_ZERO, Adapter, Network
from hubman.train.adapters.network_sites import names, places
from registry.errors import UsageError

_PARTS = {"lora_down.weight": "down", "lora_up.weight": "up"}


def start_from(network: Network, file: Path) -> None:
    """Let ``network`` start as what ``file`` makes of the base; modules that it lacks start as ever.

    Smaller ranks are padded by ranks that start as ever. Raises UsageError for a file whose adapters this network
    cannot hold: larger ranks, another kind without low-rank factors, DoRA of another axis, modules that are not here;
    and as :func:`hubman.lora.load.open_lora`.
    """
    where = places(network)
    adapters = {site: network.layers[key] for key, site in where.items()}
    with open_lora(file, names(network), base="the base") as opened:
        strange = [module.name for site, module in opened.resolved.modules.items() if (site.of or site) not in adapters]
        lost = len(strange) + opened.resolved.coverage.total - opened.resolved.coverage.matched
        if lost:
            raise UsageError(
                f"{file.name} also changes {lost} modules that are not trained here",
                "train them too: optimizer.unet_lr and text_lr above 0, network.conv_rank for convolutions",
            )
        whole = [site for site in opened.resolved.modules if site.of is None]
        for site in whole:
            _take(adapters[site], opened, site)
        split = {site: opened.change(site) for site in opened.resolved.modules if site.of}
        for site, change in joined(split).items():
            _put(adapters[site], change.factors, file.name)


@torch.no_grad()
def _take(adapter: Adapter, opened: OpenLora, site: Site) -> None:
    parts = opened.parts(site)
    magnitude = parts.pop("dora_scale", None)
    alpha = opened.alpha(site, parts)
    if alpha is None and "alpha" in parts:
        alpha = float(parts["alpha"])
    if _same_form(adapter, parts, alpha):
        if adapter.form.dora != "none":
            adapter.measure_magnitude()
    else:
        _as_lora(adapter, parts, alpha, opened.file.name, site)
    if magnitude is not None:
        _set_magnitude(adapter, magnitude, opened.file.name)


def _same_form(adapter: Adapter, parts: dict[str, Tensor], alpha: float | None) -> bool:
    """Copy tensors that are the very ones of this adapter; False if they are not."""
    own = {suffix: tensor for suffix, tensor in adapter.tensors.items() if suffix != MAGNITUDE}
    given = {suffix: parts.get(_PARTS.get(suffix, suffix)) for suffix in own}
    if len(parts) - ("alpha" in parts) != len(own):
        return False
    if any(tensor is None or tensor.numel() != own[suffix].numel() for suffix, tensor in given.items()):
        return False
    both_full = {"lokr_w1", "lokr_w2"} <= own.keys()
    scale = 1.0 if both_full else scale_of(alpha, adapter.form.rank) / adapter.scale
    for suffix, tensor in given.items():
        if tensor is not None:
            factor = scale if suffix in STARTS_AT_ZERO else 1.0
            own[suffix].copy_(tensor.float().reshape(own[suffix].shape) * factor)
    return True


def _as_lora(adapter: Adapter, parts: dict[str, Tensor], alpha: float | None, file: str, site: Site) -> None:
    try:
        factors = change_of(parts, site, alpha=alpha).factors
    except ValueError:
        factors = None
    _put(adapter, factors, file)


@torch.no_grad()
def _put(adapter: Adapter, factors: Factors | None, file: str) -> None:
    key, form = adapter.target.key, adapter.form
    if form.kind != "lora" or factors is None:
        raise UsageError(f"{file} holds another kind of adapter at {key}", "set network.type to what the file is")
    if factors.rank > form.rank:
        field = "network.conv_rank" if adapter.target.wide else "network.rank"
        raise UsageError(f"{file} has rank {factors.rank} at {key}, this network {form.rank}", f"raise {field} to that")
    down, up = adapter.tensors["lora_down.weight"], adapter.tensors["lora_up.weight"]
    down[: factors.rank].copy_(factors.down)
    up.zero_()
    up.flatten(1)[:, : factors.rank].copy_(factors.up / adapter.scale)
    if form.dora != "none":
        adapter.measure_magnitude()


def _set_magnitude(adapter: Adapter, magnitude: Tensor, file: str) -> None:
    axis = "input" if magnitude.dim() >= 2 and magnitude.shape[0] == 1 and magnitude.shape[1] > 1 else "output"
    if adapter.form.dora != axis:
        raise UsageError(
            f"{file} is a DoRA along the {axis} axis", f"set network.type to dora and network.dora_axis to {axis}"
        )
    own = adapter.tensors[MAGNITUDE]
    own.copy_(magnitude.float().reshape(own.shape))
