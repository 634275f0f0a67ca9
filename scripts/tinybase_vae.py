"""Train the embedded base's VAE: python scripts/tinybase_vae.py --out DIR [--steps N] [--seed S]."""

from __future__ import annotations

import argparse
import math
import random
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from muon import Optimizer

from hubman.tinybase.drawing import draw, random_scene
from hubman.tinybase.styles import STYLES, vae_picture

CHANNELS = (16, 32, 64, 96)
LATENT_CHANNELS = 16
KL_WEIGHT = 1e-6
"""Of the KL summed over a picture's latents: keeps them bounded without costing sharpness."""

GAIN = 1.73
"""PyTorch's default for convolutions shrinks the signal by this much a layer; without it training stalls for
hundreds of steps at the mean colour of the picture."""


def make_vae(latent_channels: int = LATENT_CHANNELS) -> AutoencoderKL:
    vae = AutoencoderKL(
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D",) * len(CHANNELS),
        up_block_types=("UpDecoderBlock2D",) * len(CHANNELS),
        block_out_channels=CHANNELS,
        layers_per_block=1,
        latent_channels=latent_channels,
        norm_num_groups=4,
        sample_size=64,
        mid_block_add_attention=False,
    )
    _initialise(vae, latent_channels)
    return vae


def _initialise(vae: AutoencoderKL, latent_channels: int) -> None:
    with torch.no_grad():
        for name, module in vae.named_modules():
            if isinstance(module, torch.nn.Conv2d):
                module.weight.mul_(GAIN * (0.2 if name.endswith(".conv2") else 1.0))
        # Start nearly deterministic: unit noise on latents drowns them before they mean anything.
        vae.quant_conv.weight[latent_channels:].mul_(0.1)
        vae.quant_conv.bias[latent_channels:] = -6.0


def _pictures(seed_and_count: tuple[int, int]) -> np.ndarray:
    seed, count = seed_and_count
    rng = random.Random(seed)
    return np.stack([np.asarray(vae_picture(rng)) for _ in range(count)])


def make_pool(count: int, seed: int) -> torch.Tensor:
    """``count`` pictures as uint8 [N, 3, 64, 64]."""
    chunk = 250
    with ProcessPoolExecutor(2) as pool:
        parts = list(pool.map(_pictures, [(seed * 100_000 + i, chunk) for i in range(math.ceil(count / chunk))]))
    return torch.from_numpy(np.concatenate(parts)).permute(0, 3, 1, 2).contiguous()


def augment(batch: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Flips, a quarter turn and a swap of colour channels: cheap variety, one choice a batch."""
    pick = int(torch.randint(0, 16, (1,), generator=generator))
    if pick & 1:
        batch = batch.flip(3)
    if pick & 2:
        batch = batch.flip(2)
    if pick & 4:
        batch = batch.transpose(2, 3)
    if pick & 8:
        batch = batch[:, torch.randperm(3, generator=generator)]
    return batch


def gradient_loss(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """L1 of differences between neighbouring pixels: what makes edges and hatching sharp."""
    across = F.l1_loss(x[..., 1:] - x[..., :-1], y[..., 1:] - y[..., :-1])
    down = F.l1_loss(x[..., 1:, :] - x[..., :-1, :], y[..., 1:, :] - y[..., :-1, :])
    return across + down


def style_errors(vae: AutoencoderKL) -> dict[str, float]:
    """Mean absolute error (0-255) of 40 fresh pictures of each style, and of plain scenes."""
    rng = random.Random(7)
    errors = {}
    for name, paint in {"plain": None, **STYLES}.items():
        scenes = [draw(random_scene(rng), rng, paint) if paint else draw(random_scene(rng), rng) for _ in range(40)]
        x = torch.from_numpy(np.stack([np.asarray(p) for p in scenes])).permute(0, 3, 1, 2).float() / 127.5 - 1
        with torch.no_grad():
            y = vae.decode(vae.encode(x).latent_dist.mode()).sample.clamp(-1, 1)
        errors[name] = float((x - y).abs().mean() * 127.5)
    return errors


def set_scaling_factor(vae: AutoencoderKL, pool: torch.Tensor) -> None:
    with torch.no_grad():
        latents = vae.encode(pool[:1000].float() / 127.5 - 1).latent_dist.mode()
    vae.register_to_config(scaling_factor=round(float(1 / latents.std()), 5))
    print(
        "latent std by channel",
        [round(s, 2) for s in latents.std((0, 2, 3)).tolist()],
        "scaling",
        vae.config.scaling_factor,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--pool", type=int, default=8000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    generator = torch.Generator().manual_seed(args.seed)
    pool = make_pool(args.pool, args.seed)
    vae = make_vae()
    optimizer = Optimizer(vae, args.steps, lr=0.05, adam_lr=2e-3)
    started = time.monotonic()
    for step in range(args.steps):
        rows = torch.randint(0, len(pool), (16,), generator=generator)
        x = augment(pool[rows], generator).float() / 127.5 - 1
        with torch.autocast("cpu", torch.bfloat16):
            latent = vae.encode(x).latent_dist
            y = vae.decode(latent.sample()).sample
        y = y.float()
        l1 = F.l1_loss(y, x)
        kl = latent.kl().mean()
        loss = l1 + 0.5 * gradient_loss(y, x) + KL_WEIGHT * kl
        optimizer.step(loss)
        if step % 50 == 0 or step == args.steps - 1:
            print(f"{step} l1 {l1.item():.4f} kl {kl.item():.2f} {time.monotonic() - started:.0f} s", flush=True)
        if step % 500 == 499:
            vae.eval()
            print({k: round(v, 2) for k, v in style_errors(vae).items()}, flush=True)
            set_scaling_factor(vae, pool)
            vae.save_pretrained(args.out)
            vae.train()
    vae.eval()
    set_scaling_factor(vae, pool)
    vae.save_pretrained(args.out)


if __name__ == "__main__":
    main()
