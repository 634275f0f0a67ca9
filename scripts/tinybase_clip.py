"""Train the embedded base's CLIP image tower: python scripts/tinybase_clip.py --out DIR, after tinybase_text.py.

The text tower in DIR is frozen (the UNet depends on it); the two projections and the image tower learn contrastively.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from muon import Optimizer
from tinybase_text import phrase
from transformers import CLIPModel, CLIPTokenizer

from hubman.tinybase.drawing import Scene, draw, paint_plain, random_scene, split_combinations
from hubman.tinybase.styles import STYLES

MEAN, STD = 0.5, 0.5


def _pictures(job: tuple[int, int]) -> tuple[np.ndarray, list[tuple[Scene, str]]]:
    seed, count = job
    rng = random.Random(seed)
    combinations, _ = split_combinations()
    pictures, scenes = [], []
    for _ in range(count):
        scene = random_scene(rng, combinations)
        style = rng.choice(list(STYLES)) if rng.random() < 0.25 else ""
        pictures.append(np.asarray(draw(scene, rng, STYLES.get(style, paint_plain))))
        scenes.append((scene, style))
    return np.stack(pictures), scenes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--pool", type=int, default=10_000)
    parser.add_argument("--batch", type=int, default=192)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    rng = random.Random(args.seed)
    with ProcessPoolExecutor(args.threads) as pool:
        parts = list(pool.map(_pictures, [(args.seed * 10_000 + 500 + i, 250) for i in range(args.pool // 250)]))
    pictures = torch.from_numpy(np.concatenate([part[0] for part in parts])).permute(0, 3, 1, 2)
    scenes = [scene for part in parts for scene in part[1]]
    tokenizer = CLIPTokenizer.from_pretrained(args.out)
    clip = CLIPModel.from_pretrained(args.out).train()
    clip.text_model.requires_grad_(False)
    optimizer = Optimizer(clip, args.steps, lr=0.02, adam_lr=1e-3, not_matrices=("embedding", "projection"))
    started = time.monotonic()
    for step in range(args.steps):
        rows = [rng.randrange(len(scenes)) for _ in range(args.batch)]
        texts = []
        for row in rows:
            scene, style = scenes[row]
            texts.append(phrase(scene, rng, style if rng.random() < 0.5 else ""))
        # Attention is causal and the end token is what is read, so padding to the longest text changes nothing.
        tokens = tokenizer(texts, padding=True, max_length=77, truncation=True, return_tensors="pt")
        pixels = (pictures[rows].float() / 255 - MEAN) / STD
        with torch.autocast("cpu", torch.bfloat16):
            out = clip(input_ids=tokens.input_ids, pixel_values=pixels)
        logits = out.logits_per_image.float()
        # Pictures of one caption are all right answers to it.
        same = torch.tensor([[a == b for b in texts] for a in texts], dtype=torch.float32)
        target = same / same.sum(1, keepdim=True)
        loss = (F.cross_entropy(logits, target) + F.cross_entropy(logits.t(), target)) / 2
        optimizer.step(loss)
        with torch.no_grad():
            clip.logit_scale.clamp_(max=4.6)
        if step % 50 == 0 or step == args.steps - 1:
            hit = (logits.argmax(1) == torch.arange(len(rows))).float().mean()
            print(f"{step} loss {loss.item():.3f} top1 {hit:.3f} {time.monotonic() - started:.0f} s", flush=True)
        if step % 300 == 299:
            clip.save_pretrained(args.out)
    clip.eval().half().save_pretrained(args.out)
    processor = {
        "image_processor_type": "CLIPImageProcessor", "do_resize": True, "size": {"shortest_edge": 64}, "do_center_crop": True,
        "crop_size": {"height": 64, "width": 64}, "do_normalize": True, "image_mean": [MEAN] * 3, "image_std": [STD] * 3,
        "do_rescale": True, "do_convert_rgb": True, "resample": 3,
    }  # fmt: skip
    (args.out / "preprocessor_config.json").write_text(json.dumps(processor, indent=1))


if __name__ == "__main__":
    main()
