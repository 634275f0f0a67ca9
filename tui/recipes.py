"""A recipe as lines to edit: built from a preset, changed by a person, written and started."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import msgspec

from hubman import bases
from hubman.train import presets
from hubman.train.recipe import Kind, Recipe
from registry.errors import UsageError

if TYPE_CHECKING:
    from hubman.jobs.records import Job
    from registry.database import Registry

GROUPS: Mapping[str, tuple[str, ...]] = {
    "What": ("output", "trigger", "kind", "base"),
    "Length": ("steps", "epochs", "batch", "seed"),
    "Network": ("rank", "alpha", "conv_rank", "conv_alpha"),
    "Learning": ("unet_lr", "text_lr", "schedule", "warmup", "weight_decay", "max_grad_norm"),
    "Data": (
        "resolution",
        "bucket_low",
        "bucket_high",
        "bucket_step",
        "flip",
        "caption_dropout",
        "shuffle_captions",
        "keep_tokens",
    ),
    "Noise": ("min_snr_gamma", "noise_offset", "clip_skip"),
    "Looking": ("save_every", "validation_images", "sample_prompts", "sample_steps", "sample_guidance"),
    "File": ("dtype", "file_dtype", "strength"),
}
_PRESET = frozenset(("kind", "base"))
"""Changing one of these chooses other starting values."""

REASONS: Mapping[str, str] = {
    **presets.REASONS,
    "output": "the name of the LoRA's file, and of the model in the library",
    "trigger": "a rare word that calls the LoRA; it is put before captions that lack it",
    "kind": "style, character or concept: decides the starting values of everything below",
    "base": "tiny (the embedded base), a diffusers folder or a .safetensors checkpoint",
    "sample_prompts": "drawn after each epoch, with | between them; empty takes the first two captions",
}


@dataclass(frozen=True)
class Draft:
    """A recipe with what the person chose, which a new preset keeps."""

    recipe: Recipe
    images: int
    base: str = bases.EMBEDDED
    edited: Mapping[str, Any] = field(default_factory=dict)


def draft(dataset: Path, images: int, *, base: str = bases.EMBEDDED, kind: Kind = "style") -> Draft:
    """A draft for a folder with so many images. Raises ``UsageError`` or ``NotFoundError`` for the base."""
    return _preset(Draft(Recipe(base="", dataset=str(dataset), output=_name(dataset)), images, base), base, kind)


def _name(dataset: Path) -> str:
    clean = "".join(letter for letter in dataset.name if letter not in '/\\:*?"<>|').strip(". ")
    return clean[:60] or "lora"


def _preset(before: Draft, base: str, kind: Kind) -> Draft:
    path = bases.find(base)
    old = before.recipe
    recipe = presets.preset(
        kind, bases.family(path), before.images, base=str(path), dataset=old.dataset, output=old.output
    )
    recipe = msgspec.structs.replace(recipe, trigger=old.trigger, **before.edited)
    return Draft(recipe, before.images, base, before.edited)


def from_recipe(recipe: Recipe, images: int) -> Draft:
    """A draft of a recipe that was read from a file: all its values count as chosen."""
    given = msgspec.structs.asdict(recipe)
    kept = {
        name: value
        for name, value in given.items()
        if name not in {"base", "dataset", "output", "trigger", "kind", "family"}
    }
    return Draft(recipe, images, recipe.base, kept)


def text_of(draft: Draft, name: str) -> str:
    if name == "base":
        return draft.base
    value = getattr(draft.recipe, name)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return " | ".join(value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def assign(draft: Draft, name: str, text: str) -> Draft:
    """The draft with one field changed. Raises ``UsageError`` that says what the field takes."""
    text = text.strip()
    if name == "kind":
        if text not in presets.SHOWINGS:
            raise UsageError(f"kind can't be {text!r}", f"use one of {', '.join(presets.SHOWINGS)}")
        return _preset(draft, draft.base, text)
    if name == "base":
        return _preset(draft, text, draft.recipe.kind)
    value = _parse(name, text)
    recipe = _with(draft.recipe, name, value)
    edited = draft.edited if name in {"output", "trigger"} else {**draft.edited, name: value}
    return Draft(recipe, draft.images, draft.base, edited)


def _parse(name: str, text: str) -> object:
    kind = next(each.type for each in msgspec.structs.fields(Recipe) if each.name == name)
    if kind is bool:
        if text.lower() not in {"yes", "no", "true", "false"}:
            raise UsageError(f"{name} can't be {text!r}", "say yes or no")
        return text.lower() in {"yes", "true"}
    if name == "sample_prompts":
        return tuple(part.strip() for part in text.split("|") if part.strip())
    try:
        return msgspec.convert(text, kind, strict=False)
    except msgspec.ValidationError as error:
        raise UsageError(f"{name} can't be {text!r}", _takes(kind, error)) from None


def _takes(kind: object, error: Exception) -> str:
    choices = getattr(kind, "__args__", None)
    if choices:
        return f"use one of {', '.join(map(str, choices))}"
    return {int: "give a whole number", float: "give a number, such as 0.0001 or 1e-4"}.get(
        cast("type", kind), str(error)
    )


def _with(recipe: Recipe, name: str, value: object) -> Recipe:
    return msgspec.structs.replace(recipe, **{name: value})


def start(registry: Registry, recipe: Recipe, *, force: bool) -> Job:
    """Start a training; ``force`` in spite of what the checks call errors."""
    from hubman.train import start as starting

    return starting.start(registry, recipe, REASONS, force=force)
