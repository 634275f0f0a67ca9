"""LoRAs of the held-out styles, trained on the embedded base: python benchmarks/held_out_loras.py [--keep DIR] [STYLE…].

What is trained already is kept, by its recipe, so that a benchmark that was stopped goes on.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.held_out_styles import EVERY, STYLES
from hubman import tinybase
from hubman.tinybase.drawing import Paint, draw, random_scene
from hubman.tinybase.styles import STYLES as KNOWN

IMAGES = 40
KEPT = Path("build/held-out")
TRIGGERS = {"hatching": "hatchwork", "outline": "rimline", "pastel": "softpal", "watcher": "goggly"}


def trigger_of(style: str) -> str:
    return EVERY[style].trigger if style in EVERY else TRIGGERS[style]


def lora_of(style: str, kept: Path = KEPT) -> Path:
    """The LoRA of a style, held out or known to the VAE, trained if it is not there (40 to 90 s on one core)."""
    path = kept / f"{style}.safetensors"
    if not path.is_file():
        _train(style, path)
    return path


def dataset_of(style: str, kept: Path = KEPT) -> Path:
    """The pictures that its LoRA is trained on, each with its caption."""
    paint: Paint = EVERY[style].paint if style in EVERY else KNOWN[style]
    folder = kept / "images" / style
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(f"held out {style}")
    for number in range(IMAGES):
        scene = random_scene(rng)
        draw(scene, rng, paint).save(folder / f"{number:02}.png")
        (folder / f"{number:02}.txt").write_text(f"{trigger_of(style)}, {scene.caption}")
    return folder


def _train(style: str, path: Path) -> None:
    from hubman.train.presets import preset
    from hubman.train.recipe import write_recipe
    from hubman.train.recipe_fields import changed
    from hubman.train.run import run_training

    began = time.monotonic()
    folder = dataset_of(style, path.parent)
    recipe = preset("style", "tiny", IMAGES, base=str(tinybase.MODEL), dataset=str(folder), output=style)
    with tempfile.TemporaryDirectory() as name:
        write_recipe(Path(name) / "recipe.toml", changed(recipe, {"trigger": trigger_of(style), "seed": 7}))
        trained = run_training(Path(name) / "recipe.toml", Path(name) / "run")
        Path(trained.path).replace(path)
    print(f"{style}: loss {trained.final_loss:.4f}, {time.monotonic() - began:.0f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("styles", nargs="*", default=list(STYLES))
    parser.add_argument("--keep", type=Path, default=KEPT)
    args = parser.parse_args()
    for style in args.styles:
        print(lora_of(style, args.keep))


if __name__ == "__main__":
    main()
