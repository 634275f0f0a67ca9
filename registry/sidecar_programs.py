"""What the managers and user interfaces write beside a model, one function a dialect, each into the same record."""

from __future__ import annotations

from registry import sidecar_values as values
from registry.sidecar_civitai import civitai_model, civitai_version, names_file
from registry.sidecar_record import ALONE, Beside, Sidecar
from registry.sidecar_values import Document

_X = 8


def lora_manager(doc: Document, _beside: Beside = ALONE) -> Sidecar:
    """``STEM.metadata.json`` of ComfyUI LoRA Manager: its own record around Civitai's."""
    inner = civitai_version(values.mapping(doc.get("civitai")))
    tips = values.mapping(values.decoded(doc.get("usage_tips")))
    low, high = values.span(tips.get("strength_range"))
    own = values.said(
        base_model=values.base(doc.get("base_model")),
        strength=values.strength(tips.get("strength")),
        strength_min=_first(values.strength(tips.get("strength_min")), low),
        strength_max=_first(values.strength(tips.get("strength_max")), high),
    )
    model = values.said(
        name=values.name(doc.get("model_name")),
        favourite=True if doc.get("favorite") is True else None,
        upstream_deleted=True if doc.get("civitai_deleted") is True else None,
    )
    # The words of its own list are those of later versions; a person's words of before stand with Civitai's.
    trigger_words = (*values.words(doc.get("trainedWords")), *inner.trigger_words)
    return Sidecar(
        version={**inner.version, **own},
        model={**inner.model, **model},
        trigger_words=values.unique(trigger_words),
        tags=values.words(doc.get("tags")) or inner.tags,
        notes=values.prose(doc.get("notes")),
        description=values.prose(doc.get("modelDescription")) or inner.description,
        changelog=inner.changelog,
        preview_level=values.level(doc.get("preview_nsfw_level")) or 0,
        unplaced=values.filled(doc, "exclude", "hf_url")
        + values.filled(values.mapping(doc.get("civitai")), "customImages", "images"),
        hashes=values.sha256s(doc.get("sha256")) or inner.hashes,
    )


def stability_matrix(doc: Document, _beside: Beside = ALONE) -> Sidecar:
    """``STEM.cm-info.json``: a record in PascalCase."""
    return Sidecar(
        version=values.said(
            version_name=values.name(doc.get("VersionName")),
            base_model=values.base(doc.get("BaseModel")),
            civitai_version_id=values.number(doc.get("VersionId")),
        ),
        model=values.said(
            name=values.name(doc.get("UserTitle")) or values.name(doc.get("ModelName")),
            kind=values.kind(doc.get("ModelType")),
            creator=values.name(doc.get("AuthorUsername")),
            civitai_model_id=values.number(doc.get("ModelId")),
            nsfw_level=_X if doc.get("Nsfw") is True else None,
        ),
        trigger_words=values.words(doc.get("TrainedWords")),
        tags=values.words(doc.get("Tags")),
        description=values.prose(doc.get("ModelDescription")),
        changelog=values.prose(doc.get("VersionDescription")),
        unplaced=values.filled(doc, "InferenceDefaults", "ThumbnailImageUrl"),
        hashes=values.sha256s(values.mapping(doc.get("Hashes")).get("SHA256")),
    )


def a1111(doc: Document, _beside: Beside = ALONE) -> Sidecar:
    """A person's settings of A1111, Forge and their extensions. A weight of 0 means that none was set.

    ``sd version`` is too coarse to say a base model: the header knows better.
    """
    text = doc.get("activation text")
    words = [word for part in (text if isinstance(text, str) else "").split("||") for word in part.split(", ")]
    return Sidecar(
        version=values.said(
            strength=values.strength(doc.get("preferred weight")) or None,
            negative_prompt=values.prose(doc.get("negative text")),
            civitai_version_id=values.number(doc.get("modelVersionId")),
        ),
        model=values.said(civitai_model_id=values.number(doc.get("modelId"))),
        trigger_words=values.words(words),
        notes=values.prose(doc.get("notes")),
        description=values.prose(doc.get("description")),
        hashes=values.sha256s(doc.get("sha256")),
        unplaced=values.filled(doc, "vae", "unpackList", "modelPageURL"),
    )


