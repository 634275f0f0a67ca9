"""Writing a LoRA in kohya's format: every program loads it, and what was written is read back before it counts."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from hubman.lora.reduce import low_rank
from hubman.lora.writing import LEGACY_WINDOW, cast, serialise
from hubman.train.adapters.network import Network
from hubman.train.files import write_atomically
from hubman.train.output.metadata import Origin, metadata
from hubman.train.output.self_check import check_file

_WELL_KEPT = 0.95


@dataclass(frozen=True)
class Written:
    """A file that was read back and holds what the network holds."""

    path: Path
    sha256: str
    size: int
    modules: int
    """As many as the generation engine found a place for in the base."""
    delta_norm: float
    """Frobenius norm of the weights' change as the file has it; 0: the LoRA does nothing."""
    norms: Mapping[str, float] = field(default_factory=dict)
    """The same of each component."""
    idle: tuple[str, ...] = ()
    """Modules that change nothing."""
    kept: float = 1.0
    """Share of the change's energy that baking to a lower rank kept."""

    def sentence(self) -> str:
        """What reading it back found."""
        sizes = ", ".join(f"{component} {norm:.4g}" for component, norm in self.norms.items())
        return f"read back: {self.modules} modules, size of the change: {sizes or 0}"

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a person must know of it."""
        found = []
        if not self.delta_norm:
            found.append("the LoRA changes nothing: its weights are still zero; train longer or at a higher rate")
        elif self.idle:
            found.append(f"{len(self.idle)} of {self.modules} modules change nothing, first {self.idle[0]}")
        if self.kept < _WELL_KEPT:
            found.append(f"baking kept {self.kept:.0%} of the change: a higher file.bake_rank keeps more")
        return tuple(found)


def write_lora(path: Path, network: Network, origin: Origin) -> Written:
    """Write ``network`` to ``path`` in one step and read it back with the code that draws.

    Raises HubError for non-finite values (nothing is written then), DamagedFileError if the disk gives back others.
    """
    settings = origin.recipe.file
    rank = settings.bake_rank
    tensors, kept = _baked(network, rank) if rank else (_as_trained(network), 1.0)
    content = serialise(cast(tensors, settings.dtype), metadata(origin))
    write_atomically(path, content)
    check = check_file(path, network, settings.dtype, compare=not rank)
    digest = hashlib.sha256(content).hexdigest()
    return Written(path, digest, len(content), check.modules, check.delta_norm, check.norms, check.idle, kept)


def file_hashes(path: Path) -> tuple[str, str]:
    """``ss_sd_model_hash`` (8 digits, of a window) and ``ss_new_sd_model_hash`` (SHA-256) of a single-file base.

    Reads a file once as long as its size and time stay the same.
    """
    status = path.stat()
    return _file_hashes(path, status.st_size, status.st_mtime_ns)


@cache
def _file_hashes(path: Path, _size: int, _mtime_ns: int) -> tuple[str, str]:
    with path.open("rb") as file:
        file.seek(LEGACY_WINDOW.start)
        window = hashlib.sha256(file.read(LEGACY_WINDOW.stop - LEGACY_WINDOW.start)).hexdigest()[:8]
        file.seek(0)
        return window, hashlib.file_digest(file, "sha256").hexdigest()


def _as_trained(network: Network) -> dict[str, Tensor]:
    return {
        f"{key}.{suffix}": tensor
        for key, adapter in network.layers.items()
        for suffix, tensor in adapter.file_tensors().items()
    }


def _baked(network: Network, rank: int) -> tuple[dict[str, Tensor], float]:
    """W' - W of each module as plain LoRA with alpha = rank, and the share of energy that this kept of all of it."""
    tensors: dict[str, Tensor] = {}
    whole = kept = 0.0
    for key, adapter in network.layers.items():
        delta = adapter.delta().cpu()
        down, up, share = low_rank(delta, rank)
        ones = [1] * (delta.dim() - 2)
        tensors[f"{key}.lora_down.weight"] = down
        tensors[f"{key}.lora_up.weight"] = up.reshape(*up.shape, *ones)
        tensors[f"{key}.alpha"] = torch.tensor(float(down.shape[0]))
        energy = float(delta.double().square().sum())
        whole, kept = whole + energy, kept + share * energy
    return tensors, kept / whole if whole else 1.0
