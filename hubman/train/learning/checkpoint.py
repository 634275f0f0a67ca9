"""Checkpoints to resume from: named parts of a training's state, such as the network and the optimizer, in one file each.

No random state is stored: noise, timesteps, captions and the order of images follow from the seed and the step.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from hubman.train.adapters.network import Network
from hubman.train.capacity.ladder import Rung
from hubman.train.files import write_atomically
from hubman.train.learning.ema import Ema
from hubman.train.learning.state_tree import flatten, restore_tree
from registry.errors import HubError

KEPT = 2
"""The newest ones; the older of them is there in case the disk lost the newer one."""
_NAME = re.compile(r"step-(\d{8})\.safetensors")
_STATE, _TREE = "hubman.state", "hubman.parts"


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
    rung: Rung = Rung()
    """What was given up for memory."""
    compiled: bool = False
    """Whether blocks were compiled, which changes the last bits."""


@dataclass(frozen=True)
class Checkpoint:
    """A readable checkpoint."""

    state: State
    parts: dict[str, Any]
    """By name, each as it was given to :func:`save_checkpoint`, tensors on the CPU."""


def save_checkpoint(folder: Path, state: State, parts: Mapping[str, Any]) -> None:
    """Write a checkpoint in one step, then remove all but the newest :data:`KEPT`.

    A part is any nested state that :func:`~hubman.train.learning.state_tree.flatten` takes, such as a ``state_dict``. Raises
    HubError where the part ``network`` is not finite: the checkpoints that there are stay as they are.
    """
    if not _is_finite(parts.get("network", {})):
        # The loss was still finite: it is from before the update, and only the gradients were not.
        hint = "start anew with lower optimizer.unet_lr and text_lr, or in fp32; the last checkpoint is from before"
        raise HubError(f"the weights are not finite after step {state.step}", hint)
    tensors, tree = flatten(parts)
    metadata = {"format": "pt", _STATE: msgspec.json.encode(state).decode(), _TREE: tree}
    write_atomically(folder / f"step-{state.step:08}.safetensors", save(tensors, metadata))
    for old in _files(folder)[KEPT:]:
        old.unlink(missing_ok=True)


def last_checkpoint(folder: Path) -> Checkpoint | None:
    """The newest checkpoint that can be read, or None; a damaged one is passed over."""
    for path in _files(folder):
        try:
            with safe_open(path, framework="pt") as file:
                notes = file.metadata()
                state = msgspec.json.decode(notes[_STATE], type=State)
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  not a dict
                return Checkpoint(state, restore_tree(tensors, notes[_TREE]))
        except (OSError, SafetensorError, KeyError, TypeError, ValueError):
            continue
    return None


def network_part(network: Network) -> dict[str, Tensor]:
    """The trained tensors by name, in fp32."""
    return {name: parameter.detach() for name, parameter in network.named_parameters()}


def restore(checkpoint: Checkpoint, network: Network, optimizer: torch.optim.Optimizer, ema: Ema | None = None) -> None:
    """Put the parts ``network``, ``optimizer`` and ``ema`` back. Raises HubError if they do not fit."""
    try:
        network.load(checkpoint.parts["network"])
        optimizer.load_state_dict(checkpoint.parts["optimizer"])
        if ema:
            ema.load_state_dict(checkpoint.parts["ema"])
    except (KeyError, RuntimeError, ValueError, TypeError) as error:
        raise HubError("the checkpoint does not fit this network", "start the training anew") from error


def _is_finite(tensors: Mapping[str, Tensor]) -> bool:
    return all(bool(torch.isfinite(tensor).all()) for tensor in tensors.values())


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
