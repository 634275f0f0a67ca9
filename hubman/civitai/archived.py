"""What the archive holds of a model, as a person reads it: its page as it was last seen, also when it is gone."""

from __future__ import annotations

import msgspec

from hubman.civitai import facts
from hubman.civitai.html_text import to_text
from hubman.civitai.records import RemoteFile, RemoteModel, RemoteVersion, model_from, version_from
from registry import archive, licence
from registry.database import Registry


class ArchivedFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file of a version; ``size`` in bytes, ``hashes`` by their kind."""

    name: str
    type: str
    size: int
    hashes: dict[str, str]


class Example(msgspec.Struct, frozen=True, kw_only=True):
    """An example picture and what it was drawn with, as far as its page told."""

    url: str
    prompt: str = ""
    negative_prompt: str = ""


class ArchivedVersion(msgspec.Struct, frozen=True, kw_only=True):
    number: int
    name: str
    base_model: str
    published_at: str
    changelog: str
    trigger_words: tuple[str, ...]
    files: tuple[ArchivedFile, ...]
    examples: tuple[Example, ...]
    is_gone: bool = False
    """It left its model's page."""


class Archived(msgspec.Struct, frozen=True, kw_only=True):
    """A model's page as it was seen at ``seen_at``. ``gone_at``: since when the site says that it has none."""

    number: int
    name: str
    creator: str
    type: str
    seen_at: str
    gone_at: str
    mode: str
    """``Archived`` or ``TakenDown`` where the site said so."""
    licence: str
    tags: tuple[str, ...]
    description: str
    versions: tuple[ArchivedVersion, ...]


def archived(registry: Registry, number: int) -> Archived | None:
    """What is archived of the model with Civitai's number ``number``; None if nothing is."""
    page, raw = archive.page(registry, number), archive.model(registry, number)
    if page is None or raw is None:
        return None
    model = model_from(raw)
    return Archived(
        number=number,
        name=model.name,
        creator=model.creator,
        type=model.type,
        seen_at=page.seen_at,
        gone_at=page.gone_at,
        mode=model.mode,
        licence=_licence(model),
        tags=model.tags,
        description=to_text(model.description),
        versions=tuple(_version(registry, version) for version in model.versions),
    )


def _licence(model: RemoteModel) -> str:
    told = facts.permissions(model) or {}
    return f"{licence.letters(told)}  {licence.words(told)}"


def _version(registry: Registry, version: RemoteVersion) -> ArchivedVersion:
    whole = version_from(archive.version(registry, version.id) or {})
    return ArchivedVersion(
        number=version.id,
        name=version.name,
        base_model=version.base_model,
        published_at=version.published_at,
        changelog=to_text(version.description),
        trigger_words=version.trained_words,
        files=tuple(_file(file) for file in version.files),
        examples=tuple(_examples(whole if whole.images else version)),
        is_gone=version.is_gone,
    )


def _file(file: RemoteFile) -> ArchivedFile:
    hashes = {kind: str(value) for kind, value in file.hashes.items()}
    return ArchivedFile(name=file.name, type=file.type, size=file.size, hashes=hashes)


def _examples(version: RemoteVersion) -> list[Example]:
    return [
        Example(
            url=image.url,
            prompt=str(image.meta.get("prompt") or ""),
            negative_prompt=str(image.meta.get("negativePrompt") or ""),
        )
        for image in version.images
    ]
