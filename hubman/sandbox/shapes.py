"""Documents as REST shows them: only what is public, with the site's habits of leaving things out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

from hubman.civitai.refs import air
from hubman.sandbox import tags
from hubman.sandbox.images import made_on_site
from hubman.sandbox.public import Release, level_of, primary
from hubman.sandbox.store import Doc
from hubman.sandbox.world import World

_EXTENSIONS = {"image": "jpeg", "video": "mp4", "audio": "mp3"}
_IN_VERSION = 10
"""So many pictures a version shows."""
_STATS = ("downloadCount", "thumbsUpCount", "thumbsDownCount", "commentCount", "tippedAmountCount")


@dataclass(frozen=True)
class Showing:
    """What a list was asked for: which images (a mask of levels), and whether other files than the primary one."""

    levels: int = 63
    primary_only: bool = False


_ALL = Showing()


def model(world: World, doc: Doc, released: Sequence[Release], *, detail: bool, showing: Showing = _ALL) -> Doc:
    """A model as ``/models/{id}`` (``detail``) or ``/models`` shows it."""
    names = tags.names(world)
    keys = ("id", "name", "description", "type", "allowNoCredit", "allowDerivatives", "allowDifferentLicense", "nsfw")
    more = ("minor", "sfwOnly", "poi", "availability", "userId")
    commercial = doc["allowCommercialUse"]
    creator = world.creator(doc["userId"])
    shape: Doc = {
        **{key: doc[key] for key in keys + more},
        "allowCommercialUse": "{" + ",".join(commercial) + "}" if world.settings.commercial_use_as_text else commercial,
        "nsfwLevel": level_of([image for release in released for image in release.images]),
        "creator": {"username": creator["username"], "image": link(world, creator["image"])},
        "tags": [names[tag] for tag in doc["tags"] if tag in names],
        "cosmetic": None,
        "supportsGeneration": bool(doc.get("supportsGeneration")),
        "baseModels": list(dict.fromkeys(release.version["baseModel"] for release in released)),
        "stats": _stats(doc),
        "modelVersions": [version(world, doc, release, detail=detail, showing=showing) for release in released],
    }
    if doc["mode"]:
        shape["mode"] = doc["mode"]
    return shape


def link(world: World, address: str | None) -> str | None:
    """The address of a creator's picture. Addresses on the storage host are kept without it: its port changes."""
    return f"{world.storage}{address}" if address and address.startswith("/") else address


def _stats(doc: Doc) -> Doc:
    """Counts that the creator hides are null."""
    stats, hidden = doc.get("stats") or {}, set(doc.get("hiddenStats") or ())
    return {name: None if name in hidden else stats.get(name, 0) for name in _STATS}


def _version_stats(doc: Doc, parent: Doc, *names: str) -> Doc:
    stats = {"downloadCount": doc.get("downloads", 0), **(doc.get("stats") or {})}
    hidden = set(parent.get("hiddenStats") or ())
    return {name: None if name in hidden else stats.get(name, 0) for name in names}


def version(world: World, parent: Doc, release: Release, *, detail: bool, showing: Showing = _ALL) -> Doc:
    """A version inside a model. With ``detail``, null values and empty lists are left out, as the site does."""
    doc = release.version
    images = [image for image in _pictures(parent, release) if image["nsfwLevel"] & showing.levels]
    files = _files(world, parent, release, always_say=False)
    keys = ("id", "index", "name", "baseModel", "baseModelType", "publishedAt", "availability", "flags")
    shape: Doc = {
        **{key: doc[key] for key in (*keys, "description", "trainedWords", "vaeId")},
        "nsfwLevel": level_of(release.images),
        "paidAccess": None,
        "stats": _version_stats(doc, parent, "downloadCount", "thumbsUpCount", "thumbsDownCount"),
        "files": [file for file in files if file.get("primary")] if showing.primary_only else files,
        "images": [image(world, item, with_id=not detail) for item in images[:_IN_VERSION]],
        **_gate(world, doc),
    }
    if parent["mode"] != "Archived":
        shape["downloadUrl"] = f"{world.site}/api/download/models/{doc['id']}"
    if not detail:
        return {**shape, "supportsGeneration": bool(parent.get("supportsGeneration"))}
    shape.update(createdAt=doc["createdAt"], status=doc["status"], covered=bool(parent.get("supportsGeneration")))
    return {key: value for key, value in shape.items() if value is not None and value != []}


