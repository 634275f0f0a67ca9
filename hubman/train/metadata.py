"""The header of a trained file: what A1111, Forge, Civitai and people read of how it was made.

All values are strings in the way of sd-scripts: numbers by ``str``, booleans ``True`` and ``False``, nothing ``None``.
No path and no name of a person is among them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from hubman.train.architectures.base import Identity
from hubman.train.buckets import Size
from hubman.train.recipe import Recipe
from hubman.train.tags import split_tags

OPTIMIZER = "torch.optim.adamw.AdamW"


@dataclass(frozen=True)
class Origin:
    """What a file came from."""

    recipe: Recipe
    identity: Identity
    captions: Sequence[str]
    """One for each trained image, the trigger included."""
    sizes: Sequence[Size]
    """The bucket of each trained image."""
    dataset_fingerprint: str
    batches_per_pass: int
    step: int
    epoch: int
    started_at: float
    finished_at: float
    """Unix seconds."""
    sample_prompt: str = ""
    base_hashes: tuple[str, str] | None = None
    """Legacy and full SHA-256 of a single-file base; a folder has none."""


def metadata(origin: Origin) -> dict[str, str]:
    """Every ``ss_*``, ``modelspec.*`` and ``hubman.*`` entry but the hashes."""
    entries: dict[str, object] = {
        **_identity(origin),
        **_training(origin.recipe, origin),
        **_data(origin),
        **_unused(),
        **_modelspec(origin),
        **_own(origin),
    }
    return {name: value if isinstance(value, str) else str(value) for name, value in entries.items()}


def tag_frequency(captions: Sequence[str], trigger: str) -> dict[str, int]:
    """How often each tag occurs, the trigger first and at least as often as any other: readers sort by count."""
    count = Counter(tag for caption in captions for tag in split_tags(caption))
    ordered = dict(sorted(count.items(), key=lambda pair: (-pair[1], pair[0])))
    if not trigger:
        return ordered
    ordered.pop(trigger, None)
    return {trigger: max([len(captions), *ordered.values()]), **ordered}


def _identity(origin: Origin) -> dict[str, object]:
    recipe, identity = origin.recipe, origin.identity
    entries: dict[str, object] = {
        # The same for every file of a run, as in sd-scripts, and without a clock that two machines share.
        "ss_session_id": int(origin.started_at * 1000) % 2**32,
        "ss_output_name": recipe.output,
        "ss_training_started_at": origin.started_at,
        "ss_training_finished_at": origin.finished_at,
        "ss_training_comment": None,
        "ss_base_model_version": identity.base_model_version,
        "ss_v2": identity.v2,
        "ss_sd_model_name": identity.name,
        "ss_clip_skip": recipe.captions.clip_skip,
        "ss_max_token_length": None,
        "ss_network_module": "networks.lora",
        "ss_network_dim": recipe.network.rank,
        "ss_network_alpha": recipe.network.alpha,
        "ss_network_dropout": None,
    }
    conv = (
        {"conv_dim": str(recipe.network.conv_rank), "conv_alpha": str(recipe.network.conv_alpha)}
        if recipe.network.conv_rank
        else {}
    )
    entries["ss_network_args"] = json.dumps(conv)
    if origin.base_hashes:
        entries["ss_sd_model_hash"], entries["ss_new_sd_model_hash"] = origin.base_hashes
    return entries


def _training(recipe: Recipe, origin: Origin) -> dict[str, object]:
    return {
        "ss_learning_rate": recipe.optimizer.unet_lr,
        "ss_unet_lr": recipe.optimizer.unet_lr,
        "ss_text_encoder_lr": recipe.optimizer.text_lr,
        "ss_lr_scheduler": recipe.schedule.shape,
        "ss_lr_warmup_steps": round(recipe.schedule.warmup * recipe.length.steps),
        "ss_optimizer": f"{OPTIMIZER}(weight_decay={recipe.optimizer.weight_decay})",
        "ss_max_grad_norm": recipe.optimizer.max_grad_norm,
        "ss_num_batches_per_epoch": origin.batches_per_pass * _repeats(origin),
        "ss_num_epochs": recipe.length.epochs,
        "ss_epoch": origin.epoch,
        "ss_steps": origin.step,
        "ss_max_train_steps": recipe.length.steps,
        "ss_gradient_accumulation_steps": 1,
        "ss_seed": recipe.seed,
        "ss_mixed_precision": "bf16" if recipe.machine.dtype == "bf16" else "no",
        "ss_cache_latents": True,
        "ss_noise_offset": recipe.noise.offset or None,
        "ss_min_snr_gamma": recipe.loss.min_snr_gamma or None,
        "ss_loss_type": "l2",
        "ss_prior_loss_weight": 1.0,
        "ss_caption_dropout_rate": recipe.captions.dropout,
        "ss_caption_dropout_every_n_epochs": 0,
        "ss_caption_tag_dropout_rate": 0.0,
        "ss_shuffle_caption": recipe.captions.shuffle,
        "ss_keep_tokens": recipe.captions.keep_tokens,
    }


def _data(origin: Origin) -> dict[str, object]:
    recipe, count, repeats = origin.recipe, len(origin.captions), _repeats(origin)
    folder = f"{repeats}_{recipe.output}"  # the real folder's name may be private
    tags = {folder: tag_frequency(origin.captions, recipe.trigger)}
    buckets = {
        str(i): {"resolution": list(size), "count": times * repeats}
        for i, (size, times) in enumerate(sorted(Counter(origin.sizes).items()))
    }
    bucket_info = {"buckets": buckets, "mean_img_ar_error": 0.0}
    side = [recipe.resolution, recipe.resolution]
    subset = {
        "img_count": count,
        "num_repeats": repeats,
        "color_aug": False,
        "flip_aug": recipe.images.flip,
        "random_crop": False,
        "shuffle_caption": recipe.captions.shuffle,
        "keep_tokens": recipe.captions.keep_tokens,
        "image_dir": folder,
        "class_tokens": recipe.trigger or None,
        "is_reg": False,
    }
    dataset = {
        "is_dreambooth": True,
        "batch_size_per_device": recipe.length.batch,
        "num_train_images": count * repeats,
        "num_reg_images": 0,
        "resolution": side,
        "enable_bucket": True,
        "min_bucket_reso": recipe.images.bucket_low,
        "max_bucket_reso": recipe.images.bucket_high,
        "tag_frequency": tags,
        "bucket_info": bucket_info,
        "subsets": [subset],
    }
    return {
        "ss_num_train_images": count * repeats,
        "ss_num_validation_images": 0,
        "ss_validation_split": 0.0,
        "ss_num_reg_images": 0,
        "ss_datasets": json.dumps([dataset]),
        "ss_dataset_dirs": json.dumps({folder: {"n_repeats": repeats, "img_count": count}}),
        "ss_reg_dataset_dirs": json.dumps({}),
        "ss_tag_frequency": json.dumps(tags),
        "ss_bucket_info": json.dumps(bucket_info),
        "ss_resolution": f"({recipe.resolution}, {recipe.resolution})",
        "ss_enable_bucket": True,
        "ss_bucket_no_upscale": False,
        "ss_min_bucket_reso": recipe.images.bucket_low,
        "ss_max_bucket_reso": recipe.images.bucket_high,
        "ss_random_crop": False,
        "ss_color_aug": False,
        "ss_flip_aug": recipe.images.flip,
        "ss_face_crop_aug_range": None,
        "ss_batch_size_per_device": recipe.length.batch,
        "ss_total_batch_size": recipe.length.batch,
        "ss_resize_interpolation": "lanczos",
    }


def _unused() -> dict[str, object]:
    """What sd-scripts always writes and this trainer does not do."""
    off = """full_fp16 gradient_checkpointing lowram fp8_base fp8_base_unet debiased_estimation zero_terminal_snr
        noise_offset_random_strength ip_noise_gamma_random_strength"""
    nothing = """scale_weight_norms adaptive_noise_scale multires_noise_iterations multires_noise_discount vae_name
        ip_noise_gamma huber_schedule huber_scale huber_c validate_every_n_epochs validate_every_n_steps
        max_validation_steps validation_seed"""
    return {**dict.fromkeys(_prefixed(off), False), **dict.fromkeys(_prefixed(nothing), None)}


def _prefixed(names: str) -> list[str]:
    return [f"ss_{name}" for name in names.split()]


def _modelspec(origin: Origin) -> dict[str, object]:
    recipe = origin.recipe
    moment = datetime.fromtimestamp(origin.finished_at, UTC).replace(tzinfo=None)
    entries: dict[str, object] = {
        "modelspec.sai_model_spec": "1.0.1",
        "modelspec.architecture": origin.identity.modelspec,
        "modelspec.implementation": origin.identity.implementation,
        "modelspec.implementation_version": "hubman",
        "modelspec.title": recipe.output,
        "modelspec.resolution": f"{recipe.resolution}x{recipe.resolution}",
        "modelspec.date": moment.isoformat(timespec="seconds"),
        "modelspec.prediction_type": origin.identity.prediction,
    }
    if recipe.trigger:
        entries["modelspec.trigger_phrase"] = recipe.trigger
    if recipe.captions.clip_skip > 1:
        entries["modelspec.encoder_layer"] = recipe.captions.clip_skip
    return entries


def _own(origin: Origin) -> dict[str, object]:
    return {
        "hubman.recipe": json.dumps(origin.recipe.public()),
        "hubman.dataset_fingerprint": origin.dataset_fingerprint,
        "hubman.sample_prompt": origin.sample_prompt,
        "hubman.recommended_strength": origin.recipe.file.strength,
    }


def _repeats(origin: Origin) -> int:
    """How often an epoch shows each image, at least once: what sd-scripts would call repeats."""
    recipe = origin.recipe
    return max(1, round(recipe.length.steps * recipe.length.batch / (recipe.length.epochs * len(origin.captions))))
