"""What the owner of a model sees of it, drafts included: what publishing looks up, compares, and sends back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from hubman.civitai import lenient
from hubman.civitai.errors import UnavailableError
from hubman.civitai.records import Creator, Id, Names


class _Numbered(Protocol):
    @property
    def id(self) -> int: ...


def ensure_whole(raw: object, what: str, number: int, name: str, items: Sequence[_Numbered]) -> None:
    """Raise :class:`UnavailableError` unless ``raw`` is ``what`` of this number and holds the list ``name``, all read.

    A list that is absent is not empty: whoever took it so would send again what is there.
    """
    there = raw.get(name) if isinstance(raw, Mapping) else None
    is_asked = isinstance(raw, Mapping) and raw.get("id") == number
    if not is_asked or not isinstance(there, list) or len(there) != len(items) or not all(item.id for item in items):
        raise UnavailableError(
            f"Civitai's answer about {what} {number} can't be read ({name})",
            "nothing was changed: try again in a few minutes, or with a newer hubman",
        )


class NamedTag(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    name: str = ""


class TagOnModel(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    tag: NamedTag = NamedTag()


class OwnedVersion(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A version as its owner sees it inside its model."""

    id: int = 0
    name: str = ""
    status: str = ""
    base_model: str = ""
    posts: tuple[Id, ...] = ()
    files: tuple[Id, ...] = ()


class OwnedModel(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A model as its owner sees it (``model.getById``)."""

    id: int = 0
    name: str = ""
    status: str = ""
    type: str = ""
    description: str = ""
    upload_type: str = "Created"
    nsfw: bool = False
    poi: bool = False
    minor: bool = False
    sfw_only: bool = False
    allow_no_credit: bool | None = None
    allow_commercial_use: Names = ()
    allow_derivatives: bool | None = None
    allow_different_license: bool | None = None
    tags_on_models: tuple[TagOnModel, ...] = ()
    user: Creator = Creator()
    versions: tuple[OwnedVersion, ...] = msgspec.field(default=(), name="modelVersions")

    @property
    def tags(self) -> tuple[str, ...]:
        return tuple(item.tag.name for item in self.tags_on_models)

    def version(self, version_id: int) -> OwnedVersion | None:
        return next((version for version in self.versions if version.id == version_id), None)

    def fields(self) -> dict[str, Any]:
        """As ``model.upsert`` takes them: what the page says now."""
        return {
            "name": self.name,
            "type": self.type,
            "uploadType": self.upload_type,
            "description": self.description,
            "tagsOnModels": [{"name": name} for name in self.tags],
            "nsfw": self.nsfw,
            "poi": self.poi,
            "minor": self.minor,
            "sfwOnly": self.sfw_only,
            "allowNoCredit": self.allow_no_credit,
            "allowDerivatives": self.allow_derivatives,
            "allowDifferentLicense": self.allow_different_license,
            "allowCommercialUse": list(self.allow_commercial_use),
        }


def model_from(raw: object) -> OwnedModel:
    """A model from its JSON; permissions may come as a Postgres literal such as ``{Image,RentCivit}``."""
    if isinstance(raw, dict) and isinstance(raw.get("allowCommercialUse"), str):
        words = raw["allowCommercialUse"].strip("{}").split(",")
        raw = {**raw, "allowCommercialUse": [word.strip(' "') for word in words if word.strip()]}
    return lenient.decode(OwnedModel, raw, "model")


class FileHash(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    type: str = ""
    hash: str = ""


class OwnedFile(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A file as its owner sees it; ``url`` is what it was registered with, ``size_kb`` bytes / 1024."""

    id: int = 0
    name: str = ""
    url: str = ""
    type: str = ""
    size_kb: float = msgspec.field(default=0.0, name="sizeKB")
    virus_scan_result: str = ""
    pickle_scan_result: str = ""
    hashes: tuple[FileHash, ...] = ()

    @property
    def sha256(self) -> str:
        """Lower-case hex; empty until the scan is over."""
        return next((item.hash.lower() for item in self.hashes if item.type == "SHA256"), "")

    @property
    def bytes(self) -> int:
        return round(self.size_kb * 1024)

    @property
    def is_broken(self) -> bool:
        return bool({"Danger", "Error"} & {self.virus_scan_result, self.pickle_scan_result})


class EditVersion(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A version with its files, read from the primary database: never out of date.

    ``raw`` is the whole answer: what an update has to send back is in it.
    """

    id: int = 0
    model_id: int = 0
    name: str = ""
    status: str = ""
    base_model: str = ""
    files: tuple[OwnedFile, ...] = ()
    raw: dict[str, Any] = {}

    def fields(self) -> dict[str, Any]:
        """As ``modelVersion.upsert`` takes them: what the page says now."""
        keys = ("name", "baseModel", "baseModelType", "description", "trainedWords", "steps", "epochs", "clipSkip",
                "requireAuth", "usageControl", "uploadType", "settings", "paidAccess")  # fmt: skip
        return {key: self.raw.get(key) for key in keys}

    def guarded(self) -> dict[str, Any]:
        """What the site clears when an update leaves it out."""
        return {key: self.raw[key] for key in ("paidAccess", "monetization") if self.raw.get(key) is not None}


def edit_version_from(raw: object) -> EditVersion:
    found = lenient.decode(EditVersion, raw, "version")
    return msgspec.structs.replace(found, raw=dict(raw) if isinstance(raw, Mapping) else {})


class PostImage(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An image of a post; ``url`` is its media key, ``ingestion`` its state of review."""

    id: int = 0
    url: str = ""
    name: str = ""
    index: int = 0
    width: int = 0
    height: int = 0
    hash: str = ""
    metadata: dict[str, Any] = {}
    meta: dict[str, Any] = {}
    ingestion: str = ""
    blocked_for: str = ""


class Post(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A post as its owner sees it; ``published_at`` is empty while it is a draft."""

    id: int = 0
    model_version_id: int = 0
    title: str = ""
    published_at: str = ""
    images: tuple[PostImage, ...] = ()
