"""Reading a written LoRA back through the code that draws: names, shapes, values, and whether it does anything."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from hubman.lora.load import open_lora
from hubman.lora.writing import FileDtype
from hubman.train.adapters.network import MAGNITUDE, STARTS_AT_ZERO, Adapter, Network
from hubman.train.adapters.network_sites import names, places
from registry.errors import DamagedFileError

_COMPARED = 3
_ROUNDING = 1e-5
_TOLERANCE: dict[FileDtype, float] = {"fp16": 2e-3, "bf16": 2e-2, "fp32": 1e-6}


@dataclass(frozen=True)
class Check:
    """What the file holds."""

    modules: int
    delta_norm: float
    """Frobenius norm of the whole change."""
    norms: dict[str, float]
    """The same of each component: ``unet``, ``transformer``, ``text_encoder``, …"""
    idle: tuple[str, ...]
    """Keys of modules that change nothing."""


def check_file(path: Path, network: Network, dtype: FileDtype, *, compare: bool = True) -> Check:
    """Open ``path`` as the generation engine would, for the base that ``network`` hangs in.

    With ``compare`` the changes of some modules must be those of the network. Raises DamagedFileError where the file
    does not hold the network's modules or other values, HubError where it does not fit the base.
    """
    where = places(network)
    adapters = {site: network.layers[key] for key, site in where.items()}
    chosen = set(random.sample(sorted(network.layers), min(_COMPARED, len(network.layers))) if compare else ())
    sizes: dict[str, float] = {}
    with open_lora(path, names(network), base="the base", weight_of=lambda site: _frozen(adapters[site])) as file:
        if set(file.resolved.modules) != set(adapters) or file.resolved.coverage.share < 1:
            raise DamagedFileError(f"{path.name} does not hold what was written", "check the disk and export again")
        for key, site in where.items():
            change = file.change(site)
            sizes[key] = 0.0 if _is_untouched(network.layers[key]) else change.size()
            if key in chosen and change.factors:
                _compare(change.factors.delta(), network.layers[key], dtype, f"{path.name}: {key}")
    parts: dict[str, list[float]] = {}
    for key, size in sizes.items():
        parts.setdefault(where[key].component, []).append(size)
    norms = {component: math.hypot(*own) for component, own in parts.items()}
    return Check(len(sizes), math.hypot(*norms.values()), norms, tuple(key for key, size in sizes.items() if not size))


def _is_untouched(adapter: Adapter) -> bool:
    """Whether a DoRA has learned nothing; its magnitudes, rounded in the file, seem to change the weight a little."""
    starts = [tensor for suffix, tensor in adapter.tensors.items() if suffix in STARTS_AT_ZERO]
    if adapter.form.dora == "none" or any(bool(tensor.any()) for tensor in starts):
        return False
    return float(adapter.delta().norm()) <= _ROUNDING * float(adapter.base.weight.norm())


def _compare(delta: Tensor, adapter: Adapter, dtype: FileDtype, what: str) -> None:
    wanted = adapter.delta().cpu()
    # Products of tiny factors may vanish in fp16: compare with what the factors' size allows.
    tensors = adapter.file_tensors()
    magnitude = tensors.pop(MAGNITUDE, None)
    factors = math.prod(float(tensor.norm()) for suffix, tensor in tensors.items() if suffix != "alpha")
    size = adapter.scale * factors + (0.0 if magnitude is None else float(magnitude.norm()))
    if float((delta - wanted).norm()) > _TOLERANCE[dtype] * size + 1e-7 * math.sqrt(delta.numel()):
        raise DamagedFileError(f"{what} differs from what was trained", "check the disk and export again")


def _frozen(adapter: Adapter) -> Tensor:
    return adapter.base.weight.detach().cpu()
