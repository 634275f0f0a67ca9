"""Generation data of a picture as Civitai reads it, with what links the picture to the LoRA that it shows."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

import msgspec

from hubman import __version__
from hubman.generate.infotext import EMPTY_HASH, Infotext, write
from registry.errors import DamagedFileError

if TYPE_CHECKING:
    from hubman.civitai.form import VersionPart

_TEXTS = {"prompt": "prompt", "negativePrompt": "negativePrompt", "negative_prompt": "negativePrompt",
          "negative": "negativePrompt", "sampler": "sampler", "Model": "Model"}  # fmt: skip
_NUMBERS = {"steps": "steps", "seed": "seed", "cfgScale": "cfgScale", "cfg_scale": "cfgScale", "cfg": "cfgScale",
            "clipSkip": "clipSkip", "clip_skip": "clipSkip"}  # fmt: skip
_FIELDS = {"steps": "Steps", "sampler": "Sampler", "cfgScale": "CFG scale", "seed": "Seed", "Size": "Size"}
_HASH = re.compile(r"[0-9a-f]{10,64}")
_TAG = re.compile(r"<lora:([^:<>]{1,200}):(-?[0-9.]{1,10})[^<>]{0,100}>")


class Composed(msgspec.Struct, frozen=True, kw_only=True):
    """``meta`` for ``post.addImage``, still without the new version's id, and the strength that the LoRA had."""

    meta: dict[str, Any]
    strength: float | None
    is_other: bool = False
    """It names LoRAs, and not this one."""


class Own(msgspec.Struct, frozen=True, kw_only=True):
    """The LoRA that is published: the names that a picture may call it by, its hashes and its recommended strength."""

    name: str
    """Its file's, without suffix."""
    names: frozenset[str]
    sha256: str
    autov3: str = ""
    strength: float | None = None


def own(part: VersionPart) -> Own:
    stem = PurePath(part.file.name).stem
    return Own(
        name=stem,
        names=frozenset({stem, part.prompt_name}),
        sha256=part.file.sha256,
        autov3=part.file.autov3,
        strength=part.strength,
    )


class Use(msgspec.Struct, frozen=True, kw_only=True):
    """A LoRA in a picture; ``sha256`` may be empty, or only its beginning."""

    name: str
    weight: float
    sha256: str = ""


def compose(
    generation: Mapping[str, Any], lora: Own, *, path: Path, links: Mapping[str, int] | None = None
) -> Composed:
    """Civitai's keys from a preview's generation data, or from the picture's own where it has none."""
    is_whole = generation.get("prompt") and "steps" in generation
    known = dict(generation) if is_whole else {**_from_picture(path), **generation}
    meta = _known_fields(known)
    used = uses(known)
    mine = next((use for use in used if _is_own(use, lora)), None)
    if meta:
        # Without it Civitai takes a picture that names versions for one made by its own generator.
        meta["Version"] = f"hubman {__version__}"
        others = [use for use in used if use is not mine]
        meta["resources"] = [_resource(_own_use(mine, lora)), *(_resource(use) for use in others)]
        if hashes := _hashes(lora, known):
            meta["hashes"] = hashes
        if linked_to := _linked(known, others, links or {}):
            meta["civitaiResources"] = linked_to
    return Composed(meta=meta, strength=mine.weight if mine else None, is_other=bool(used) and mine is None)


def linked(meta: Mapping[str, Any], version_id: int, strength: float | None) -> dict[str, Any]:
    """``meta`` with a link by id to the version: a link by hash finds nothing before the file is scanned."""
    if not meta:
        return {}
    weight = 1.0 if strength is None else strength
    own_link = {"type": "lora", "modelVersionId": version_id, "weight": weight}
    return {**meta, "civitaiResources": [*meta.get("civitaiResources", []), own_link]}


def hashes(known: Mapping[str, Any]) -> list[str]:
    """Hashes of the models in generation data: SHA-256, or its beginning of ten digits or more."""
    told = [use.sha256 for use in uses(known)] + [str(known.get("Model hash", "")).lower()]
    return [digest for digest in told if _HASH.fullmatch(digest) and not digest.startswith(EMPTY_HASH[:10])]


def _linked(known: Mapping[str, Any], others: list[Use], links: Mapping[str, int]) -> list[dict[str, Any]]:
    """By id, the other models that the site has: the checkpoint first."""
    base = links.get(str(known.get("Model hash", "")).lower())
    found: list[dict[str, Any]] = [{"type": "checkpoint", "modelVersionId": base}] if base else []
    shown = [use for use in others if use.sha256 in links]
    return found + [{"type": "lora", "modelVersionId": links[use.sha256], "weight": use.weight} for use in shown]


