"""What a picture was drawn with, out of the generation data that sites and programs write in many ways."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hubman.civitai.lenient import clean_text

_TEXTS = {"prompt": ("prompt",), "negative": ("negativePrompt", "negative_prompt")}
_FACTS = (
    ("steps", ("steps", "Steps")),
    ("sampler", ("sampler", "Sampler")),
    ("scheduler", ("scheduler", "Schedule type")),
    ("cfg", ("cfgScale", "cfg_scale", "cfg", "CFG scale")),
    ("seed", ("seed", "Seed")),
    ("clip skip", ("clipSkip", "clip_skip", "Clip skip")),
    ("denoise", ("denoise", "Denoising strength")),
    ("model", ("Model", "model")),
    ("program", ("engine", "Version")),
)
_LONGEST = 10_000


def text(meta: Mapping[str, Any], name: str) -> str:
    """The ``prompt`` or the ``negative`` prompt; empty where nobody told."""
    return next(iter(_said(meta, _TEXTS[name])), "")


def facts(meta: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(name, value) of the other settings that are told, in the order in which people read them."""
    found = [(name, said) for name, keys in _FACTS for said in [next(iter(_said(meta, keys)), "")] if said]
    size = _size(meta)
    return [*found, *([("size", size)] if size else []), *(("uses", used) for used in _resources(meta))]


def _said(meta: Mapping[str, Any], keys: tuple[str, ...]) -> Iterator[str]:
    for key in keys:
        value = meta.get(key)
        if isinstance(value, bool) or not isinstance(value, (str, int, float)):
            continue
        said = clean_text(str(value)[:_LONGEST]).strip()
        if said:
            yield said


def _size(meta: Mapping[str, Any]) -> str:
    said = next(iter(_said(meta, ("Size",))), "")
    width, height = (next(iter(_said(meta, (key,))), "") for key in ("width", "height"))
    return said or (f"{width}x{height}" if width and height else "")


def _resources(meta: Mapping[str, Any]) -> Iterator[str]:
    """The models that it names, each with its weight where one is told."""
    for key in ("resources", "civitaiResources", "additionalResources"):
        listed = meta.get(key)
        for item in listed[:50] if isinstance(listed, list) else ():
            if not isinstance(item, Mapping):
                continue
            name = next(iter(_said(item, ("name", "modelName", "air"))), "")
            number = next(iter(_said(item, ("modelVersionId",))), "")
            weight = next(iter(_said(item, ("weight", "strength"))), "")
            called = name or (f"version {number}" if number else "")
            if called:
                yield f"{called} at {weight}" if weight else called
