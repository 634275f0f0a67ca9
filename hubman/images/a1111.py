"""What A1111, Forge and all that imitate them write: infotext, with names in the prompt and hashes in the fields."""

from __future__ import annotations

import re
from collections.abc import Iterator

from hubman.generate.infotext import Infotext
from hubman.generate.infotext_reading import read as read_infotext
from hubman.images import tags
from hubman.images.found import Found, items, mapping, used
from registry.usage import Kind, Used

_MAX_LENGTH = 256 << 10
_HASHES: dict[str, Kind] = {"lora": "lora", "lyco": "lora", "embed": "embedding"}
_CIVITAI: dict[str, Kind] = {
    "lora": "lora", "lycoris": "lora", "locon": "lora", "dora": "lora", "checkpoint": "checkpoint", "model": "checkpoint",
    "embed": "embedding", "embedding": "embedding", "textualinversion": "embedding", "vae": "vae", "controlnet": "controlnet",
}  # fmt: skip
_MODEL_WITH_HASH = re.compile(r"Model: ([^,\[\]]{1,200}?)(?: \[([0-9a-fA-F]{8,64})\])?(?:,|$)")
_REFINER = re.compile(r"([^\[\]]{1,200}?)(?: \[([0-9a-fA-F]{8,64})\])?")


def read(text: str) -> Found | None:
    """None for a text that has no line of fields: anybody's comment is not a prompt."""
    info = read_infotext(text[:_MAX_LENGTH])
    if not info.fields and not info.json_fields:
        return None
    return Found(tool=tool_of(info), prompt=info.prompt, uses=tuple(_uses(info)))


def tool_of(info: Infotext) -> str:
    """The program that wrote it, by the field ``Version``."""
    version = info.fields.get("Version", "").lower()
    for name in ("hubman", "comfyui"):
        if version.startswith(name):
            return name
    return "forge" if re.match(r"f\d|neo|classic", version) else "a1111"


def _uses(info: Infotext) -> Iterator[Used]:
    yield from tags.loras(info.prompt)
    for name, value in info.lora_hashes.items():
        yield from used("lora", name, hash=value)
    for item in info.fields.get("TI hashes", "").split(","):
        name, _, value = item.rpartition(":")
        yield from used("embedding", name, hash=value)
    hashes = mapping(info.json_fields.get("Hashes"))
    for key, value in hashes.items():
        kind, colon, name = key.partition(":")
        if colon and kind.lower() in _HASHES:
            yield from used(_HASHES[kind.lower()], name, hash=value)
    fields = info.fields
    yield from used("checkpoint", fields.get("Model"), hash=fields.get("Model hash") or hashes.get("model"))
    yield from used("vae", fields.get("VAE"), hash=fields.get("VAE hash") or hashes.get("vae"))
    if refiner := _REFINER.fullmatch(fields.get("Refiner", "")):
        yield from used("checkpoint", refiner[1], hash=refiner[2])
    for key, value in fields.items():
        if key.startswith("ControlNet") and (model := _MODEL_WITH_HASH.search(value)):
            yield from used("controlnet", model[1], hash=model[2])
    for resource in items(info.json_fields.get("Civitai resources")):
        yield from _of_civitai(resource)


def _of_civitai(resource: object) -> list[Used]:
    """What Civitai's own generator notes: ``{"type": "lora", "weight": 0.7, "modelVersionId": 135867}``."""
    told = mapping(resource)
    kind = _CIVITAI.get(str(told.get("type", "")).lower())
    if kind is None:
        return []
    return used(kind, told.get("modelName"), civitai_id=told.get("modelVersionId"), strength=told.get("weight"))
