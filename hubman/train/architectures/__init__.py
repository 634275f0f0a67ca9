"""One adapter for each architecture that can be trained; :func:`load` picks it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from registry.errors import UsageError

if TYPE_CHECKING:
    import torch

    from hubman.train.architectures.base import Architecture
    from hubman.train.recipe import Recipe

TRAINABLE = ("tiny", "sd15", "sd2")


def load(recipe: Recipe, device: torch.device) -> Architecture:
    """Load the recipe's base with frozen weights. Raises UsageError for a family that has no adapter."""
    if recipe.family not in TRAINABLE:
        raise UsageError(f"family {recipe.family!r} cannot be trained", f"choose one of {', '.join(TRAINABLE)}")
    from hubman.train.architectures.stable_diffusion import StableDiffusion

    return StableDiffusion.load(Path(recipe.base), recipe.family, device, recipe.machine.dtype)
