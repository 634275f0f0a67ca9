"""What the sidecar files of other programs say, one function a dialect, each into the same record.

Everything in them is somebody else's text: types are checked, control characters go, lengths are bounded. Fields that
do not fit are as good as absent.
"""

from __future__ import annotations

import html
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

MAX_NAME = 200
MAX_TEXT = 60_000
MAX_WORDS = 100
_KINDS = {
    "lora": "lora", "locon": "lora", "dora": "lora", "lycoris": "lora", "checkpoint": "checkpoint", "vae": "vae",
    "textualinversion": "embedding", "controlnet": "controlnet",
}  # fmt: skip

Document = Mapping[str, Any]


@dataclass(frozen=True)
class Sidecar:
    """What one sidecar says. ``hashes`` are the SHA-256 (lower case) of the files that it speaks of, if it tells."""

    version: Mapping[str, object] = field(default_factory=dict)
    model: Mapping[str, object] = field(default_factory=dict)
    trigger_words: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    notes: str = ""
    description: str = ""
    hashes: frozenset[str] = frozenset()

    @property
    def model_number(self) -> int | None:
        """Civitai's id of the model."""
        number = self.model.get("civitai_model_id")
        return number if isinstance(number, int) else None


def civitai_version(doc: Document) -> Sidecar:
    """``STEM.civitai.info``: a version as Civitai's API returns it."""
    if not _number(doc.get("id")):
        # The writer's note that Civitai does not know the file.
        return Sidecar()
    model = _object(doc.get("model"))
    return Sidecar(
        version=_said(
            version_name=_name(doc.get("name")),
            base_model=_base(doc.get("baseModel")),
            civitai_version_id=_number(doc.get("id")),
        ),
        model=_said(
            name=_name(model.get("name")),
            kind=_kind(model.get("type")),
            creator=_name(_object(model.get("creator") or doc.get("creator")).get("username")),
            civitai_model_id=_number(doc.get("modelId")),
        ),
        trigger_words=_words(doc.get("trainedWords")),
        tags=_words(model.get("tags")),
        description=_prose(model.get("description")),
        hashes=_hashes(doc),
    )


def civitai_model(doc: Document) -> Sidecar:
    """A whole model of Civitai with one version; of several nobody knows which one the file is."""
    versions = [version for version in _list(doc.get("modelVersions")) if isinstance(version, dict)]
    parent = {key: doc.get(key) for key in ("name", "type", "creator", "tags", "description")}
    if len(versions) == 1:
        return civitai_version({**versions[0], "modelId": doc.get("id"), "model": parent})
    bare = civitai_version({"id": 1, "modelId": doc.get("id"), "model": parent})
    return Sidecar(model=bare.model, tags=bare.tags, description=bare.description)


def lora_manager(doc: Document) -> Sidecar:
    """``STEM.metadata.json`` of ComfyUI LoRA Manager: its own record around Civitai's."""
    inner = civitai_version(_object(doc.get("civitai")))
    tips = _object(_decoded(doc.get("usage_tips")))
    own = _said(
        base_model=_base(doc.get("base_model")),
        strength=_strength(tips.get("strength")),
        strength_min=_strength(tips.get("strength_min")),
        strength_max=_strength(tips.get("strength_max")),
    )
    model = _said(name=_name(doc.get("model_name")), favourite=True if doc.get("favorite") is True else None)
    sha256 = doc.get("sha256")
    return Sidecar(
        version={**inner.version, **own},
        model={**inner.model, **model},
        trigger_words=inner.trigger_words or _words(doc.get("trainedWords")),
        tags=_words(doc.get("tags")) or inner.tags,
        notes=_prose(doc.get("notes")),
        description=_prose(doc.get("modelDescription")) or inner.description,
        hashes=frozenset({sha256.lower()}) if isinstance(sha256, str) and sha256 else inner.hashes,
    )


