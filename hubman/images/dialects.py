"""JSON that programs write about a picture: hubman's own, SwarmUI, InvokeAI, Fooocus, and LoRA Manager's recipes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hubman.images import tags
from hubman.images.found import Found, items, mapping, text, used
from registry.usage import Kind, Used

_Json = Mapping[str, Any]


def own(chunk: _Json) -> Found | None:
    """The chunk ``hubman`` (:class:`hubman.generate.pictures.Chunk`), which names files by their SHA-256."""
    request = mapping(chunk.get("request"))
    if not request:
        return None
    uses: list[Used] = []
    for lora in map(mapping, items(request.get("loras"))):
        strength = lora.get("strength", 1.0) or lora.get("te_strength", 0.0)
        uses += used("lora", lora.get("name"), hash=lora.get("sha256"), strength=strength)
    uses += used("checkpoint", request.get("base"), hash=request.get("base_sha256"))
    return Found(tool="hubman", prompt=text(request.get("prompt")), uses=tuple(uses))


def swarm(told: _Json) -> Found | None:
    """SwarmUI's ``{"sui_image_params": {…}, "sui_models": [{"name", "param", "hash"}]}``; its hashes are of tensors."""
    params = mapping(told.get("sui_image_params"))
    if not params:
        return None
    hashes = {
        (text(one.get("param")), text(one.get("name"))): one.get("hash")
        for one in map(mapping, items(told.get("sui_models")))
    }

    def one(kind: Kind, param: str, name: object, strength: object = None) -> list[Used]:
        known = {shown.rpartition(".")[0] or shown: value for (of, shown), value in hashes.items() if of == param}
        plain = text(name)
        return used(kind, plain, hash=hashes.get((param, plain)) or known.get(plain), strength=strength)

    names, weights = _listed(params.get("loras")), _listed(params.get("loraweights"))
    uses = list(tags.loras(text(params.get("prompt"))))
    for number, name in enumerate(names):
        uses += one("lora", "loras", name, weights[number] if number < len(weights) else 1.0)
    for param in ("model", "refinermodel"):
        uses += one("checkpoint", param, params.get(param))
    uses += one("vae", "vae", params.get("vae"))
    uses += one("controlnet", "controlnetmodel", params.get("controlnetmodel"))
    return Found(tool="swarmui", prompt=text(params.get("prompt")), uses=tuple(uses))


def _listed(value: object) -> list[Any]:
    """A list, or a text with commas, as older versions wrote it."""
    return value.split(",") if isinstance(value, str) else items(value)


def invoke(told: _Json) -> Found | None:
    """InvokeAI's ``invokeai_metadata``: models are records with name and hash, until version 3 with ``model_name``."""
    if not ({"positive_prompt", "loras", "model"} & told.keys()):
        return None
    uses = _invoke_model("checkpoint", told.get("model")) + _invoke_model("vae", told.get("vae"))
    uses += _invoke_model("checkpoint", told.get("refiner_model"))
    for lora in map(mapping, items(told.get("loras"))):
        uses += _invoke_model("lora", lora.get("model") or lora.get("lora"), lora.get("weight"))
    for control in map(mapping, items(told.get("controlnets"))):
        uses += _invoke_model("controlnet", control.get("control_model"))
    return Found(tool="invokeai", prompt=text(told.get("positive_prompt")), uses=tuple(uses))


def _invoke_model(kind: Kind, model: object, strength: object = None) -> list[Used]:
    told = mapping(model)
    name = told.get("name") or told.get("model_name") or (model if isinstance(model, str) else "")
    return used(kind, name, hash=told.get("hash"), strength=strength)


def fooocus(told: _Json) -> Found | None:
    """Fooocus' JSON: ``loras`` are ``[name, weight, hash]``."""
    if "base_model" not in told:
        return None
    uses = used("checkpoint", told.get("base_model"), hash=told.get("base_model_hash"))
    uses += used("checkpoint", told.get("refiner_model"), hash=told.get("refiner_model_hash"))
    for lora in items(told.get("loras")):
        if isinstance(lora, list) and len(lora) >= 2:
            uses += used("lora", lora[0], strength=lora[1], hash=lora[2] if len(lora) > 2 else "")
    return Found(tool="fooocus", prompt=text(told.get("prompt")), uses=tuple(uses))


def recipe(told: _Json) -> Found | None:
    """A recipe of LoRA Manager, written after ``Recipe metadata: `` into the UserComment."""
    if "loras" not in told and "checkpoint" not in told:
        return None
    uses = list(_recipe_uses(told))
    return Found(tool="recipe", prompt=text(mapping(told.get("gen_params")).get("prompt")), uses=tuple(uses))


def _recipe_uses(told: _Json) -> Iterator[Used]:
    for lora in map(mapping, items(told.get("loras"))):
        if not lora.get("exclude"):
            yield from used(
                "lora",
                lora.get("file_name") or lora.get("modelName"),
                hash=lora.get("hash"),
                civitai_id=lora.get("modelVersionId"),
                strength=lora.get("strength"),
            )
    base = mapping(told.get("checkpoint"))
    name = base.get("file_name") or base.get("modelName")
    yield from used("checkpoint", name, hash=base.get("hash"), civitai_id=base.get("modelVersionId"))
