"""Writing a LoRA in kohya's format: every program loads it, and what was written is read back before it counts."""

from __future__ import annotations

import hashlib
import math
import random
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from safetensors.torch import load, save
from torch import Tensor

from hubman.train.files import write_atomically
from hubman.train.metadata import Origin, metadata
from hubman.train.network import Network
from hubman.train.settings.run import FileDtype
from registry.errors import DamagedFileError, HubError

DTYPES: dict[FileDtype, torch.dtype] = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}
_WINDOW = slice(0x100000, 0x110000)
_COMPARED = 3
_TOLERANCE: dict[FileDtype, float] = {"fp16": 2e-3, "bf16": 2e-2, "fp32": 1e-6}


@dataclass(frozen=True)
class Written:
    """A file that was read back and holds what the network holds."""

    path: Path
    sha256: str
    size: int
    modules: int
    delta_norm: float
    """0: the LoRA does nothing."""


def write_lora(path: Path, network: Network, origin: Origin) -> Written:
    """Write ``network`` to ``path`` in one step and read it back.

    Raises HubError for non-finite values (nothing is written then), DamagedFileError if the disk gives back others.
    """
    dtype = origin.recipe.file.dtype
    content = serialise(_tensors(network, DTYPES[dtype]), metadata(origin))
    write_atomically(path, content)
    _read_back(path, network, dtype)
    return Written(path, hashlib.sha256(content).hexdigest(), len(content), len(network.layers), network.delta_norm())


def serialise(tensors: dict[str, Tensor], entries: dict[str, str]) -> bytes:
    """A safetensors file with the hashes that kohya's scripts and Civitai use added to its metadata."""
    training_only = {name: value for name, value in entries.items() if name.startswith("ss_")}
    plain = save(tensors, training_only)
    data = hashlib.sha256(memoryview(plain)[8 + int.from_bytes(plain[:8], "little") :]).hexdigest()
    hashes = {
        "sshs_model_hash": data,
        # Of this serialisation, not of the final file: that is what sd-scripts does.
        "sshs_legacy_hash": hashlib.sha256(plain[_WINDOW]).hexdigest()[:8],
        "modelspec.hash_sha256": f"0x{data}",
    }
    content: bytes = save(tensors, {**entries, **hashes})
    return content


@cache
def file_hashes(path: Path) -> tuple[str, str]:
    """``ss_sd_model_hash`` (8 digits, of a window) and ``ss_new_sd_model_hash`` (SHA-256) of a single-file base."""
    with path.open("rb") as file:
        file.seek(_WINDOW.start)
        window = hashlib.sha256(file.read(_WINDOW.stop - _WINDOW.start)).hexdigest()[:8]
        file.seek(0)
        return window, hashlib.file_digest(file, "sha256").hexdigest()


def _tensors(network: Network, dtype: torch.dtype) -> dict[str, Tensor]:
    tensors = {}
    for key, layer in network.layers.items():
        parts = {"lora_down.weight": layer.down, "lora_up.weight": layer.up, "alpha": torch.tensor(layer.alpha)}
        for suffix, tensor in parts.items():
            cast = tensor.detach().to("cpu", dtype).contiguous()
            if not bool(torch.isfinite(cast).all()):
                raise HubError(f"{key}.{suffix} is not finite", "train anew at a lower rate, or write the file in fp32")
            tensors[f"{key}.{suffix}"] = cast
    return tensors


def _read_back(path: Path, network: Network, dtype: FileDtype) -> None:
    tensors = load(path.read_bytes())
    modules = {name.rpartition(".lora_down")[0] for name in tensors if name.endswith(".lora_down.weight")}
    if modules != network.layers.keys() or len(tensors) != 3 * len(modules):
        raise DamagedFileError(f"{path.name} does not hold what was written", "check the disk and export again")
    for key in random.sample(sorted(modules), min(_COMPARED, len(modules))):
        layer = network.layers[key]
        down, up = tensors[f"{key}.lora_down.weight"].float(), tensors[f"{key}.lora_up.weight"].float()
        delta = up.flatten(1) @ down.flatten(1) * (float(tensors[f"{key}.alpha"]) / down.shape[0])
        wanted = layer.delta().cpu().flatten(1)
        # Products of tiny factors may vanish in fp16: compare with what the factors' size allows.
        factors = float(layer.up.detach().norm() * layer.down.detach().norm())
        allowed = _TOLERANCE[dtype] * layer.scale * factors + 1e-7 * math.sqrt(delta.numel())
        if float((delta - wanted).norm()) > allowed:
            raise DamagedFileError(
                f"{path.name}: {key} differs from what was trained", "check the disk and export again"
            )
