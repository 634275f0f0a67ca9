"""Infotext as settings of a picture: the prompt without its tags, each LoRA with its hash, and what stays behind."""

from __future__ import annotations

import re
from collections.abc import Iterator

from hubman.generate.infotext import Infotext, is_hash
from hubman.generate.prompt_dialects import to_a1111
from hubman.generate.prompt_tags import cut_tags, tag_name
from hubman.generate.request import EMPHASES, MAX_STEPS, Hires
from hubman.generate.upscaling import UPSCALERS
from hubman.images.told import Told, lora_of, side

_LYCO = re.compile(r"<lyco:")
_HIRES = frozenset({"Hires upscale", "Hires resize", "Hires steps", "Hires upscaler"})
_STAYS = (
    "ControlNet",
    "Refiner",
    "TI hashes",
    "Tiled",
    "ADetailer",
    "Variation",
    "Mask",
    "ENSD",
    "Eta",
    "VAE",
)
"""Beginnings of fields that change the picture and are not carried over."""


def told_of(info: Infotext, tool: str) -> Told:
    """The settings of an infotext that ``tool`` wrote; its prompt is read as that tool reads it."""
    cut = cut_tags(_LYCO.sub("<lora:", info.prompt))
    sampler, schedule = info.sampler
    width, height = info.size or (None, None)
    emphasis = info.fields.get("Emphasis", "Interpolate" if tool == "comfyui" else "Original")
    seed = info.whole("Seed")
    return Told(
        tool=tool,
        prompt=to_a1111(cut.text.strip(), tool),
        negative=to_a1111(info.negative, tool),
        loras=tuple(lora_of(tag, _hash_of(info, tag.name)) for tag in cut.tags),
        model=info.fields.get("Model", ""),
        model_hash=_model_hash(info),
        seed=seed if seed is not None and seed >= 0 else None,
        steps=info.whole("Steps"),
        cfg=info.number("CFG scale"),
        sampler=sampler,
        schedule="" if schedule == "Automatic" else schedule,
        width=side(width),
        height=side(height),
        clip_skip=info.clip_skip,
        emphasis=emphasis if emphasis in EMPHASES else "Original",
        hires=_hires(info),
        remarks=tuple(_remarks(info, tool, emphasis)),
    )


def _hash_of(info: Infotext, name: str) -> str:
    hashes = info.lora_hashes
    return hashes.get(name) or hashes.get(tag_name(name)) or hashes.get(name.replace(":", "").replace(",", "")) or ""


def _model_hash(info: Infotext) -> str:
    hashes = info.json_fields.get("Hashes")
    told = info.fields.get("Model hash") or (hashes.get("model") if isinstance(hashes, dict) else "")
    value = str(told or "").lower()
    return value if is_hash(value) else ""


def _hires(info: Infotext) -> Hires | None:
    """The second pass, by a factor or to a size; upscalers that are networks become Lanczos."""
    resize = re.fullmatch(r"(\d{1,5})x(\d{1,5})", info.fields.get("Hires resize", ""))
    scale = info.number("Hires upscale")
    if not resize and not (scale and 1 < scale <= 8):
        return None
    width, height = (int(value) // 8 * 8 for value in resize.groups()) if resize else (None, None)
    denoise = info.number("Denoising strength")
    return Hires(
        scale=scale if scale and not resize else 2.0,
        width=width or None,
        height=height or None,
        steps=min(info.whole("Hires steps") or 0, MAX_STEPS),
        denoise=0.7 if denoise is None else min(max(denoise, 0.0), 1.0),
        upscaler=_upscaler(info.fields.get("Hires upscaler", "Latent")),
    )


def _upscaler(name: str) -> str:
    return name if name in UPSCALERS else "Latent" if name.startswith("Latent") else "Lanczos"


def _remarks(info: Infotext, tool: str, emphasis: str) -> Iterator[str]:
    if tool != "comfyui" and info.rng != "CPU":
        yield f"its noise was drawn on the {info.rng}, ours is the CPU's: the picture will be another one"
    if emphasis not in EMPHASES:
        yield f"its emphasis {emphasis!r} is not known: weights act as in Original"
    if "Denoising strength" in info.fields and not any(key.startswith("Hires") for key in info.fields):
        yield "it was drawn from another picture, which it does not carry"
    names = [*info.fields, *info.json_fields]
    upscaler = info.fields.get("Hires upscaler", "Latent")
    if upscaler not in UPSCALERS:
        yield f"its second pass was upscaled with {upscaler}"
    if (_hires(info) is None and "Hires upscale" in names) or any(
        n.startswith("Hires ") and n not in _HIRES for n in names
    ):
        yield "its second pass is not carried over as it was"
    for start in _STAYS:
        if any(name.startswith(start) for name in names):
            yield f"its {start} is not carried over"
    listed = {tag_name(tag.name) for tag in cut_tags(_LYCO.sub("<lora:", info.prompt)).tags}
    for name in info.lora_hashes:
        if tag_name(name) not in listed:
            yield f"LoRA {name} has a hash and no tag, so its strength is not known: it is left out"
