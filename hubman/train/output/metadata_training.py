"""The ``ss_`` entries of a file's header: network, rates, loss and data, under sd-scripts' names."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from hubman.train.architectures.base import Identity
from hubman.train.captioning.tags import split_tags
from hubman.train.data.buckets import Size
from hubman.train.learning.optimizers import class_path
from hubman.train.recipe import Recipe
from hubman.train.settings.network import NetworkSettings

_SCHEDULES = {"cosine_restarts": "cosine_with_restarts"}


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
    checkpointing: bool = False
    """Whether gradients are made by computing twice."""
    held_out: int = 0
    """Images that are followed and not trained."""
    sample_prompt: str = ""
    preview: Path | None = None
    """A picture drawn with the LoRA."""
    base_hashes: tuple[str, str] | None = None
    """Legacy and full SHA-256 of a single-file base; a folder has none."""

    @property
    def date(self) -> str:
        """When it was finished, ISO 8601 in UTC."""
        moment = datetime.fromtimestamp(self.finished_at, UTC).replace(tzinfo=None)
        return moment.isoformat(timespec="seconds")

    @property
    def repeats(self) -> int:
        """How often an epoch shows each image, at least once: what sd-scripts calls repeats."""
        length = self.recipe.length
        showings = length.steps * length.batch * length.accumulate
        return max(1, round(showings / (length.epochs * len(self.captions))))


def tag_frequency(captions: Sequence[str], trigger: str) -> dict[str, int]:
    """How often each tag occurs, the trigger first and at least as often as any other: readers sort by count."""
    count = Counter(tag for caption in captions for tag in split_tags(caption))
    ordered = dict(sorted(count.items(), key=lambda pair: (-pair[1], pair[0])))
    if not trigger:
        return ordered
    ordered.pop(trigger, None)
    return {trigger: max([len(captions), *ordered.values()]), **ordered}


def network(recipe: Recipe, module: str) -> dict[str, object]:
    """What the file holds: ``module`` (sd-scripts' for the base) for plain LoRA, else LyCORIS' names."""
    settings = recipe.network
    baked = recipe.file.bake_rank
    return {
        "ss_network_module": module if settings.type == "lora" or baked else "lycoris.kohya",
        "ss_network_dim": baked or settings.rank,
        "ss_network_alpha": float(baked) if baked else _alpha(settings, settings.rank, settings.alpha),
        "ss_network_dropout": settings.dropout or None,
        "ss_network_args": json.dumps({} if baked else _arguments(settings)),
        "ss_scale_weight_norms": settings.max_norm or None,
    }


def _arguments(settings: NetworkSettings) -> dict[str, str]:
    found: dict[str, object] = {}
    if settings.type != "lora":
        found["algo"] = "lora" if settings.type == "dora" else settings.type
    if settings.type == "dora":
        found |= {"dora_wd": True, "wd_on_output": settings.dora_axis == "output"}
    if settings.type == "lokr":
        found |= {"factor": settings.factor, "decompose_both": settings.decompose_both}
    if settings.type in ("loha", "lokr"):
        found["use_tucker"] = settings.tucker
    if settings.conv_rank:
        alpha = settings.conv_alpha or settings.conv_rank * settings.alpha / settings.rank
        found |= {"conv_dim": settings.conv_rank, "conv_alpha": _alpha(settings, settings.conv_rank, alpha)}
    found |= {name: value for name, value in _optional(settings).items() if value}
    return {name: str(value) for name, value in found.items()}


def _alpha(settings: NetworkSettings, rank: int, alpha: float) -> float:
    """As the alpha tensors have it, which hold what makes alpha / rank the scale also of a rank-stabilised network."""
    return float(alpha * rank**0.5 if settings.rank_stabilized else alpha)


def _optional(settings: NetworkSettings) -> dict[str, object]:
    return {
        "rank_dropout": settings.rank_dropout,
        "module_dropout": settings.module_dropout,
    }


def training(origin: Origin) -> dict[str, object]:
    """Rates, length, precision, noise and loss."""
    recipe = origin.recipe
    length, optimizer = recipe.length, recipe.optimizer
    arguments = {"weight_decay": optimizer.weight_decay, **optimizer.args}
    said = ",".join(f"{name}={value}" for name, value in arguments.items())
    return {
        "ss_learning_rate": optimizer.unet_lr,
        "ss_unet_lr": optimizer.unet_lr,
        "ss_text_encoder_lr": optimizer.text_lr if optimizer.text2_lr < 0 else [optimizer.text_lr, optimizer.text2_lr],
        "ss_lr_scheduler": _SCHEDULES.get(recipe.schedule.shape, recipe.schedule.shape),
        "ss_lr_warmup_steps": round(recipe.schedule.warmup * length.steps),
        "ss_optimizer": f"{class_path(optimizer.name)}({said})",
        "ss_max_grad_norm": optimizer.max_grad_norm,
        "ss_num_batches_per_epoch": origin.batches_per_pass * origin.repeats,
        "ss_num_epochs": length.epochs,
        "ss_epoch": origin.epoch,
        "ss_steps": origin.step,
        "ss_max_train_steps": length.steps,
        "ss_gradient_accumulation_steps": length.accumulate,
        "ss_seed": recipe.seed,
        "ss_mixed_precision": "bf16" if recipe.machine.dtype == "bf16" else "no",
        "ss_gradient_checkpointing": origin.checkpointing,
        "ss_cache_latents": True,
        **_noise_and_loss(recipe),
        "ss_caption_dropout_rate": recipe.captions.dropout,
        "ss_caption_dropout_every_n_epochs": recipe.captions.dropout_every_epochs,
        "ss_caption_tag_dropout_rate": recipe.captions.tag_dropout,
        "ss_shuffle_caption": recipe.captions.shuffle,
        "ss_keep_tokens": recipe.captions.keep_tokens,
    }


def _noise_and_loss(recipe: Recipe) -> dict[str, object]:
    noise, loss = recipe.noise, recipe.loss
    huber = loss.kind != "l2"
    return {
        "ss_noise_offset": noise.offset or None,
        "ss_adaptive_noise_scale": noise.adaptive or None,
        "ss_multires_noise_iterations": noise.multires_iterations or None,
        "ss_multires_noise_discount": noise.multires_discount if noise.multires_iterations else None,
        "ss_ip_noise_gamma": noise.perturbation or None,
        "ss_zero_terminal_snr": noise.zero_terminal_snr,
        "ss_min_snr_gamma": loss.min_snr_gamma or None,
        "ss_debiased_estimation": loss.debiased,
        "ss_loss_type": loss.kind,
        "ss_huber_schedule": loss.huber_schedule if huber else None,
        "ss_huber_scale": 1.0 if huber else None,
        "ss_huber_c": loss.huber_c if huber else None,
        "ss_prior_loss_weight": recipe.prior.weight or 1.0,
    }


def data(origin: Origin) -> dict[str, object]:
    """The images, their tags and buckets; single-folder names, as readers want them."""
    recipe, count, repeats = origin.recipe, len(origin.captions), origin.repeats
    folder = f"{repeats}_{recipe.output}"  # the real folder's name may be private
    tags = {folder: tag_frequency(origin.captions, recipe.trigger)}
    bucket_info = _buckets(origin)
    images = recipe.images
    common = {
        "enable_bucket": True,
        "bucket_no_upscale": images.no_upscale,
        "min_bucket_reso": images.bucket_low,
        "max_bucket_reso": images.bucket_high,
        "batch_size_per_device": recipe.length.batch,
    }
    variation = {
        "shuffle_caption": recipe.captions.shuffle,
        "keep_tokens": recipe.captions.keep_tokens,
        "random_crop": images.random_crop,
        "color_aug": False,
        "flip_aug": images.flip,
    }
    numbers = {"num_train_images": count * repeats, "num_reg_images": 0}
    subset = {
        "img_count": count,
        "num_repeats": repeats,
        **variation,
        "image_dir": folder,
        "class_tokens": recipe.trigger or None,
        "is_reg": False,
    }
    dataset = {
        "is_dreambooth": True,
        **numbers,
        "resolution": [recipe.resolution, recipe.resolution],
        **common,
        "tag_frequency": tags,
        "bucket_info": bucket_info,
        "subsets": [subset],
    }
    return {
        **{f"ss_{name}": value for name, value in {**numbers, **common, **variation}.items()},
        "ss_num_validation_images": origin.held_out,
        "ss_validation_split": round(origin.held_out / (origin.held_out + count), 4),
        "ss_datasets": json.dumps([dataset]),
        "ss_dataset_dirs": json.dumps({folder: {"n_repeats": repeats, "img_count": count}}),
        "ss_reg_dataset_dirs": json.dumps({}),
        "ss_tag_frequency": json.dumps(tags),
        "ss_bucket_info": json.dumps(bucket_info),
        "ss_resolution": f"({recipe.resolution}, {recipe.resolution})",
        "ss_face_crop_aug_range": None,
        "ss_total_batch_size": recipe.length.batch * recipe.length.accumulate,
        "ss_resize_interpolation": "lanczos",
    }


def _buckets(origin: Origin) -> dict[str, object]:
    counted = sorted(Counter(origin.sizes).items())
    buckets = {
        str(i): {"resolution": list(size), "count": times * origin.repeats} for i, (size, times) in enumerate(counted)
    }
    return {"buckets": buckets, "mean_img_ar_error": 0.0}


def unused() -> dict[str, object]:
    """What sd-scripts always writes and this trainer does not do."""
    off = """full_fp16 lowram fp8_base fp8_base_unet noise_offset_random_strength
        ip_noise_gamma_random_strength"""
    nothing = "vae_name validate_every_n_epochs validate_every_n_steps max_validation_steps validation_seed"
    return {**dict.fromkeys(_prefixed(off), False), **dict.fromkeys(_prefixed(nothing), None)}


def _prefixed(names: str) -> list[str]:
    return [f"ss_{name}" for name in names.split()]
