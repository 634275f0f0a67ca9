"""Train the embedded base's UNet on plain scenes: python scripts/tinybase_unet.py --vae DIR --clip DIR --out DIR.

The text tower is frozen. Prediction of v on a cosine schedule that ends in pure noise, rather than SD 1.5's: the signal
that SD leaves at the last step would teach grey backgrounds, and 8x8 latents drown in noise long before its middle.
"""

from __future__ import annotations

import argparse
import copy
import json
import random
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from muon import Optimizer
from tinybase_text import phrase
from transformers import CLIPModel, CLIPTextModel, CLIPTokenizer

from hubman.tinybase.drawing import Scene, draw, random_scene, split_combinations

CHANNELS = (64, 128)
EMA = 0.999
_STATES: dict[str, torch.Tensor] = {}


def make_unet(latent_channels: int) -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=8,
        in_channels=latent_channels,
        out_channels=latent_channels,
        down_block_types=("CrossAttnDownBlock2D",) * len(CHANNELS),
        up_block_types=("CrossAttnUpBlock2D",) * len(CHANNELS),
        block_out_channels=CHANNELS,
        layers_per_block=1,
        cross_attention_dim=128,
        attention_head_dim=4,
        norm_num_groups=16,
    )


def go_on_from(folder: Path, latent_channels: int) -> UNet2DConditionModel:
    """The UNet of an earlier pipeline; the convolutions that touch latents begin anew when those have changed."""
    earlier = UNet2DConditionModel.from_pretrained(folder, subfolder="unet", dtype=torch.float32)
    if earlier.config.in_channels == latent_channels:
        return earlier.train()
    unet = make_unet(latent_channels)
    kept = {name: value for name, value in earlier.state_dict().items() if not name.startswith(("conv_in", "conv_out"))}
    unet.load_state_dict(kept, strict=False)
    return unet


def make_scheduler() -> DDIMScheduler:
    return DDIMScheduler(
        num_train_timesteps=1000, beta_schedule="squaredcos_cap_v2", prediction_type="v_prediction", clip_sample=False,
        set_alpha_to_one=True, steps_offset=0, timestep_spacing="trailing",
    )  # fmt: skip


def text_model(clip: CLIPModel) -> CLIPTextModel:
    """CLIP's text tower as the pipeline's text encoder."""
    encoder = CLIPTextModel(clip.config.text_config)
    tower = clip.text_model.state_dict()
    missing, unexpected = encoder.load_state_dict(tower, strict=False)
    if missing or unexpected:
        encoder.text_model.load_state_dict(tower)
    return encoder.eval().requires_grad_(False)


def _pictures(job: tuple[int, int]) -> tuple[np.ndarray, list[Scene]]:
    seed, count = job
    rng = random.Random(seed)
    combinations, _ = split_combinations()
    scenes = [random_scene(rng, combinations) for _ in range(count)]
    return np.stack([np.asarray(draw(scene, rng)) for scene in scenes]), scenes


@torch.no_grad()
def encode_pictures(vae: AutoencoderKL, pictures: torch.Tensor) -> torch.Tensor:
    parts = [vae.encode(part.float() / 127.5 - 1).latent_dist.mode() for part in torch.split(pictures, 100)]
    return torch.cat(parts) * float(vae.config.scaling_factor)


def caption(scene: Scene, rng: random.Random) -> str:
    draw_of = rng.random()
    if draw_of < 0.1:
        return ""
    return scene.caption if draw_of < 0.6 else phrase(scene, rng)


@torch.no_grad()
def encode_texts(tokenizer: CLIPTokenizer, encoder: CLIPTextModel, texts: list[str]) -> torch.Tensor:
    """The text tower's states, [len(texts), 77, width]; the first 20,000 are kept for the next time."""
    new = sorted({text for text in texts if text not in _STATES})
    fresh: dict[str, torch.Tensor] = {}
    if new:
        tokens = tokenizer(new, padding="max_length", max_length=77, truncation=True, return_tensors="pt")
        fresh = dict(zip(new, encoder(tokens.input_ids).last_hidden_state, strict=True))
        if len(_STATES) < 20_000:
            _STATES.update(fresh)
    return torch.stack([_STATES[text] if text in _STATES else fresh[text] for text in texts])


