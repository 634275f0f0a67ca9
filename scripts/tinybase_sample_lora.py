"""Train the LoRA that the demo's sandbox offers: python scripts/tinybase_sample_lora.py --out FILE."""

from __future__ import annotations

import argparse
import random
import shutil
import tempfile
from pathlib import Path

from hubman import tinybase
from hubman.tinybase.drawing import draw, random_scene
from hubman.tinybase.styles import STYLES
from hubman.train.presets import preset
from hubman.train.recipe import write_recipe
from hubman.train.recipe_fields import changed
from hubman.train.run import run_training

IMAGES = 40


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=tinybase.SAMPLE_LORA)
    parser.add_argument("--rank", type=int, default=4)
    args = parser.parse_args()
    rng = random.Random(3)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number in range(IMAGES):
            scene = random_scene(rng)
            draw(scene, rng, STYLES["hatching"]).save(folder / f"{number:02}.png")
            (folder / f"{number:02}.txt").write_text(f"hatchwork, {scene.caption}")
        recipe = preset(
            "style", "tiny", IMAGES, base=str(tinybase.MODEL), dataset=str(folder), output=tinybase.SAMPLE_LORA.stem
        )
        recipe = changed(
            recipe,
            {"trigger": "hatchwork", "network.rank": args.rank, "network.alpha": float(args.rank), "seed": 5},
        )
        write_recipe(folder / "recipe.toml", recipe)
        result = run_training(folder / "recipe.toml", folder / "run")
        shutil.copyfile(result.path, args.out)
        print(args.out, result.sha256, f"loss {result.final_loss:.4f}", f"{result.seconds:.0f} s")


if __name__ == "__main__":
    main()
