"""What Civitai tells, as records. Every field has a default: the site omits, adds and renames at will."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from hubman.civitai import contract, lenient

Names = tuple[str, ...]
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)


class Me(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The token's account. ``token_scope`` is a bit mask."""

    id: int = 0
    username: str = ""
    status: str = "active"
    tier: str = ""
    token_scope: int | None = None

    @property
    def may_publish(self) -> bool:
        needed = contract.publish_scope()
        return self.token_scope is None or self.token_scope & needed == needed


class Creator(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    username: str = ""
    image: str = ""


class FileMetadata(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """``size`` is ``full`` or ``pruned``; ``fp`` and ``quant_type`` are free texts such as ``fp16`` and ``Q4_K_M``."""

    format: str = ""
    size: str = ""
    fp: str = ""
    quant_type: str = ""
    is_required: bool = False


class RemoteFile(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A file of a version. ``hashes`` is empty until Civitai has scanned it; ``size_kb`` is bytes / 1024."""

    id: int = 0
    name: str = ""
    type: str = ""
    size_kb: float = msgspec.field(default=0.0, name="sizeKB")
    primary: bool = False
    metadata: FileMetadata = FileMetadata()
    hashes: dict[str, Any] = {}
    pickle_scan_result: str = ""
    pickle_scan_message: str = ""
    virus_scan_result: str = ""
    virus_scan_message: str = ""
    scanned_at: str = ""
    download_url: str = ""

    @property
    def sha256(self) -> str:
        """Lower-case hex, or empty when not scanned yet."""
        value = str(self.hashes.get("SHA256", "")).lower()
        return value if _SHA256.fullmatch(value) else ""

    @property
    def size(self) -> int:
        """Bytes; exact, because Civitai stores bytes / 1024 as a float."""
        return round(self.size_kb * 1024)


class RemoteImage(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A picture or video. ``nsfw_level`` is one bit: PG 1, PG13 2, R 4, X 8, XXX 16."""

    id: int = 0
    url: str = ""
    type: str = "image"
    width: int = 0
    height: int = 0
    nsfw_level: int = 0
    hash: str = ""
    """A BlurHash."""
    minor: bool = False
    poi: bool = False
    has_meta: bool = False
    has_positive_prompt: bool = False
    on_site: bool = False
    meta: dict[str, Any] = {}

    @property
    def number(self) -> int:
        """The image's id, which most endpoints only tell by the URL's last segment."""
        if self.id:
            return self.id
        stem = self.url.rsplit("/", 1)[-1].split(".", 1)[0]
        return int(stem) if stem.isascii() and stem.isdigit() and len(stem) < 19 else 0


class Stats(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Counts; None is one that the creator hides, or that this endpoint does not tell."""

    download_count: int | None = None
    thumbs_up_count: int | None = None
    thumbs_down_count: int | None = None
    comment_count: int | None = None
    tipped_amount_count: int | None = None


class PaidAccess(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A version that has to be bought: for ever, or until ``ends_at``."""

    permanent: bool = False
    ends_at: str = ""


class ModelRef(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a version tells of its model."""

    name: str = ""
    type: str = ""
    nsfw: bool = False
    poi: bool = False
    mode: str = ""


class RemoteVersion(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A version. Inside a model's answer ``model_id`` is 0 and ``model`` empty.

    ``usage_control`` is ``Download``, or says that it can only be used on the site; only endpoints of versions tell it.
    """

    id: int = 0
    model_id: int = 0
    index: int = 0
    name: str = ""
    base_model: str = ""
    base_model_type: str = ""
    published_at: str = ""
    created_at: str = ""
    updated_at: str = ""
    status: str = ""
    availability: str = ""
    early_access_deadline: str = ""
    paid_access: PaidAccess | None = None
    usage_control: str = ""
    upload_type: str = ""
    licensing_fee: float | None = None
    covered: bool | None = None
    supports_generation: bool | None = None
    description: str = ""
    trained_words: Names = ()
    air: str = ""
    nsfw_level: int = 0
    stats: Stats = Stats()
    files: tuple[RemoteFile, ...] = ()
    images: tuple[RemoteImage, ...] = ()
    download_url: str = ""
    model: ModelRef = ModelRef()
    settings: dict[str, Any] = {}
    is_gone: bool = False
    """It left its model's page. The site never says so; the archive does."""
    as_of: str = msgspec.field(default="", name="as_of")
    """When the site said this, in ISO 8601, if it could not be asked now; empty for a fresh answer."""

    @property
    def on_site_generator(self) -> bool | None:
        """Whether the site's own generator can use it; None where nobody tells."""
        return self.covered if self.supports_generation is None else self.supports_generation

    @property
    def primary_file(self) -> RemoteFile | None:
        """The file marked primary, else the first of type ``Model``, else the first."""
        models = [file for file in self.files if file.type == "Model"]
        marked = [file for file in self.files if file.primary]
        return next(iter(marked + models + list(self.files)), None)


class RemoteModel(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A model with its published versions, newest first."""

    id: int = 0
    name: str = ""
    description: str = ""
    type: str = ""
    nsfw: bool = False
    nsfw_level: int = 0
    poi: bool = False
    """A real person is shown."""
    minor: bool = False
    sfw_only: bool = False
    mode: str = ""
    """``Archived`` (no files any more), ``TakenDown`` (no pictures), or nothing."""
    availability: str = ""
    user_id: int = 0
    supports_generation: bool | None = None
    base_models: Names = ()
    allow_no_credit: bool | None = None
    allow_commercial_use: Names = ()
    allow_derivatives: bool | None = None
    allow_different_license: bool | None = None
    owner: Creator = msgspec.field(default=Creator(), name="creator")
    tags: Names = ()
    stats: Stats = Stats()
    versions: tuple[RemoteVersion, ...] = msgspec.field(default=(), name="modelVersions")
    as_of: str = msgspec.field(default="", name="as_of")
    """As of :class:`RemoteVersion`."""

    @property
    def creator(self) -> str:
        return self.owner.username


def model_from(raw: object, *, as_of: str = "") -> RemoteModel:
    """A model from its JSON. Permissions come as a list or as a Postgres literal such as ``{Image,RentCivit}``."""
    if isinstance(raw, dict) and isinstance(raw.get("allowCommercialUse"), str):
        literal = raw["allowCommercialUse"].strip("{}")
        raw = {**raw, "allowCommercialUse": [word.strip(' "') for word in literal.split(",") if word.strip()]}
    model = lenient.decode(RemoteModel, raw, "model")
    versions = tuple(msgspec.structs.replace(version, as_of=as_of) for version in model.versions)
    return msgspec.structs.replace(model, versions=versions, as_of=as_of)


def version_from(raw: object, *, as_of: str = "") -> RemoteVersion:
    """A version from its own JSON, which tells of its model too."""
    return msgspec.structs.replace(lenient.decode(RemoteVersion, raw, "version"), as_of=as_of)


class ModelPage(msgspec.Struct, frozen=True, kw_only=True):
    """One page of a search. ``next_page`` is the URL of the following one, empty at the end.

    ``as_of`` is when the last good answer was fetched that stands in for one that did not come, else empty.
    """

    items: tuple[RemoteModel, ...] = ()
    next_page: str = ""
    as_of: str = ""


class HashMatch(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    model_version_id: int = 0
    model_id: int = 0
    hash: str = ""


class Enums(msgspec.Struct, frozen=True, kw_only=True):
    """The site's lists at this moment, or the bundled ones where it does not tell."""

    active_base_models: Names
    model_types: Names
    base_models: Names = ()
    model_file_types: Names = ()
    base_model_types: Names = ()


class Tag(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    id: int = 0
    name: str = ""


class DraftModel(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A row of the owner's drafts."""

    id: int = 0
    name: str = ""
    created_at: str = ""


class Id(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An answer of which only the id matters."""

    id: int = 0


class UploadPart(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    url: str = ""
    part_number: int = 0


class UploadStart(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A multipart upload that was opened: where each part of ``chunk_size`` bytes goes."""

    urls: tuple[UploadPart, ...] = ()
    bucket: str = ""
    key: str = ""
    upload_id: str = ""
    chunk_size: int = 0
    backend: str = ""


class ImageSlot(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A place for one image's bytes; ``id`` is its media key."""

    id: str = ""
    upload_url: str = msgspec.field(default="", name="uploadURL")
