"""Recipes of earlier versions: files and LoRAs that carry them stay readable."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from registry.errors import UsageError

VERSION = 2

_MOVED = {
    "rank": "network.rank",
    "alpha": "network.alpha",
    "conv_rank": "network.conv_rank",
    "conv_alpha": "network.conv_alpha",
    "unet_lr": "optimizer.unet_lr",
    "text_lr": "optimizer.text_lr",
    "weight_decay": "optimizer.weight_decay",
    "max_grad_norm": "optimizer.max_grad_norm",
    "batch": "length.batch",
    "steps": "length.steps",
    "epochs": "length.epochs",
    "warmup": "schedule.warmup",
    "schedule": "schedule.shape",
    "min_snr_gamma": "loss.min_snr_gamma",
    "noise_offset": "noise.offset",
    "caption_dropout": "captions.dropout",
    "shuffle_captions": "captions.shuffle",
    "keep_tokens": "captions.keep_tokens",
    "clip_skip": "captions.clip_skip",
    "flip": "images.flip",
    "resolution": "images.resolutions",
    "bucket_low": "images.bucket_low",
    "bucket_high": "images.bucket_high",
    "bucket_step": "images.bucket_step",
    "save_every": "watch.save_every",
    "validation_images": "watch.validation_images",
    "sample_prompts": "watch.sample_prompts",
    "sample_steps": "watch.sample_steps",
    "sample_guidance": "watch.sample_guidance",
    "dtype": "machine.dtype",
    "file_dtype": "file.dtype",
    "strength": "file.strength",
}
"""Where the fields of version 1, which had no sections, are now."""


def upgraded(values: Mapping[str, Any]) -> dict[str, Any]:
    """``values`` of any version in the form of :data:`VERSION`. Raises UsageError for one that is not known yet."""
    version = values.get("version", 1 if _is_flat(values) else VERSION)
    if not isinstance(version, int) or version > VERSION:
        raise UsageError(f"recipe: version {version!r} is not known", "update hubman")
    if version == VERSION:
        return dict(values)
    found: dict[str, Any] = {"version": VERSION}
    for name, value in values.items():
        section, _, field = _MOVED.get(name, name).rpartition(".")
        if field == "resolutions":
            value = [value]  # noqa: PLW2901 - one became several
        (found.setdefault(section, {}) if section else found)[field] = value
    found["version"] = VERSION
    return found


def _is_flat(values: Mapping[str, Any]) -> bool:
    return any(name in _MOVED and not isinstance(value, Mapping) for name, value in values.items())
