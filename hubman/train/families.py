"""What each family of base models wants: the values that differ from a recipe's own, by dotted field.

The numbers are the middle of what sd-scripts, kohya's presets, OneTrainer, ai-toolkit, SimpleTuner and Civitai's
trainer use; those of ``tiny`` are measured on the embedded base.
"""

from __future__ import annotations

from typing import Any

import msgspec

from hubman.train.recipe import Kind


class Family(msgspec.Struct, frozen=True, kw_only=True):
    """The start of every recipe for one family."""

    title: str
    values: dict[str, Any]
    """Of every kind of training."""
    kinds: dict[Kind, dict[str, Any]]
    note: str
    """Why these."""


def _network(rank: int, alpha: float, conv_rank: int = 0, conv_alpha: float = 0.0) -> dict[str, Any]:
    sizes = {"rank": rank, "alpha": float(alpha), "conv_rank": conv_rank, "conv_alpha": float(conv_alpha)}
    return {f"network.{name}": size for name, size in sizes.items()}


def _area(side: int, low: int, high: int, step: int = 64) -> dict[str, Any]:
    return {
        "images.resolutions": (side,),
        "images.bucket_low": low,
        "images.bucket_high": high,
        "images.bucket_step": step,
    }


def _text(rate: float) -> dict[str, Any]:
    return {"optimizer.text_lr": rate}


_DIFFUSION = {
    "optimizer.unet_lr": 1e-4,
    "schedule.shape": "cosine",
    "loss.min_snr_gamma": 5.0,
    "noise.offset": 0.03,
    "machine.dtype": "bf16",
}
_FLOW = {
    "optimizer.unet_lr": 1e-4,
    "schedule.shape": "constant",
    "loss.min_snr_gamma": 0.0,
    "timesteps.sampling": "logit_normal",
    "machine.dtype": "bf16",
    "length.batch": 1,
    "length.accumulate": 2,
}
_SD = {**_DIFFUSION, "length.batch": 2}
_SD_KINDS: dict[Kind, dict[str, Any]] = {
    "style": _network(32, 16, 8, 4),
    "character": {**_network(16, 8), **_text(5e-5)},
    "concept": {**_network(32, 16), **_text(5e-5)},
}
_XL = {**_DIFFUSION, **_area(1024, 512, 2048), "length.batch": 1, "captions.clip_skip": 2}
_ANIME = {**_XL, "length.batch": 2}
_ANIME_KINDS: dict[Kind, dict[str, Any]] = {
    "style": _network(16, 8, 16, 8),
    "character": {**_network(16, 8), **_text(3e-5)},
    "concept": {**_network(16, 8), **_text(3e-5)},
}
_ANIME_NOTE = "made from SDXL by long training on drawings: half of SDXL's rank is enough"

_ZIMAGE = {**_FLOW, **_area(1024, 512, 1536), "timesteps.shift": 3.0}
_ZIMAGE_KINDS: dict[Kind, dict[str, Any]] = {
    "style": _network(32, 32),
    "character": _network(16, 16),
    "concept": _network(32, 32),
}

FAMILIES: dict[str, Family] = {
    "tiny": Family(
        title="hubman's embedded base",
        values={
            **_area(64, 64, 64),
            "optimizer.unet_lr": 7e-3,
            "length.batch": 8,
            "length.steps": 180,
            "noise.offset": 0.0,
            "loss.min_snr_gamma": 0.0,
            "machine.dtype": "fp32",
            "machine.threads": 1,
            "watch.sample_steps": 12,
            "watch.sample_guidance": 3.0,
        },
        kinds={
            "style": {**_network(8, 8, 8, 8), "length.steps": 110},
            "character": _network(16, 16, 16, 16),
            "concept": _network(16, 16, 16, 16),
        },
        note="measured on it: a style shows after 110 steps as after 400, a motif after 180; higher rates diverge",
    ),
    "sd15": Family(
        title="Stable Diffusion 1.x",
        values={**_SD, **_area(512, 256, 1024)},
        kinds=_SD_KINDS,
        note="the best known of all: rank 32 holds a style, 16 a character",
    ),
    "sd2": Family(
        title="Stable Diffusion 2.x",
        values={**_SD, **_area(768, 256, 1024)},
        kinds=_SD_KINDS,
        note="as Stable Diffusion 1.x, at the area that the base was trained at",
    ),
    "sdxl": Family(
        title="SDXL",
        values=_XL,
        kinds={
            "style": _network(32, 16, 16, 8),
            "character": {**_network(16, 8), **_text(3e-5)},
            "concept": {**_network(32, 16), **_text(3e-5)},
        },
        note="four times the area of SD 1.5; its text encoders bear a third of the UNet's rate",
    ),
    "pony": Family(title="Pony Diffusion", values=_ANIME, kinds=_ANIME_KINDS, note=_ANIME_NOTE),
    "illustrious": Family(title="Illustrious", values=_ANIME, kinds=_ANIME_KINDS, note=_ANIME_NOTE),
    "noobai": Family(title="NoobAI", values=_ANIME, kinds=_ANIME_KINDS, note=_ANIME_NOTE),
    "flux": Family(
        title="FLUX.1",
        values={**_FLOW, **_area(768, 256, 1536), "timesteps.shift": 3.16, "watch.sample_guidance": 3.5},
        kinds={"style": _network(16, 16), "character": _network(16, 16), "concept": _network(32, 32)},
        note="learns fast: a small rank and no text encoder; 768 pixels carry over to 1024",
    ),
    "sd35": Family(
        title="Stable Diffusion 3.5",
        values={**_FLOW, **_area(1024, 512, 1536), "timesteps.shift": 3.0, "watch.sample_guidance": 4.5},
        kinds={"style": _network(32, 32), "character": _network(16, 16), "concept": _network(32, 32)},
        note="moments in the middle teach most, so they are drawn more often",
    ),
    "zimage": Family(
        title="Z-Image",
        values={**_ZIMAGE, "watch.sample_guidance": 5.0},
        kinds=_ZIMAGE_KINDS,
        note="half of FLUX.1's size, so the ranks of SD 3.5; captions are sentences",
    ),
    "zimage_turbo": Family(
        title="Z-Image Turbo",
        values={**_ZIMAGE, "watch.sample_steps": 9, "watch.sample_guidance": 1.0},
        kinds=_ZIMAGE_KINDS,
        note="drawn in nine steps without guidance; long training undoes that, so prefer a short one",
    ),
}
