"""What the bars of the trainer run on: Stable Diffusion 1.5 at full size with random weights, and pictures for it."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from hubman import tinybase
from hubman.tinybase.drawing import draw, random_scene
from hubman.tinybase.styles import STYLES

SIDE = 256
IMAGES = 8


def make_base(folder: Path) -> Path:
    """A diffusers folder in fp16, as SD 1.5 is mostly kept; made once, in half a minute. Returns ``folder``."""
    if (folder / "done").exists():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    torch.manual_seed(0)
    text = CLIPTextConfig(
        vocab_size=49408, hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12
    )
    vae = AutoencoderKL(
        block_out_channels=(128, 256, 512, 512),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=2,
        latent_channels=4,
    )
    pipeline = StableDiffusionPipeline(
        vae=vae,
        text_encoder=CLIPTextModel(text),
        tokenizer=CLIPTokenizer.from_pretrained(str(tinybase.MODEL / "tokenizer")),
        unet=UNet2DConditionModel(cross_attention_dim=768),
        scheduler=DDIMScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False, steps_offset=1
        ),
        safety_checker=None,
        feature_extractor=None,
        image_encoder=None,
        requires_safety_checker=False,
    )
    pipeline.to(torch.float16).save_pretrained(str(folder))
    (folder / "done").touch()
    return folder


def make_pictures(folder: Path, images: int = IMAGES) -> Path:
    """Drawn scenes, scaled to :data:`SIDE`, with their captions. Returns ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(0)
    for number in range(images):
        scene = random_scene(rng)
        draw(scene, rng, STYLES["pastel"]).resize((SIDE, SIDE)).save(folder / f"{number}.png")
        (folder / f"{number}.txt").write_text(scene.caption)
    return folder