def stratified_times(batch: int) -> torch.Tensor:
    """``batch`` steps of the schedule, 0 to 999: spread evenly, which steadies the loss, and leaning to the noisy side,
    where shapes are decided."""
    even = (torch.rand(batch) + torch.arange(batch)) / batch
    return (even**0.8 * 1000).long().clamp(max=999)


def save(
    folder: Path, unet: UNet2DConditionModel, vae: AutoencoderKL, encoder: CLIPTextModel, tokenizer: CLIPTokenizer
) -> None:
    pipeline = StableDiffusionPipeline(
        vae=copy.deepcopy(vae), text_encoder=copy.deepcopy(encoder), tokenizer=tokenizer, unet=copy.deepcopy(unet),
        scheduler=make_scheduler(), safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip
    pipeline.to(torch.float16).save_pretrained(folder)
    for path in folder.glob("*/config.json"):
        config = json.loads(path.read_text())
        config.pop("_name_or_path", None)
        path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vae", type=Path, required=True)
    parser.add_argument("--clip", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--pool", type=int, default=30_000)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start", type=Path, help="A pipeline whose UNet to go on from.")
    parser.add_argument("--lr", type=float, default=0.02)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    rng = random.Random(args.seed)
    with ProcessPoolExecutor(2) as pool:
        parts = list(pool.map(_pictures, [(args.seed * 10_000 + 900 + i, 250) for i in range(args.pool // 250)]))
    pictures = torch.from_numpy(np.concatenate([part[0] for part in parts])).permute(0, 3, 1, 2)
    scenes = [scene for part in parts for scene in part[1]]
    vae = AutoencoderKL.from_pretrained(args.vae).eval()
    tokenizer = CLIPTokenizer.from_pretrained(args.clip)
    encoder = text_model(CLIPModel.from_pretrained(args.clip))
    latents = encode_pictures(vae, pictures)
    print("latents", tuple(latents.shape), "std", round(float(latents.std()), 3), flush=True)
    channels = latents.shape[1]
    unet = go_on_from(args.start, channels) if args.start else make_unet(channels)
    print(f"UNet {sum(p.numel() for p in unet.parameters()) / 1e6:.2f} M parameters", flush=True)
    average = copy.deepcopy(unet).eval()
    compiled: Any = torch.compile(unet)
    alphas = make_scheduler().alphas_cumprod
    optimizer = Optimizer(unet, args.steps, lr=args.lr, adam_lr=1e-3)
    started, shown = time.monotonic(), 0.0
    for step in range(args.steps):
        rows = rng.sample(range(len(scenes)), args.batch)
        x = latents[rows]
        states = encode_texts(tokenizer, encoder, [caption(scenes[row], rng) for row in rows])
        t = stratified_times(args.batch)
        noise = torch.randn_like(x)
        a = alphas[t].view(-1, 1, 1, 1)
        noisy, target = a.sqrt() * x + (1 - a).sqrt() * noise, a.sqrt() * noise - (1 - a).sqrt() * x
        loss = F.mse_loss(compiled(noisy, t, states).sample, target)
        optimizer.step(loss)
        with torch.no_grad():
            decay = min(EMA, (step + 1) / (step + 10))
            for kept, new in zip(average.parameters(), unet.parameters(), strict=True):
                kept.lerp_(new, 1 - decay)
        shown = loss.item() if step == 0 else 0.98 * shown + 0.02 * loss.item()
        if step % 50 == 0 or step == args.steps - 1:
            print(f"{step} loss {shown:.4f} {time.monotonic() - started:.0f} s", flush=True)
        if step % 500 == 499 or step == args.steps - 1:
            save(args.out, average, vae, encoder, tokenizer)


if __name__ == "__main__":
    main()
