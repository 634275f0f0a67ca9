"""Documents as REST shows them: only what is public, with the site's habits of leaving things out."""

from __future__ import annotations

from urllib.parse import urlencode

from hubman.civitai.refs import air
from hubman.sandbox import accounts, tags
from hubman.sandbox.images import made_on_site
from hubman.sandbox.store import Doc
from hubman.sandbox.world import World

_EXTENSIONS = {"image": "jpeg", "video": "mp4", "audio": "mp3"}


def public_versions(world: World, model_id: int) -> list[Doc]:
    """Published and with a file that everybody may see, newest first."""
    return [v for v in world.versions(model_id) if v["status"] == "Published" and public_files(world, v["id"])]


def public_files(world: World, version_id: int) -> list[Doc]:
    return [file for file in world.files(version_id) if file["visibility"] == "Public"]


def primary(files: list[Doc]) -> Doc:
    return next((file for file in files if file["type"] == "Model"), files[0])


def is_public(model: Doc | None) -> bool:
    return model is not None and model["status"] == "Published" and model["mode"] != "TakenDown"


def version_images(world: World, version_id: int, limit: int = 10) -> list[Doc]:
    """Approved images of public posts on a version, in their order."""
    posts = [post for post in world.posts(version_id) if post["publishedAt"]]
    images = [image for post in posts for image in world.images(post["id"])]
    return [image for image in images if image["ingestion"] == "Scanned"][:limit]


def model(world: World, doc: Doc, *, detail: bool) -> Doc:
    """A model as ``/models/{id}`` (``detail``) or ``/models`` shows it."""
    names = {tag["id"]: tag["name"] for tag in tags.every(world)}
    versions = public_versions(world, doc["id"])
    keys = ("id", "name", "description", "type", "allowNoCredit", "allowDerivatives", "allowDifferentLicense", "nsfw")
    more = ("minor", "sfwOnly", "poi", "availability", "userId")
    commercial = doc["allowCommercialUse"]
    shape: Doc = {
        **{key: doc[key] for key in keys + more},
        "allowCommercialUse": "{" + ",".join(commercial) + "}" if world.settings.commercial_use_as_text else commercial,
        "nsfwLevel": 0,
        "creator": {"username": accounts.user(doc["userId"]).username, "image": None},
        "tags": [names[tag] for tag in doc["tags"] if tag in names],
        "cosmetic": None,
        "supportsGeneration": False,
        "stats": _stats(doc),
        "modelVersions": [version(world, item, detail=detail) for item in versions],
    }
    for item in shape["modelVersions"]:
        shape["nsfwLevel"] |= item["nsfwLevel"]
    if doc["mode"]:
        shape["mode"] = doc["mode"]
    return shape


def _stats(doc: Doc) -> Doc:
    stats = doc.get("stats") or {}
    names = ("downloadCount", "thumbsUpCount", "thumbsDownCount", "commentCount", "tippedAmountCount")
    return {name: stats.get(name, 0) for name in names}


def version(world: World, doc: Doc, *, detail: bool) -> Doc:
    """A version inside a model. With ``detail``, null values and empty lists are left out, as the site does."""
    images = version_images(world, doc["id"])
    files = public_files(world, doc["id"])
    keys = ("id", "index", "name", "baseModel", "baseModelType", "publishedAt", "availability", "flags")
    shape: Doc = {
        **{key: doc[key] for key in (*keys, "description", "trainedWords", "vaeId")},
        "nsfwLevel": _nsfw_level(images),
        "paidAccess": None,
        "stats": {"downloadCount": doc.get("downloads", 0), "thumbsUpCount": 0, "thumbsDownCount": 0},
        "files": [file(world, item, is_primary=item is primary(files), always_say=False) for item in files],
        "images": [image(world, item, with_id=not detail) for item in images],
        "downloadUrl": f"{world.site}/api/download/models/{doc['id']}",
    }
    if not detail:
        return {**shape, "supportsGeneration": False}
    shape.update(createdAt=doc["createdAt"], status=doc["status"], covered=False)
    return {key: value for key, value in shape.items() if value is not None and value != []}


def lone_version(world: World, doc: Doc, parent: Doc) -> Doc:
    """A version as ``/model-versions/{id}`` and by-hash show it."""
    files, images = public_files(world, doc["id"]), version_images(world, doc["id"])
    keys = (
        "id", "modelId", "name", "createdAt", "updatedAt", "status", "publishedAt", "trainedWords", "trainingStatus",
        "trainingDetails", "baseModel", "baseModelType", "description", "uploadType", "usageControl", "licensingFee",
    )  # fmt: skip
    about = {key: parent[key] for key in ("name", "type", "nsfw", "poi")}
    return {
        **{key: doc[key] for key in keys},
        "nsfwLevel": _nsfw_level(images),
        "paidAccess": None,
        "air": air(doc["baseModel"], parent["type"], parent["id"], doc["id"]),
        "stats": {"downloadCount": doc.get("downloads", 0), "thumbsUpCount": 0},
        "model": {**about, "mode": parent["mode"]} if parent["mode"] else about,
        "files": [file(world, item, is_primary=item is primary(files), always_say=True) for item in files],
        "images": [
            {**image(world, item, with_id=False), "meta": item["meta"], "availability": "Public"} for item in images
        ],
        "downloadUrl": f"{world.site}/api/download/models/{doc['id']}",
    }


def file(world: World, doc: Doc, *, is_primary: bool, always_say: bool) -> Doc:
    """A file; ``primary`` is left out when false unless ``always_say``."""
    metadata = {key: doc["metadata"].get(key) for key in ("format", "size", "fp")}
    keys = ("id", "name", "type", "sizeKB", "hashes", "pickleScanResult", "pickleScanMessage", "virusScanResult")
    url = f"{world.site}/api/download/models/{doc['modelVersionId']}"
    if not is_primary:
        url += "?" + urlencode({"type": doc["type"], **{key: value for key, value in metadata.items() if value}})
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
    extension = _EXTENSIONS[doc["type"]]
    shape: Doc = {
        "url": f"{world.storage}/media/{doc['url']}/original=true/{doc['id']}.{extension}",
        **{key: doc[key] for key in ("nsfwLevel", "width", "height", "hash", "type")},
        "minor": False,
        "poi": False,
        "hasMeta": bool(doc["meta"]),
        "hasPositivePrompt": bool((doc["meta"] or {}).get("prompt")),
        "onSite": made_on_site(doc["meta"]),
        "remixOfId": None,
    }
    return {"id": doc["id"], **shape} if with_id else shape


def _nsfw_level(images: list[Doc]) -> int:
    level = 0
    for item in images:
        level |= int(item["nsfwLevel"])
    return level