def stability_matrix(doc: Document) -> Sidecar:
    """``STEM.cm-info.json``: a record in PascalCase."""
    sha256 = _object(doc.get("Hashes")).get("SHA256")
    return Sidecar(
        version=_said(
            version_name=_name(doc.get("VersionName")),
            base_model=_base(doc.get("BaseModel")),
            civitai_version_id=_number(doc.get("VersionId")),
        ),
        model=_said(
            name=_name(doc.get("UserTitle")) or _name(doc.get("ModelName")),
            kind=_kind(doc.get("ModelType")),
            creator=_name(doc.get("AuthorUsername")),
            civitai_model_id=_number(doc.get("ModelId")),
        ),
        trigger_words=_words(doc.get("TrainedWords")),
        tags=_words(doc.get("Tags")),
        description=_prose(doc.get("ModelDescription")),
        hashes=frozenset({sha256.lower()}) if isinstance(sha256, str) and sha256 else frozenset(),
    )


def a1111(doc: Document) -> Sidecar:
    """A person's settings of A1111, Forge and their extensions. A weight of 0 means that none was set."""
    words = [word for part in str(doc.get("activation text") or "").split("||") for word in part.split(", ")]
    return Sidecar(
        version=_said(
            strength=_strength(doc.get("preferred weight")) or None,
            civitai_version_id=_number(doc.get("modelVersionId")),
        ),
        model=_said(civitai_model_id=_number(doc.get("modelId"))),
        trigger_words=_words(words),
        notes=_prose(doc.get("notes")),
        description=_prose(doc.get("description")),
        hashes=frozenset({str(doc["sha256"]).lower()}) if isinstance(doc.get("sha256"), str) else frozenset(),
    )


def plain_json(doc: Document) -> Sidecar | None:
    """``STEM.json`` has four meanings; None for what is none of the three that are known."""
    if isinstance(doc.get("modelVersions"), list):
        return civitai_model(doc)
    if "modelId" in doc and "files" in doc:
        return civitai_version(doc)
    if any(key in doc for key in ("activation text", "sd version", "preferred weight", "negative text")):
        return a1111(doc)
    return None


DIALECTS: tuple[tuple[str, Callable[[Document], Sidecar | None]], ...] = (
    (".civitai.info", civitai_version),
    (".metadata.json", lora_manager),
    (".cm-info.json", stability_matrix),
    (".api_info.json", civitai_model),
    (".json", plain_json),
)
"""Endings after the stem, the most trusted first."""


# reading other people's fields ----------------------------------------------------------------------------------------


def _said(**facts: object) -> dict[str, object]:
    return {name: value for name, value in facts.items() if value not in {None, ""}}


def _object(value: object) -> Document:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _decoded(value: object) -> object:
    try:
        return msgspec.json.decode(value) if isinstance(value, str) else value
    except (msgspec.DecodeError, RecursionError):
        return None


def _number(value: object) -> int | None:
    """A positive id; some writers put it into a text."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 16:
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 53 else None


def _strength(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or abs(value) > 15:
        return None
    return float(value)


def _name(value: object) -> str | None:
    return " ".join(_visible(value).split())[:MAX_NAME] if isinstance(value, str) else None


def _base(value: object) -> str | None:
    name = _name(value)
    return None if name in {None, "", "Unknown", "unknown"} else name


def _kind(value: object) -> str | None:
    return _KINDS.get(value.lower()) if isinstance(value, str) else None


def _words(value: object) -> tuple[str, ...]:
    """Words without repetitions, without prompts' LoRA tags."""
    found: dict[str, str] = {}
    for word in _list(value)[: MAX_WORDS * 10]:
        text = (_name(re.sub(r"<lora:[^>]*>", "", word)) or "").strip(" ,") if isinstance(word, str) else ""
        if text:
            found.setdefault(text.casefold(), text)
    return tuple(found.values())[:MAX_WORDS]


def _prose(value: object) -> str:
    """Text with paragraphs, from what may be HTML."""
    if not isinstance(value, str):
        return ""
    text = re.sub(r"(?i)<(br|/p|/div|/li|/h\d)[^>]*>", "\n", value[: 4 * MAX_TEXT])
    text = html.unescape(re.sub(r"<[^<>]*>", "", text)) if "<" in value else text
    return re.sub(r"\n{3,}", "\n\n", _visible(text)).strip()[:MAX_TEXT]


def _visible(text: str) -> str:
    return "".join(char for char in text if char.isprintable() or char in "\n\t ")


def _hashes(doc: Document) -> frozenset[str]:
    files = [_object(_object(file).get("hashes")) for file in _list(doc.get("files"))]
    return frozenset(str(file["SHA256"]).lower() for file in files if file.get("SHA256"))
