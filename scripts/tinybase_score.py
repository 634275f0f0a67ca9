"""Score the embedded base on held-out combinations: python scripts/tinybase_score.py --model DIR [--sheet PNG]."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import torch
from diffusers import StableDiffusionPipeline
from PIL import Image

from hubman.tinybase.score import held_out_scenes, score


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--steps", type=int, default=16)
    parser.add_argument("--guidance", type=float, default=3.0)
    parser.add_argument("--sheet", type=Path)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    pipeline = StableDiffusionPipeline.from_pretrained(args.model, safety_checker=None, dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    scenes, pictures = held_out_scenes(args.count), []
    started = time.monotonic()
    for first in range(0, len(scenes), 20):
        part = scenes[first : first + 20]
        generators = [torch.Generator().manual_seed(first + i) for i in range(len(part))]
        pictures += pipeline(
            [scene.caption for scene in part],
            num_inference_steps=args.steps,
            guidance_scale=args.guidance,
            generator=generators,
        ).images
    result = score(pictures, scenes) | {"prompts": len(scenes), "steps": args.steps, "guidance": args.guidance}
    print(json.dumps(result), f"{(time.monotonic() - started) / len(scenes):.2f} s a picture")
    if args.json:
        args.json.write_text(json.dumps(result, indent=1) + "\n")
    if args.sheet:
        sheet = Image.new("RGB", (16 * 66, 6 * 66))
        for i, picture in enumerate(pictures[:96]):
            sheet.paste(picture, ((i % 16) * 66, (i // 16) * 66))
        sheet.save(args.sheet)


if __name__ == "__main__":
    main()
