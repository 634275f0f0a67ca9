"""The dialects that hubman writes: which keys are its own in each, and what it says there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from registry import sidecar_values as values
from registry.sidecar_form import Form, Known, Own, hashes_of, is_empty, kept_words, kind_of
from registry.sidecar_programs import shape_of
from registry.sidecar_values import Document

# Civitai's own ----------------------------------------------------------------------------------------------------------


def _civitai_refusal(doc: Document) -> str:
    return "" if values.number(doc.get("id")) else "it says that Civitai does not know the file"


def _civitai_own(known: Known, doc: Document) -> Iterator[Own]:
    yield "trainedWords", kept_words(doc.get("trainedWords"), known.version.trigger_words), True
    yield "baseModel", known.version.base_model, "base_model" in known.decided


def _civitai_fresh(known: Known) -> dict[str, Any]:
    model, version, file = known.model, known.version, known.file
    return {
        "id": version.civitai_id,
        "modelId": model.civitai_id,
        "name": version.name,
        "baseModel": version.base_model or "Other",
        "trainedWords": list(version.trigger_words),
        "description": version.changelog,
        "files": [
            {
                "name": known.path.name, "type": "Model", "sizeKB": known.size / 1024, "primary": True,
                "hashes": hashes_of(file, ("AutoV1", "AutoV2", "AutoV3", "SHA256", "CRC32", "BLAKE3")),
            }
        ],
        "images": [],
        "model": {
            "name": model.name, "type": kind_of(known), "nsfw": model.nsfw_level >= 4, "poi": False, "tags": list(model.tags),
            "description": model.description, **({"creator": {"username": model.creator}} if model.creator else {}),
            **model.permissions,
        },
    }  # fmt: skip


def _not_on_civitai(known: Known) -> str:
    # A version without an id is that dialect's way to say that Civitai does not know the file.
    return (
        ""
        if known.version.civitai_id and known.model.civitai_id
        else "the model is not on Civitai, as this dialect needs"
    )


# LoRA Manager -----------------------------------------------------------------------------------------------------------


def _manager_refusal(doc: Document) -> str:
    return (
        "" if {"file_path", "file_name", "model_name", "usage_tips"} & set(doc) else "it is no record of LoRA Manager"
    )


def _manager_own(known: Known, doc: Document) -> Iterator[Own]:
    model, version = known.model, known.version
    yield "model_name", model.name, "name" in known.decided
    yield "base_model", version.base_model, "base_model" in known.decided
    yield "notes", model.notes, "notes" in known.decided
    yield "favorite", model.favourite if model.favourite or "favourite" in known.decided else None, True
    yield "tags", kept_words(doc.get("tags"), model.tags), True
    yield "modelDescription", model.description, "description" in known.decided
    yield "usage_tips", _tips(known, doc.get("usage_tips")), True
    theirs = values.words(values.mapping(doc.get("civitai")).get("trainedWords"))
    if "trainedWords" in doc or {word.casefold() for word in theirs} != {
        word.casefold() for word in version.trigger_words
    }:
        yield "trainedWords", kept_words(doc.get("trainedWords"), version.trigger_words), True


def _tips(known: Known, before: object) -> str | None:
    """The JSON text of the strengths, with whatever else stands in it."""
    doc = values.decoded(before) if before else {}
    if not isinstance(doc, dict):
        return None
    tips = dict(doc)
    for key in ("strength", "strength_min", "strength_max"):
        value = getattr(known.version, key)
        if value is not None and (is_empty(tips.get(key)) or key in known.decided) and tips.get(key) != value:
            tips[key] = value
    return msgspec.json.encode(tips).decode() if tips != doc else None


def _manager_fresh(known: Known) -> dict[str, Any]:
    model, version, file = known.model, known.version, known.file
    is_linked = bool(version.civitai_id and model.civitai_id)
    return {
        "file_name": known.path.stem,
        "model_name": model.name,
        "file_path": known.path.as_posix(),
        "size": known.size,
        "modified": known.modified,
        "sha256": file.sha256,
        "autov3": file.autov3[:12] if file.autov3 else None,
        "base_model": version.base_model or "Unknown",
        "preview_url": known.preview.as_posix() if known.preview else "",
        "preview_nsfw_level": model.nsfw_level,
        "notes": model.notes or "",
        "usage_tips": _tips(known, None) or "{}",
        "tags": list(model.tags),
        "modelDescription": model.description or "",
        "favorite": model.favourite,
        "exclude": False,
        "from_civitai": is_linked,
        "hash_status": "completed",
        "trainedWords": list(version.trigger_words),
        "civitai": _civitai_fresh(known) if is_linked else {},
    }


# StabilityMatrix --------------------------------------------------------------------------------------------------------


def _matrix_refusal(doc: Document) -> str:
    return "" if {"ModelName", "ModelId", "UserTitle"} & set(doc) else "it is no record of StabilityMatrix"


def _matrix_own(known: Known, doc: Document) -> Iterator[Own]:
    if "name" in known.decided and known.model.name != doc.get("ModelName"):
        # Its own name for a person's choice: what another program calls the model is no reason to fill it.
        yield "UserTitle", known.model.name, True
    yield "BaseModel", known.version.base_model, "base_model" in known.decided
    yield "Tags", kept_words(doc.get("Tags"), known.model.tags), True
    yield "TrainedWords", kept_words(doc.get("TrainedWords"), known.version.trigger_words), True


def _matrix_fresh(known: Known) -> dict[str, Any]:
    model, version, file = known.model, known.version, known.file
    return {
        "ModelId": model.civitai_id,
        "ModelName": model.name,
        "ModelDescription": model.description,
        "Nsfw": model.nsfw_level >= 4,
        "Tags": list(model.tags),
        "ModelType": kind_of(known),
        "VersionId": version.civitai_id,
        "VersionName": version.name,
        "VersionDescription": version.changelog,
        "AuthorUsername": model.creator,
        "BaseModel": version.base_model,
        "ImportedAt": file.added_at.replace("Z", "+00:00"),
        "Hashes": hashes_of(file, ("SHA256", "CRC32", "BLAKE3")),
        "TrainedWords": list(version.trigger_words),
        "UserTitle": model.name if "name" in known.decided else None,
        "ThumbnailImageUrl": None,
        "Source": 0 if model.civitai_id else 3,
    }


# A1111 and Forge --------------------------------------------------------------------------------------------------------


def _a1111_refusal(doc: Document) -> str:
    shape = shape_of(doc)
    named = {
        "model": "a whole model of Civitai",
        "version": "a version of Civitai",
        "other": "something that is not known",
    }
    return "" if shape == "settings" else f"it holds {named[shape]}"


def _a1111_own(known: Known, doc: Document) -> Iterator[Own]:
    version = known.version
    yield "activation text", _activation(doc.get("activation text"), version.trigger_words), True
    yield "preferred weight", version.strength, "strength" in known.decided
    yield "negative text", version.negative_prompt, "negative_prompt" in known.decided
    yield "notes", known.model.notes, "notes" in known.decided
    yield "description", known.model.description, False


def _activation(before: object, ours: Sequence[str]) -> str:
    """The words in a prompt; alternative prompts between ``||`` stay alternatives."""
    groups = [group.split(", ") for group in before.split("||")] if isinstance(before, str) and before.strip() else [[]]
    wanted = {word.casefold() for word in ours}
    kept = [[word.strip() for word in group if word.strip(" ,").casefold() in wanted] for group in groups]
    there = {word.strip(" ,").casefold() for group in kept for word in group}
    if isinstance(before, str) and {word.casefold() for word in _activated(before)} == wanted:
        return before
    kept[-1] += [word for word in ours if word.casefold() not in there]
    return " || ".join(", ".join(group) for group in kept if group)


def _activated(text: str) -> tuple[str, ...]:
    return values.words([word for group in text.split("||") for word in group.split(", ")])


def _a1111_fresh(known: Known) -> dict[str, Any]:
    return {
        "description": known.model.description or "",
        "sd version": _coarse(known.version.base_model),
        "activation text": _activation("", known.version.trigger_words),
        "preferred weight": known.version.strength or 0,
        "negative text": known.version.negative_prompt or "",
        "notes": known.model.notes or "",
    }


_COARSE = {
    "sd 1": "SD1",
    "sd 2": "SD2",
    "sdxl": "SDXL",
    "pony": "SDXL",
    "illustrious": "SDXL",
    "noobai": "SDXL",
    "flux": "Flux",
}


def _coarse(base: str | None) -> str:
    if not base:
        return "Unknown"
    return next((name for start, name in _COARSE.items() if base.lower().startswith(start)), "Other")


# SwarmUI and rgthree ----------------------------------------------------------------------------------------------------


def _swarm_refusal(doc: Document) -> str:
    return "" if all(key.startswith("modelspec.") for key in doc) else "it has keys that are not SwarmUI's"


def _swarm_own(known: Known, doc: Document) -> Iterator[Own]:
    model, version = known.model, known.version
    weight = None if version.strength is None else f"{version.strength:g}"
    tags = doc.get("modelspec.tags")
    before = tags.split(",") if isinstance(tags, str) else tags
    phrase = doc.get("modelspec.trigger_phrase")
    told = values.words(phrase.split(";")) if isinstance(phrase, str) else ()
    yield "modelspec.title", model.name, "name" in known.decided
    yield "modelspec.author", model.creator, "creator" in known.decided
    yield "modelspec.description", model.description, "description" in known.decided
    if {word.casefold() for word in told} != {word.casefold() for word in version.trigger_words}:
        yield "modelspec.trigger_phrase", "; ".join(kept_words(list(told), version.trigger_words)), True
    if {word.casefold() for word in values.words(before)} != {word.casefold() for word in model.tags}:
        kept = kept_words(before, model.tags)
        yield "modelspec.tags", ", ".join(map(str, kept)) if isinstance(tags, str) else kept, True
    yield "modelspec.lora_default_weight", weight, "strength" in known.decided


def _swarm_fresh(known: Known) -> dict[str, Any]:
    filled = {key: value for key, value, _ in _swarm_own(known, {}) if not is_empty(value)}
    return {"modelspec.name": known.path.stem, **filled}


def _rgthree_refusal(doc: Document) -> str:
    keys = {"file", "path", "trainedWords", "triggerWords", "userNote", "raw", "hasInfoFile"}
    return "" if keys & set(doc) else "it is no record of rgthree"


def _rgthree_own(known: Known, doc: Document) -> Iterator[Own]:
    model, version = known.model, known.version
    yield "strengthMin", version.strength_min, "strength_min" in known.decided
    yield "strengthMax", version.strength_max, "strength_max" in known.decided
    yield "userNote", model.notes, "notes" in known.decided
    yield "userTags", kept_words(doc.get("userTags"), model.tags), True
    before = values.items(doc.get("trainedWords") or doc.get("triggerWords"))
    there = {str(values.mapping(entry).get("word", entry)).casefold() for entry in before}
    added = [{"word": word, "user": True} for word in version.trigger_words if word.casefold() not in there]
    if added:
        yield "trainedWords", [*before, *added], True


def _rgthree_fresh(known: Known) -> dict[str, Any]:
    return {
        "file": known.path.name,
        "path": known.path.as_posix(),
        "name": known.model.name,
        "type": kind_of(known),
        "baseModel": known.version.base_model,
        "sha256": known.file.sha256,
        **{key: value for key, value, _ in _rgthree_own(known, {}) if not is_empty(value)},
    }


WRITERS: Mapping[str, Form] = {
    "civitai.info": Form(4, _civitai_refusal, _civitai_own, _civitai_fresh, _not_on_civitai),
    "metadata.json": Form(2, _manager_refusal, _manager_own, _manager_fresh),
    "cm-info.json": Form(0, _matrix_refusal, _matrix_own, _matrix_fresh),
    "json": Form(4, _a1111_refusal, _a1111_own, _a1111_fresh),
    "swarm.json": Form(4, _swarm_refusal, _swarm_own, _swarm_fresh),
    "rgthree-info.json": Form(2, _rgthree_refusal, _rgthree_own, _rgthree_fresh),
}
"""Dialect to how it is written."""
