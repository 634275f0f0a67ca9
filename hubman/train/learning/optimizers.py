"""Optimizers by a short name or by the path of their class.

A short name stands for a class of a library and for what LoRAs want of it; everything else of a recipe's arguments goes
to the class as it is.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from registry.errors import MissingExtraError, UsageError


@dataclass(frozen=True)
class Group:
    """Tensors that learn at one rate."""

    name: str
    parameters: Sequence[Tensor]
    rate: float


@dataclass(frozen=True)
class _Known:
    """What a short name stands for."""

    path: str
    defaults: Mapping[str, Any] = field(default_factory=dict)
    install: str = "pip install 'hubman[ml]'"


KNOWN: dict[str, _Known] = {
    "adamw": _Known("torch.optim.AdamW"),
    "adamw8bit": _Known("bitsandbytes.optim.AdamW8bit", install="pip install bitsandbytes, or choose adamw"),
    # The betas that its users settled on. Its bias correction, which its authors advise, is left off: on the embedded
    # base its d then stays fifty times smaller, and 80 steps teach nothing.
    "prodigy": _Known("pytorch_optimizer.Prodigy", {"betas": (0.9, 0.99)}),
    # Without these three it makes its own rates, and the recipe's would not count.
    "adafactor": _Known(
        "transformers.optimization.Adafactor",
        {"scale_parameter": False, "relative_step": False, "warmup_init": False},
    ),
    "lion": _Known("pytorch_optimizer.Lion"),
}

STUCK = 1e-6
"""A Prodigy whose estimate is no larger than this after 5 % of the steps, but at least 20, does not learn."""
STUCK_SHARE, STUCK_STEPS = 0.05, 20


def class_path(name: str) -> str:
    """The dotted path of the class that ``name`` stands for, as the class itself says. Raises as :func:`make_optimizer`."""
    found = _class_at(_known(name))
    return f"{found.__module__}.{found.__qualname__}"


def make_optimizer(
    name: str, groups: Sequence[Group], device: torch.device, *, weight_decay: float, arguments: Mapping[str, Any]
) -> torch.optim.Optimizer:
    """An optimizer over ``groups``, each with its full rate as ``base_lr``.

    ``name`` is one of :data:`KNOWN` or a class's path; ``arguments`` replace what the short name sets. Raises
    UsageError for a name that is no optimizer and for arguments that it does not take, MissingExtraError for a
    library that is not there.
    """
    known = _known(name)
    if name == "adamw8bit" and device.type != "cuda":
        raise UsageError("the 8-bit AdamW needs a CUDA card", "choose adamw")
    made: Callable[..., torch.optim.Optimizer] = _class_at(known)
    options: dict[str, Any] = {"weight_decay": weight_decay, **known.defaults, **arguments}
    if made is torch.optim.AdamW:
        options = {"fused": device.type in ("cpu", "cuda"), **options}
    parameters = [
        {"params": list(group.parameters), "lr": group.rate, "base_lr": group.rate, "name": group.name}
        for group in groups
        if group.parameters
    ]
    try:
        # Some classes insist on a rate of their own beside those of the groups.
        return made(parameters, lr=max(group.rate for group in groups), **options)
    except (TypeError, ValueError) as error:
        raise UsageError(f"optimizer {name}: {error}", "see what its class takes, and change its arguments") from error


def estimate(optimizer: torch.optim.Optimizer) -> float | None:
    """The step size ``d`` that Prodigy and its relatives have found, None for an optimizer that does not look for one."""
    group = optimizer.param_groups[0]
    return float(group["d"]) if "d" in group and "d0" in group else None


def is_stuck(optimizer: torch.optim.Optimizer, step: int, steps: int) -> bool:
    """Whether the estimate should have risen by ``step`` of ``steps`` and has not."""
    found = estimate(optimizer)
    if found is None or step < max(STUCK_SHARE * steps, STUCK_STEPS):
        return False
    return found <= max(STUCK, float(optimizer.param_groups[0]["d0"]))


def _known(name: str) -> _Known:
    return KNOWN.get(name, _Known(name, install="install the package that has it, or choose another optimizer"))


def _class_at(known: _Known) -> type[torch.optim.Optimizer]:
    module, _, name = known.path.rpartition(".")
    if not module:
        raise UsageError(f"there is no optimizer {known.path!r}", f"choose one of {', '.join(KNOWN)}, or module.Class")
    try:
        found = getattr(importlib.import_module(module), name, None)
    except ImportError as error:
        raise MissingExtraError(f"the optimizer {known.path} is not installed", known.install) from error
    if not (isinstance(found, type) and issubclass(found, torch.optim.Optimizer)):
        raise UsageError(f"{known.path} is no torch optimizer", "give the path of a class of torch.optim's kind")
    return found
