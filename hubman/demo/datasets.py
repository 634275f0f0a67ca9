"""The demo's training images: drawn on the spot, sixty kilobytes in all."""

from __future__ import annotations

import random
from pathlib import Path

from hubman.tinybase.drawing import draw, random_scene
from hubman.tinybase.styles import STYLES

IMAGES = 40


def draw_dataset(folder: Path, style: str, *, images: int = IMAGES, seed: int = 0) -> Path:
    """Draw ``images`` pictures of one of :data:`~hubman.tinybase.styles.STYLES` as PNG files, without captions."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(f"{style}-{seed}")
    for number in range(images):
        draw(random_scene(rng), rng, STYLES[style]).save(folder / f"{style}-{number:02}.png")
    return folder
