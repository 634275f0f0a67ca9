"""Checkpoints to resume from: the LoRA in fp32 and the optimizer's moments, in one safetensors file each.

No random state is stored: noise, timesteps, captions and the order of images follow from the seed and the step.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import msgspec
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from hubman.train.files import write_atomically
from hubman.train.network import Network
from registry.errors import HubError

KEPT = 2
"""The newest ones; the older of them is there in case the disk lost the newer one."""
_NAME = re.compile(r"step-(\d{8})\.safetensors")
_MOMENTS = ("exp_avg", "exp_avg_sq")


class State(msgspec.Struct, frozen=True, kw_only=True):
    """What a checkpoint says of itself."""

    step: int
    """Steps done."""
    seconds: float
    """Of training so far."""
    started_at: float
    """Unix time of the first step."""
    learning_digest: str
    dataset_fingerprint: str
    base_digest: str
    validation: tuple[float, ...] = ()


@dataclass(frozen=True)
class Checkpoint:
    """A readable checkpoint."""

    state: State
    tensors: dict[str, Tensor]


def save_checkpoint(folder: Path, state: State, network: Network, optimizer: torch.optim.Optimizer) -> None:
    """Write a checkpoint in one step, then remove all but the newest :data:`KEPT`."""
    tensors: dict[str, Tensor] = {}
    for name, parameter in network.named_parameters():
        tensors[name] = parameter.detach().cpu().contiguous()
        moments = optimizer.state.get(parameter, {})
        for moment in _MOMENTS:
            if moment in moments:
                tensors[f"{name}.{moment}"] = moments[moment].detach().cpu().contiguous()
    metadata = {"format": "pt", "hubman.state": msgspec.json.encode(state).decode()}
    write_atomically(folder / f"step-{state.step:08}.safetensors", save(tensors, metadata))
    for old in _files(folder)[KEPT:]:
        old.unlink(missing_ok=True)


def last_checkpoint(folder: Path) -> Checkpoint | None:
    """The newest checkpoint that can be read, or None; a damaged one is passed over."""
    for path in _files(folder):
        try:
            with safe_open(path, framework="pt") as file:
                state = msgspec.json.decode(file.metadata()["hubman.state"], type=State)
                return Checkpoint(state, {name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118  not a dict
        except (OSError, SafetensorError, KeyError, TypeError, msgspec.DecodeError):
            continue
    return None


def restore(checkpoint: Checkpoint, network: Network, optimizer: torch.optim.Optimizer) -> None:
    """Put the LoRA and the optimizer back to where they were. Raises HubError if the tensors do not fit."""
    try:
        network.load(checkpoint.tensors)
        for name, parameter in network.named_parameters():
            if f"{name}.{_MOMENTS[0]}" in checkpoint.tensors:
                moments = {each: checkpoint.tensors[f"{name}.{each}"].to(parameter.device) for each in _MOMENTS}
                # A fused optimizer counts where its parameters are.
                home = parameter.device if optimizer.defaults["fused"] else None
                step = torch.tensor(float(checkpoint.state.step), device=home)
                optimizer.state[parameter] = {"step": step, **moments}
    except (KeyError, RuntimeError) as error:
        raise HubError("the checkpoint does not fit this network", "start the training anew") from error


def check_same(state: State, *, learning_digest: str, dataset_fingerprint: str, base_digest: str) -> None:
    """Refuse to resume what has changed since. Raises HubError naming it."""
    changed = {
        "recipe": state.learning_digest != learning_digest,
        "dataset": state.dataset_fingerprint != dataset_fingerprint,
        "base model": state.base_digest != base_digest,
    }
    names = [name for name, different in changed.items() if different]
    if names:
        raise HubError(f"the {' and the '.join(names)} changed since the checkpoint", "undo the change, or start anew")


def _files(folder: Path) -> list[Path]:
    """Checkpoints, newest first."""
    if not folder.is_dir():
        return []
    return sorted((path for path in folder.iterdir() if _NAME.fullmatch(path.name)), reverse=True)
