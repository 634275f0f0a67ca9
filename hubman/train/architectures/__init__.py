"""One adapter for each architecture; which one a base needs is read off the base, never asked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hubman.train.architectures.detect import Detected, Kind, detect
from registry.errors import UsageError

if TYPE_CHECKING:
    import torch

    from hubman.train.architectures.model import Model
    from hubman.train.recipe import Recipe

KINDS: dict[str, Kind] = {
    "tiny": "sd",
    "sd15": "sd",
    "sd2": "sd",
    "sdxl": "sdxl",
    "pony": "sdxl",
    "illustrious": "sdxl",
    "noobai": "sdxl",
    "flux": "flux",
    "sd35": "sd3",
    "zimage": "zimage",
    "zimage_turbo": "zimage",
}
"""The adapter of each family that presets know."""

_ADAPTERS: dict[Kind, tuple[str, str]] = {
    "sd": ("stable_diffusion", "StableDiffusion"),
    "sdxl": ("sdxl", "StableDiffusionXL"),
    "flux": ("flux", "Flux"),
    "sd3": ("sd3", "StableDiffusion3"),
    "zimage": ("zimage", "ZImage"),
}
"""Module and class, imported when needed: they bring torch."""


def load(recipe: Recipe, device: torch.device) -> Model:
    """Load the recipe's base with frozen weights, for training.

    Raises UsageError when the base is of another architecture than the recipe was made for, and what
    :func:`~hubman.train.architectures.opening.open_base` raises.
    """
    import torch

    path = Path(recipe.base)
    detected = detect(path)
    if KINDS.get(recipe.family) != detected.kind:
        raise UsageError(
            f"the recipe is for {recipe.family}, but {path.name} is of the family {detected.family}",
            f"make a recipe of the family {detected.family}, or choose another base",
        )
    return load_model(path, device, torch.bfloat16 if recipe.machine.dtype == "bf16" else torch.float32, mixed=True)


def load_model(
    path: Path, device: torch.device, dtype: torch.dtype, *, mixed: bool, layout: Path | None = None
) -> Model:
    """Load the base at ``path`` with the adapter of its kind. See ``Model`` and ``opening.open_base``."""
    from hubman.train.architectures.opening import open_base

    parts = open_base(path, dtype, layout)
    return adapter_of(parts.detected)(parts, device, dtype, mixed=mixed)


def adapter_of(detected: Detected) -> type[Model]:
    """The adapter for what was detected."""
    from importlib import import_module

    module, name = _ADAPTERS[detected.kind]
    adapter: type[Model] = getattr(import_module(f"hubman.train.architectures.{module}"), name)
    return adapter