A1111_KEYS = ("activation text", "sd version", "preferred weight", "negative text")


def shape_of(doc: Document) -> str:
    """Which of its four meanings a ``STEM.json`` has: ``model``, ``version``, ``settings``, or ``other``."""
    if isinstance(doc.get("modelVersions"), list):
        return "model"
    if "modelId" in doc and "files" in doc:
        return "version"
    return "settings" if any(key in doc for key in A1111_KEYS) else "other"


def plain_json(doc: Document, beside: Beside = ALONE) -> Sidecar | None:
    """``STEM.json``; None for what is none of the three shapes that are known."""
    readers = {"model": civitai_model, "version": civitai_version, "settings": a1111}
    reader = readers.get(shape_of(doc))
    return reader(doc, beside) if reader else None


def swarm(doc: Document, _beside: Beside = ALONE) -> Sidecar:
    """``STEM.swarm.json``: flat ``modelspec.`` keys. Its hash is of the tensors, so it tells nothing of the file."""
    spec = {key.removeprefix("modelspec."): value for key, value in doc.items()}
    phrase, tags = spec.get("trigger_phrase"), spec.get("tags")
    return Sidecar(
        version=values.said(strength=values.strength(spec.get("lora_default_weight"))),
        model=values.said(
            name=values.name(spec.get("title")) or values.name(spec.get("name")),
            creator=values.name(spec.get("author")),
        ),
        trigger_words=values.words(phrase.split(";") if isinstance(phrase, str) else None),
        tags=values.words(tags.split(",") if isinstance(tags, str) else tags),
        notes=values.prose(spec.get("usage_hint")),
        description=values.prose(spec.get("description")),
    )


def rgthree(doc: Document, _beside: Beside = ALONE) -> Sidecar:
    """``FILE.rgthree-info.json``, which says of each trigger word where it comes from."""
    listed = values.items(doc.get("trainedWords") or doc.get("triggerWords"))
    words: list[str] = []
    origins: dict[str, str] = {}
    for entry in listed[: values.MAX_WORDS]:
        found = values.words([values.mapping(entry).get("word") if isinstance(entry, dict) else entry])
        words += found
        for word in found:
            origin = next((one for one in _ORIGINS if values.mapping(entry).get(one)), None)
            if origin:
                origins[word] = origin
    civitai = civitai_version(values.mapping(values.mapping(doc.get("raw")).get("civitai")))
    low, high = values.strength(doc.get("strengthMin")), values.strength(doc.get("strengthMax"))
    return Sidecar(
        version={
            **civitai.version,
            **values.said(base_model=values.base(doc.get("baseModel")), strength_min=low, strength_max=high),
        },
        model={**civitai.model, **values.said(kind=values.kind(doc.get("type")))},
        trigger_words=values.unique([*words, *civitai.trigger_words])[: values.MAX_WORDS],
        word_origins={**dict.fromkeys(civitai.trigger_words, "civitai"), **origins},
        tags=values.words(doc.get("userTags")) or civitai.tags,
        notes=values.prose(doc.get("userNote")),
        description=values.prose(doc.get("description")) or civitai.description,
        changelog=civitai.changelog,
        hashes=values.sha256s(doc.get("sha256")),
        unplaced=values.filled(doc, "images", "links"),
    )


_ORIGINS = ("user", "civitai", "metadata")


def civitdl(doc: Document, beside: Beside = ALONE) -> Sidecar:
    """``model_dict-mid_M-vid_V.json``: a whole model; which version it is the name says."""
    whole = civitai_model(doc, beside) if doc else Sidecar()
    if beside.ids is None:
        return whole
    model, version = beside.ids
    return Sidecar(
        version={**whole.version, "civitai_version_id": version},
        model={**whole.model, "civitai_model_id": model},
        trigger_words=whole.trigger_words,
        tags=whole.tags,
        description=whole.description,
        changelog=whole.changelog,
        hashes=whole.hashes,
    )


def go_civitai(doc: Document, beside: Beside = ALONE) -> Sidecar | None:
    """``{model id}-{slug}.json`` of go-civitai-downloader: a whole model, lying beside all its files and perhaps others."""
    return civitai_model(doc, beside) if names_file(doc, beside) else None


def _first(*found: float | None) -> float | None:
    return next((one for one in found if one is not None), None)