def gated_until(world: World, doc: Doc) -> str:
    """When a version's early access ends; empty when it is open to everybody."""
    until = str(doc.get("earlyAccessUntil") or "")
    return until if until and datetime.fromisoformat(until) > world.now() else ""


def _gate(world: World, doc: Doc) -> Doc:
    until = gated_until(world, doc)
    if not until:
        return {"paidAccess": {"permanent": True, "endsAt": None}} if doc.get("paidForever") else {}
    return {
        "availability": "EarlyAccess", "earlyAccessDeadline": until, "paidAccess": {"permanent": False, "endsAt": until},
    }  # fmt: skip


def _pictures(parent: Doc, release: Release) -> list[Doc]:
    return [] if parent["mode"] == "TakenDown" else release.images


def _files(world: World, parent: Doc, release: Release, *, always_say: bool) -> list[Doc]:
    if parent["mode"] == "Archived":
        return []
    first = primary(release.files)
    return [file(world, item, is_primary=item is first, always_say=always_say) for item in release.files]


def lone_version(world: World, release: Release, parent: Doc) -> Doc:
    """A version as ``/model-versions/{id}`` and by-hash show it."""
    doc = release.version
    keys = (
        "id", "modelId", "name", "createdAt", "updatedAt", "status", "publishedAt", "trainedWords", "trainingStatus",
        "trainingDetails", "baseModel", "baseModelType", "description", "uploadType", "usageControl", "licensingFee",
    )  # fmt: skip
    about = {key: parent[key] for key in ("name", "type", "nsfw", "poi")}
    shape: Doc = {
        **{key: doc[key] for key in keys},
        "nsfwLevel": level_of(release.images),
        "paidAccess": _gate(world, doc).get("paidAccess"),
        "air": air(doc["baseModel"], parent["type"], parent["id"], doc["id"]),
        "stats": _version_stats(doc, parent, "downloadCount", "thumbsUpCount"),
        "model": {**about, "mode": parent["mode"]} if parent["mode"] else about,
        "files": _files(world, parent, release, always_say=True),
        "images": [
            {**image(world, item, with_id=False), "metadata": item["metadata"], "meta": shown_meta(item),
             "availability": "Public"}
            for item in _pictures(parent, release)[:_IN_VERSION]
        ],
    }  # fmt: skip
    if parent["mode"] != "Archived":
        shape["downloadUrl"] = f"{world.site}/api/download/models/{doc['id']}"
    return shape


def shown_meta(image: Doc) -> Doc | None:
    """An image's generation data, unless its owner hides them."""
    return None if image["hideMeta"] else image["meta"]


def file(world: World, doc: Doc, *, is_primary: bool, always_say: bool) -> Doc:
    """A file; ``primary`` is left out when false unless ``always_say``."""
    chosen = {key: doc["metadata"].get(key) for key in ("format", "size", "fp", "quantType")}
    metadata = {**chosen, "isRequired": doc["metadata"].get("isRequired")}
    keys = ("id", "name", "type", "sizeKB", "hashes", "pickleScanResult", "pickleScanMessage", "virusScanResult")
    url = f"{world.site}/api/download/models/{doc['modelVersionId']}"
    if not is_primary:
        url += "?" + urlencode({"type": doc["type"], **{key: value for key, value in chosen.items() if value}})
    shape: Doc = {
        **{key: doc[key] for key in keys},
        "virusScanMessage": doc["virusScanMessage"],
        "scannedAt": doc["scannedAt"],
        "metadata": {key: value for key, value in metadata.items() if value},
        "downloadUrl": url,
    }
    if is_primary or always_say:
        shape["primary"] = is_primary
    return shape


def image(world: World, doc: Doc, *, with_id: bool) -> Doc:
    """An image inside a version."""
    meta = shown_meta(doc)
    shape: Doc = {
        "url": image_url(world, doc),
        **{key: doc[key] for key in ("nsfwLevel", "width", "height", "hash", "type")},
        "minor": False,
        "poi": False,
        "hasMeta": bool(meta),
        "hasPositivePrompt": bool((meta or {}).get("prompt")),
        "onSite": made_on_site(doc["meta"]),
        "remixOfId": None,
    }
    return {"id": doc["id"], **shape} if with_id else shape


def image_url(world: World, doc: Doc) -> str:
    return f"{world.storage}/media/{doc['url']}/original=true/{doc['id']}.{_EXTENSIONS[doc['type']]}"