def infotext(meta: Mapping[str, Any]) -> str:
    """The text that A1111 would write for ``meta``; empty without ``steps``, by which readers know such a text."""
    if "steps" not in meta:
        return ""
    hashes = meta.get("hashes", {})
    loras = {name.removeprefix("lora:"): value for name, value in hashes.items() if name.startswith("lora:")}
    named = {
        **{name: meta.get(key) for key, name in _FIELDS.items()},
        "Model hash": hashes.get("model"),
        "Model": meta.get("Model"),
        "Clip skip": meta.get("clipSkip"),
        "Lora hashes": ", ".join(f"{name}: {value}" for name, value in loras.items()) or None,
        "Version": meta.get("Version"),
    }
    told = {"Hashes": hashes, "Civitai resources": meta.get("civitaiResources")}
    return write(
        Infotext(
            prompt=str(meta.get("prompt", "")),
            negative=str(meta.get("negativePrompt", "")),
            fields={
                name: f"{value:g}" if isinstance(value, float) else str(value)
                for name, value in named.items()
                if value is not None
            },
            json_fields={name: value for name, value in told.items() if value},
        )
    )


def _hashes(lora: Own, known: Mapping[str, Any]) -> dict[str, str]:
    """By name as A1111 writes them: AutoV3 of the LoRA, 12 digits, as the site shows it, and the checkpoint's AutoV2."""
    found = {f"lora:{lora.name}": lora.autov3[:12]} if lora.autov3 else {}
    base = str(known.get("Model hash", "")).lower()
    return {"model": base, **found} if _HASH.fullmatch(base) else found


def _known_fields(known: Mapping[str, Any]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for key, name in _TEXTS.items():
        if isinstance(known.get(key), str) and known[key].strip():
            fields.setdefault(name, known[key].strip())
    for key, name in _NUMBERS.items():
        number = _number(known.get(key))
        if number is not None:
            fields.setdefault(name, number)
    base = fields.get("Model") or known.get("base")
    if isinstance(base, str) and base:
        fields["Model"] = _file_name(base)
    width, height = _number(known.get("width")), _number(known.get("height"))
    if width and height:
        fields["Size"] = f"{width:g}x{height:g}"
    return fields if "prompt" in fields else {}


def _file_name(text: str) -> str:
    """The last part of what may be a path of this machine, without the suffix of a model file."""
    last = re.split(r"[\\/]", text.rstrip("\\/"))[-1]
    return re.sub(r"(?i)\.(safetensors|sft|ckpt|gguf|pth?|bin)$", "", last) or last


def _number(value: object) -> float | int | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    if not math.isfinite(number):
        return None
    # Seeds pass 2**53: an integer stays one.
    return int(value) if isinstance(value, int) or (isinstance(value, str) and value.isdigit()) else number


def uses(known: Mapping[str, Any]) -> list[Use]:
    """The LoRAs that generation data name: as a list, as one, or as tags in the prompt."""
    listed = known.get("loras") if isinstance(known.get("loras"), (list, tuple)) else [known.get("lora")]
    found = [use for use in (_use(item) for item in listed or ()) if use]
    names = {use.name for use in found}
    for name, weight in _TAG.findall(str(known.get("prompt", ""))):
        number = _number(weight)
        if name not in names and number is not None:
            found.append(Use(name=name, weight=float(number)))
    return found


def _use(item: object) -> Use | None:
    if not isinstance(item, Mapping):
        return None
    weight = _number(item.get("weight", item.get("strength", 1.0)))
    name = _file_name(str(item.get("name") or item.get("path", "")))
    return Use(name=name, weight=1.0 if weight is None else float(weight), sha256=str(item.get("sha256", "")).lower())


def _is_own(use: Use, lora: Own) -> bool:
    if use.sha256:
        return lora.sha256.startswith(use.sha256) or (bool(lora.autov3) and lora.autov3.startswith(use.sha256))
    return use.name in lora.names


def _own_use(mine: Use | None, lora: Own) -> Use:
    weight = mine.weight if mine else 1.0 if lora.strength is None else lora.strength
    return Use(name=lora.name, weight=weight, sha256=lora.sha256)


def _resource(use: Use) -> dict[str, Any]:
    """``hash`` is AutoV2, the first 10 digits of SHA-256, by which Civitai finds a scanned file."""
    resource: dict[str, Any] = {"type": "lora", "name": use.name, "weight": use.weight}
    is_known = _HASH.fullmatch(use.sha256) and not use.sha256.startswith(EMPTY_HASH[:10])
    return {**resource, "hash": use.sha256[:10]} if is_known else resource


def _from_picture(path: Path) -> dict[str, Any]:
    from hubman.generate.pictures import read_info

    try:
        info, chunk = read_info(path)
    except DamagedFileError:
        return {}
    if info is None:
        return {}
    drawn = (
        []
        if chunk is None
        else [{"name": use.name, "strength": use.strength, "sha256": use.sha256} for use in chunk.request.loras]
    )
    keys = {"Steps": "steps", "Sampler": "sampler", "CFG scale": "cfgScale", "Seed": "seed", "Clip skip": "clipSkip",
            "Model": "Model", "Model hash": "Model hash"}  # fmt: skip
    known: dict[str, Any] = {ours: info.fields[theirs] for theirs, ours in keys.items() if theirs in info.fields}
    if info.size:
        known.update(width=info.size[0], height=info.size[1])
    known |= {"loras": drawn} if drawn else {}
    return {**known, "prompt": info.prompt, "negativePrompt": info.negative}
