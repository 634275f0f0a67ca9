"""Settings to start from, by what is taught and to which family of base models, and the reason for each.

The numbers are the middle of what sd-scripts, kohya's presets, OneTrainer, ai-toolkit, SimpleTuner and Civitai's
trainer use; those of ``tiny`` are measured on the embedded base.
"""

from __future__ import annotations

import msgspec

from hubman.train.recipe import Dtype, Kind, Recipe
from registry.errors import UsageError


class Network(msgspec.Struct, frozen=True):
    """Size of the LoRA."""

    rank: int
    alpha: float
    conv_rank: int = 0
    conv_alpha: float = 0.0


class Family(msgspec.Struct, frozen=True, kw_only=True):
    """What a family of base models wants, and how files trained on it are marked."""

    title: str
    resolution: int
    bucket_low: int
    bucket_high: int
    networks: dict[Kind, Network]
    unet_lr: float
    text_lr: float
    """For characters and concepts; styles train no text encoder."""
    batch: int
    steps: int = 0
    """A fixed length; 0 derives it from the number of images."""
    noise_offset: float = 0.03
    min_snr_gamma: float = 5.0
    clip_skip: int = 1
    dtype: Dtype = "bf16"
    sample_steps: int = 20
    sample_guidance: float = 7.0


FAMILIES: dict[str, Family] = {
    "tiny": Family(
        title="hubman's embedded base",
        resolution=64,
        bucket_low=64,
        bucket_high=64,
        networks={
            "style": Network(8, 8, 8, 8),
            "character": Network(16, 16, 16, 16),
            "concept": Network(16, 16, 16, 16),
        },
        unet_lr=7e-3,
        text_lr=0.0,
        batch=8,
        steps=400,
        noise_offset=0.0,
        min_snr_gamma=0.0,
        dtype="fp32",
        sample_steps=12,
        sample_guidance=3.0,
    ),
    "sd15": Family(
        title="Stable Diffusion 1.x",
        resolution=512,
        bucket_low=256,
        bucket_high=1024,
        networks={"style": Network(32, 16, 8, 4), "character": Network(16, 8), "concept": Network(32, 16)},
        unet_lr=1e-4,
        text_lr=5e-5,
        batch=2,
    ),
    "sd2": Family(
        title="Stable Diffusion 2.x",
        resolution=768,
        bucket_low=256,
        bucket_high=1024,
        networks={"style": Network(32, 16, 8, 4), "character": Network(16, 8), "concept": Network(32, 16)},
        unet_lr=1e-4,
        text_lr=5e-5,
        batch=2,
    ),
    "sdxl": Family(
        title="SDXL, Pony, Illustrious, NoobAI",
        resolution=1024,
        bucket_low=512,
        bucket_high=2048,
        networks={"style": Network(32, 16, 16, 8), "character": Network(16, 8), "concept": Network(32, 16)},
        unet_lr=1e-4,
        text_lr=3e-5,
        batch=1,
        clip_skip=2,
    ),
}

SHOWINGS: dict[Kind, tuple[int, int, int]] = {
    "character": (1250, 1750, 2250),
    "style": (1500, 2250, 3500),
    "concept": (1200, 2000, 2750),
}
"""How often images are shown in all, for sets below 20, below 50 and up to 100 images."""

REASONS: dict[str, str] = {
    "rank": "a style needs more room than one character; a higher rank learns a small set by heart",
    "alpha": "half the rank halves the effective rate and keeps the first steps tame",
    "conv_rank": "textures and strokes live in the convolutions, so a style trains them too",
    "unet_lr": "the middle of what peers use for this family and batch",
    "text_lr": "a style needs no new words; a character or concept ties its trigger to a look",
    "batch": "as many as an ordinary card holds; larger batches want a rate times the square root",
    "steps": "showings divided by the batch: enough for this number of images, before it copies them",
    "epochs": "five checkpoints to choose from; the best one is often not the last",
    "warmup": "the first steps are the wildest, so the rate starts at zero",
    "schedule": "the rate ends near zero, so the last checkpoint is calm",
    "min_snr_gamma": "keeps almost clean timesteps from drowning the others; trains faster",
    "noise_offset": "lets the LoRA learn pictures that are darker or brighter than average",
    "caption_dropout": "some steps without caption keep guidance working; more of them for small sets",
    "keep_tokens": "the trigger stays first when the other tags are shuffled",
    "flip": "off, because faces, text and asymmetric subjects suffer; turn it on for small symmetric sets",
    "clip_skip": "the layer that the base itself was trained with",
    "resolution": "the area that the base was trained at",
    "save_every": "a crash costs at most this many steps",
    "seed": "the same seed, data and machine give the same LoRA",
    "dtype": "bf16 halves time and memory of the frozen weights where the device has it; the LoRA stays fp32",
    "file_dtype": "every program loads fp16, and the difference cannot be seen",
    "strength": "a LoRA is trained at 1 and mostly used a little below",
}


def preset(
    kind: Kind, family: str, image_count: int, *, base: str = "", dataset: str = "", output: str = "lora"
) -> Recipe:
    """A recipe for ``image_count`` images; :data:`REASONS` says why. Raises UsageError for an unknown family."""
    if family not in FAMILIES:
        raise UsageError(f"no presets for the family {family!r}", f"known are {', '.join(FAMILIES)}")
    values = FAMILIES[family]
    network = values.networks[kind]
    steps = values.steps or max(1, round(showings(kind, image_count) / values.batch))
    return Recipe(
        base=base,
        dataset=dataset,
        output=output,
        kind=kind,
        family=family,
        rank=network.rank,
        alpha=network.alpha,
        conv_rank=network.conv_rank,
        conv_alpha=network.conv_alpha,
        unet_lr=values.unet_lr,
        text_lr=0.0 if kind == "style" else values.text_lr,
        batch=values.batch,
        steps=steps,
        min_snr_gamma=values.min_snr_gamma,
        noise_offset=values.noise_offset,
        caption_dropout=0.1 if image_count < 20 else 0.05,
        clip_skip=values.clip_skip,
        resolution=values.resolution,
        bucket_low=values.bucket_low,
        bucket_high=values.bucket_high,
        sample_steps=values.sample_steps,
        sample_guidance=values.sample_guidance,
        dtype=values.dtype,
    )


def showings(kind: Kind, image_count: int) -> int:
    """How often images should be shown in all: images x repeats x epochs = steps x batch."""
    few, some, many = SHOWINGS[kind]
    if image_count < 20:
        return few
    if image_count < 50:
        return some
    return many if image_count <= 100 else max(many, 2500 + 10 * (image_count - 100))
