"""A training of a few steps on a tiny real pipeline, for tests of what happens around its steps."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from hubman.tinybase.drawing import draw, random_scene
from hubman.tinybase.styles import STYLES
from hubman.train import recipe_fields
from hubman.train.presets import preset
from hubman.train.recipe import Recipe
from tests.support.tiny_pipeline import make_tiny_pipeline


def short_recipe(folder: Path, *, images: int = 6, **fields: Any) -> Recipe:
    """Draw ``images`` captioned pictures and a base into ``folder``; ``fields`` are paths with ``__`` for the dot."""
    data = folder / "data"
    data.mkdir(parents=True)
    rng = random.Random(0)
    for i in range(images):
        scene = random_scene(rng)
        draw(scene, rng, STYLES["hatching"]).save(data / f"{i}.png")
        (data / f"{i}.txt").write_text(scene.caption)
    base = make_tiny_pipeline(folder / "base")
    start = preset("style", "tiny", images, base=str(base), dataset=str(data), output="short")
    values = {
        "length.steps": 4, "length.epochs": 1, "length.batch": 4, "network.rank": 2, "network.conv_rank": 0,
        "network.conv_alpha": 0.0, "watch.samples": 0, "watch.validation_images": 0, "watch.save_every": 0,
    }  # fmt: skip
    return recipe_fields.changed(
        start, {**values, **{name.replace("__", "."): value for name, value in fields.items()}}
    )


def with_fields(recipe: Recipe, **fields: Any) -> Recipe:
    """``recipe`` with other values; paths are written with ``__`` for the dot."""
    return recipe_fields.changed(recipe, {name.replace("__", "."): value for name, value in fields.items()})
