"""InvokeAI's record of a picture as its settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hubman.generate.prompt_dialects import to_a1111
from hubman.images.found import hash_of, items, mapping, number, text
from hubman.images.told import Told, ToldLora, side, whole

_SAMPLERS = {
    "euler": "Euler", "euler_a": "Euler a", "heun": "Heun", "lms": "LMS", "kdpm_2": "DPM2", "kdpm_2_a": "DPM2 a",
    "dpmpp_2s": "DPM++ 2S a", "dpmpp_2m": "DPM++ 2M", "dpmpp_2m_sde": "DPM++ 2M SDE", "dpmpp_3m_sde": "DPM++ 3M SDE",
    "dpmpp_sde": "DPM++ SDE", "ddim": "DDIM", "pndm": "PLMS", "unipc": "UniPC", "lcm": "LCM",
}  # fmt: skip
"""A name that ends in ``_k`` has the schedule of Karras."""


def told_of(record: Mapping[str, Any]) -> Told:
    """The settings of ``invokeai_metadata``."""
    scheduler = text(record.get("scheduler"))
    plain = scheduler.removesuffix("_k")
    model = mapping(record.get("model"))
    skipped = whole(record, "clip_skip") or 0
    return Told(
        tool="invokeai",
        prompt=to_a1111(text(record.get("positive_prompt")), "invokeai"),
        negative=to_a1111(text(record.get("negative_prompt")), "invokeai"),
        loras=tuple(_loras(record)),
        model=text(model.get("name") or model.get("model_name")),
        model_hash=hash_of(model.get("hash")),
        seed=whole(record, "seed"),
        steps=whole(record, "steps"),
        cfg=number(record.get("cfg_scale")),
        sampler=_SAMPLERS.get(plain, plain),
        schedule="Karras" if scheduler.endswith("_k") else "",
        width=side(record.get("width")),
        height=side(record.get("height")),
        clip_skip=1 + min(skipped, 24),
        remarks=tuple(_remarks(record)),
    )


def _loras(record: Mapping[str, Any]) -> Iterator[ToldLora]:
    for lora in map(mapping, items(record.get("loras"))):
        model = mapping(lora.get("model") or lora.get("lora"))
        name = text(model.get("name") or model.get("model_name"))
        weight = number(lora.get("weight"))
        if name:
            yield ToldLora(name=name, hash=hash_of(model.get("hash")), strength=1.0 if weight is None else weight)


def _remarks(record: Mapping[str, Any]) -> Iterator[str]:
    if record.get("rand_device", "cpu") != "cpu":
        yield f"its noise was drawn on {text(record.get('rand_device'))}, ours is the CPU's: the picture will be another one"
    if record.get("controlnets"):
        yield "its ControlNet is not carried over"
    if any(call in text(record.get("positive_prompt")) for call in (".blend(", ".and(", ".swap(")):
        yield "its prompt blends prompts: that is text here"
