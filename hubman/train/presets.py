"""Recipes to start from, by what is taught, to which family of base models, and from how many images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hubman.train.architectures.detect import detect
from hubman.train.families import FAMILIES
from hubman.train.recipe import Kind, Recipe
from hubman.train.recipe_fields import changed
from registry.errors import HubError, UsageError

SHOWINGS: dict[Kind, tuple[int, int, int]] = {
    "character": (1250, 1750, 2250),
    "style": (1500, 2250, 3500),
    "concept": (1200, 2000, 2750),
}
"""How often images are shown in all, for sets below 20, below 50 and up to 100 images."""

FEW = 20
"""Sets below it get the recipe for small sets."""


def preset(
    kind: Kind, family: str, image_count: int, *, base: str = "", dataset: str = "", output: str = "lora"
) -> Recipe:
    """A recipe for ``image_count`` images; each field's own reason says why. Raises UsageError for an unknown family."""
    if family not in FAMILIES:
        raise UsageError(f"no presets for the family {family!r}", f"known are {', '.join(FAMILIES)}")
    own = FAMILIES[family]
    values = {**own.values, **own.kinds[kind]}
    shown_together = values.get("length.batch", 1) * values.get("length.accumulate", 1)
    steps = max(1, round(showings(kind, image_count) / shown_together))
    values = {"length.steps": steps, **values}
    if image_count < FEW:
        values |= _for_few_images(values)
    values |= _for_base(base)
    values["length.epochs"] = min(5, values["length.steps"])
    recipe = Recipe(base=base, dataset=dataset, output=output, kind=kind, family=family)
    return changed(recipe, values)


def showings(kind: Kind, image_count: int) -> int:
    """How often images should be shown in all: images x repeats x epochs = steps x batch."""
    few, some, many = SHOWINGS[kind]
    if image_count < FEW:
        return few
    if image_count < 50:
        return some
    return many if image_count <= 100 else max(many, 2500 + 10 * (image_count - 100))


def _for_few_images(values: dict[str, Any]) -> dict[str, Any]:
    """A small set is learned by heart: half the rank, twice the dropout of captions."""
    rank, alpha = values["network.rank"], values["network.alpha"]
    small = {"network.rank": max(4, rank // 2), "network.alpha": max(alpha / 2, 1.0)} if rank > 8 else {}
    return {**small, "captions.dropout": 0.1, "watch.save_every": 200}


def _for_base(base: str) -> dict[str, Any]:
    """Where the last timestep is pure noise, min-SNR would give it no weight."""
    try:
        ends_in_noise = bool(base) and detect(Path(base)).zero_terminal_snr
    except HubError:
        return {}
    return {"loss.min_snr_gamma": 0.0} if ends_in_noise else {}
