"""How well the embedded base draws what a prompt says: combinations that it never saw, judged by rules."""

from __future__ import annotations

import random
from collections.abc import Sequence

from PIL import Image

from hubman.tinybase.checker import look
from hubman.tinybase.drawing import SIZES, Scene, split_combinations


def held_out_scenes(count: int) -> list[Scene]:
    """The first ``count`` of the scenes that no training of the base saw, in all sizes and a fixed order."""
    _, held_out = split_combinations()
    every = [Scene(*combination, size) for combination in held_out for size in SIZES]
    random.Random(11).shuffle(every)
    return every[:count]


def score(pictures: Sequence[Image.Image], scenes: Sequence[Scene]) -> dict[str, float]:
    """The shares (0 to 1) of pictures with the right shape, colour and background, and with all three."""
    pairs = [(look(picture), scene) for picture, scene in zip(pictures, scenes, strict=True)]
    right = {
        "shape": [seen.shape == scene.shape for seen, scene in pairs],
        "colour": [seen.colour == scene.colour for seen, scene in pairs],
        "background": [seen.background == scene.background for seen, scene in pairs],
    }
    right["all"] = [all(each) for each in zip(*right.values(), strict=True)]
    return {name: round(sum(values) / len(values), 4) for name, values in right.items()}
