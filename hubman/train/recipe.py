"""A training, written down: everything that decides the result, as one record and one TOML file."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from hubman.train.files import write_atomically
from registry.errors import HubError, UsageError

Kind = Literal["style", "character", "concept"]
Schedule = Literal["cosine", "linear", "constant"]
Dtype = Literal["fp32", "bf16"]
FileDtype = Literal["fp16", "bf16", "fp32"]

_LOOKS = frozenset(
    {"output", "base", "dataset", "sample_prompts", "sample_steps", "sample_guidance", "strength", "file_dtype"}
)
"""Fields that do not change what is learned (the base's and the dataset's content are compared by themselves)."""


class Recipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One training. Lengths are in optimizer steps; rates are at the given batch. Raises UsageError for bad values."""

    base: str
    """The base model: a diffusers folder or a single ``.safetensors`` checkpoint."""
    dataset: str
    """The folder of images and captions."""
    output: str
    """Name of the LoRA: its file's stem."""
    trigger: str = ""
    """Put before each caption that lacks it."""
    kind: Kind = "style"
    family: str = "sd15"
    """Architecture family: a key of :data:`hubman.train.presets.FAMILIES`."""

    rank: int = 16
    alpha: float = 8.0
    conv_rank: int = 0
    """Rank of the 3x3 convolutions; 0 leaves them alone."""
    conv_alpha: float = 0.0

    unet_lr: float = 1e-4
    text_lr: float = 0.0
    """0 trains no text encoder, and its outputs are cached."""
    batch: int = 2
    steps: int = 1000
    epochs: int = 5
    """Equal parts of the run; after each one a checkpoint, samples and a validation."""
    warmup: float = 0.05
    """Share of the steps in which the rate rises from 0."""
    schedule: Schedule = "cosine"
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0

    min_snr_gamma: float = 5.0
    """0 weighs all timesteps alike."""
    noise_offset: float = 0.0
    caption_dropout: float = 0.05
    shuffle_captions: bool = False
    keep_tokens: int = 1
    """Tags at the start of a caption that shuffling leaves in place."""
    flip: bool = False
    """Also train each image mirrored: only for subjects that look the same in a mirror."""
    clip_skip: int = 1
    """Which of the text encoder's last layers is read; 1 is the last one."""

    resolution: int = 512
    bucket_low: int = 256
    bucket_high: int = 1024
    bucket_step: int = 64

    seed: int = 0
    save_every: int = 200
    """Steps between checkpoints to resume from, besides those at the end of each epoch; 0 keeps only these."""
    validation_images: int = 8
    """Images whose loss at fixed noise is followed; 0 turns validation off."""
    sample_prompts: tuple[str, ...] = ()
    """Drawn after each epoch; empty takes the first two captions."""
    sample_steps: int = 20
    sample_guidance: float = 7.0
    dtype: Dtype = "fp32"
    """Of the frozen weights and the arithmetic; the LoRA itself is trained in fp32."""
    file_dtype: FileDtype = "fp16"
    strength: float = 0.8
    """What to recommend at first."""

    def __post_init__(self) -> None:
        for field, (low, high) in _RANGES.items():
            value = getattr(self, field)
            if not (math.isfinite(value) and low <= value <= high):
                raise UsageError(f"recipe: {field} is {value}", f"it must be between {low:g} and {high:g}")
        if (
            not self.output.strip()
            or any(sign in self.output for sign in '/\\:*?"<>|\0\n\r')
            or self.output.startswith(".")
        ):
            raise UsageError(
                f"recipe: output {self.output!r} cannot name a file", "use letters, digits, spaces and dashes"
            )
        if len(self.output.encode()) > 120:
            raise UsageError("recipe: output is too long to name a file", "keep it below 120 bytes")
        if self.bucket_low > self.bucket_high:
            raise UsageError("recipe: bucket_low exceeds bucket_high", "swap them")
        for field in ("bucket_low", "bucket_step"):
            if getattr(self, field) % 8:
                raise UsageError(f"recipe: {field} is {getattr(self, field)}", "it must be a multiple of 8")
        if self.epochs > self.steps:
            raise UsageError(f"recipe: {self.epochs} epochs in {self.steps} steps", "train at least one step an epoch")

    @property
    def learning_digest(self) -> str:
        """SHA-256 of all fields that decide what is learned: a run may be resumed only with the same."""
        values = {name: value for name, value in msgspec.to_builtins(self).items() if name not in _LOOKS}
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()

    def public(self) -> dict[str, Any]:
        """The fields that may travel in the file: all but the paths."""
        return {name: value for name, value in msgspec.to_builtins(self).items() if name not in ("base", "dataset")}

    def epoch_ends(self) -> tuple[int, ...]:
        """The step after which each epoch ends; the last is ``steps``."""
        return tuple(round(self.steps * (i + 1) / self.epochs) for i in range(self.epochs))


_RANGES: dict[str, tuple[float, float]] = {
    "rank": (1, 1024),
    "alpha": (1e-6, 65504),
    "conv_rank": (0, 1024),
    "conv_alpha": (0, 65504),
    "unet_lr": (0, 10),
    "text_lr": (0, 10),
    "batch": (1, 1024),
    "steps": (1, 10_000_000),
    "epochs": (1, 1000),
    "warmup": (0, 1),
    "weight_decay": (0, 10),
    "max_grad_norm": (0, 1e9),
    "min_snr_gamma": (0, 1000),
    "noise_offset": (0, 1),
    "caption_dropout": (0, 1),
    "keep_tokens": (0, 1000),
    "clip_skip": (1, 12),
    "resolution": (64, 4096),
    "bucket_low": (8, 8192),
    "bucket_high": (8, 8192),
    "bucket_step": (8, 1024),
    "seed": (0, 2**32 - 1),
    "save_every": (0, 10_000_000),
    "validation_images": (0, 10_000),
    "sample_steps": (1, 1000),
    "sample_guidance": (0, 100),
    "strength": (-10, 10),
}


def read_recipe(path: Path) -> Recipe:
    """Read and check a TOML recipe; relative paths in it are relative to its folder. Raises UsageError by field."""
    try:
        recipe = msgspec.toml.decode(path.read_bytes(), type=Recipe, strict=False)
    except OSError as error:
        raise HubError(f"{path} cannot be read ({error.strerror})", "give the path of a recipe") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path.name}: {error}", "see the fields in the recipe that `hubman train` writes") from error
    folder = path.absolute().parent
    return msgspec.structs.replace(
        recipe,
        base=str(folder / Path(recipe.base).expanduser()),
        dataset=str(folder / Path(recipe.dataset).expanduser()),
    )


def write_recipe(path: Path, recipe: Recipe, comments: Mapping[str, str] | None = None) -> None:
    """Write ``recipe`` as TOML, every field, with a comment line above those in ``comments``."""
    write_atomically(path, to_toml(recipe, comments).encode())


def to_toml(recipe: Recipe, comments: Mapping[str, str] | None = None) -> str:
    lines = []
    for name, value in msgspec.to_builtins(recipe).items():
        comment = " ".join((comments or {}).get(name, "").split())
        if comment:
            lines.append(f"# {comment}")
        lines.append(f"{name} = {_toml_value(value)}")
    return "\n".join(lines) + "\n"


def _toml_value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        # JSON's escapes are TOML's; it leaves DEL alone, and lone surrogates cannot be written in UTF-8.
        return json.dumps(value.encode("utf-8", "replace").decode(), ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml_value(item) for item in value) + "]"
    return repr(value)
