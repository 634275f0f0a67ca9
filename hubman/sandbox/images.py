"""Images of posts: adding one, linking it to what made it, and how the owner sees it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hubman.civitai.wire import Json, iso
from hubman.sandbox import index
from hubman.sandbox.store import Doc
from hubman.sandbox.trpc import Call, TrpcError
from hubman.sandbox.world import World

_EDIT_KEYS = (
    "id", "index", "url", "name", "type", "mimeType", "width", "height", "hash", "meta", "metadata", "hideMeta",
    "ingestion", "blockedFor", "nsfwLevel", "needsReview",
)  # fmt: skip


def add(call: Call, post: Doc, value: dict[str, Any]) -> Doc:
    """Put an uploaded image into a post; the same key twice gives the same image."""
    world = call.world
    existing = next((image for image in world.images(post["id"]) if image["url"] == value["url"]), None)
    if existing:
        return existing
    if not world.blob_path(value["url"]).exists():
        raise TrpcError("BAD_REQUEST", "The image has not been uploaded.")
    for key in ("width", "height", "index", "sizeKB"):
        if isinstance(value.get(key), float) and not value[key].is_integer():
            raise TrpcError("INTERNAL_SERVER_ERROR", "Database validation error")
    meta = value.get("meta") or None
    image: Doc = {
        "id": world.store.next_id("image"), "postId": post["id"], "userId": call.user.id, "url": value["url"],
        "index": int(value.get("index") or 0), "name": value.get("name"), "type": value.get("type", "image"),
        "mimeType": value.get("mimeType"), "width": value.get("width"), "height": value.get("height"),
        "hash": value.get("hash"), "meta": meta, "metadata": value.get("metadata") or {}, "hideMeta": False,
        "ingestion": "Pending", "blockedFor": None, "nsfwLevel": 0, "needsReview": None, "createdAt": world.timestamp(),
        "scanDue": iso(world.now() + timedelta(seconds=world.settings.scan_delay)),
        "resources": _linked(world, post, meta),
    }  # fmt: skip
    return world.store.put("image", image, parent=post["id"])


def _linked(world: World, post: Doc, meta: Json) -> list[int]:
    """The versions that an image is linked to: the post's, and those that its generation data name by id or hash."""
    meta = meta or {}
    found = [post["modelVersionId"]] if post["modelVersionId"] else []
    found += [item["modelVersionId"] for item in meta.get("civitaiResources") or ()]
    wanted = {str(item.get("hash", "")).upper() for item in meta.get("resources") or ()}
    wanted |= {str(value).upper() for value in (meta.get("hashes") or {}).values()}
    wanted -= {"", "E3B0C44298FC"}
    if wanted:
        index.refresh(world)
        found += [version for version, _model in index.with_hashes(world, sorted(wanted)).values()]
    return list(dict.fromkeys(found))


def made_on_site(meta: Json) -> bool:
    """Whether generation data look as if Civitai's own generator had written them."""
    meta = meta or {}
    model = str(meta.get("Model", ""))
    plain = bool(model) and not model.startswith("urn:air:")
    return "civitaiResources" in meta and "Version" not in meta and not plain


def edit_shape(image: Doc) -> Doc:
    """As ``post.addImage`` and ``post.getEdit`` answer."""
    return {
        **{key: image[key] for key in _EDIT_KEYS},
        "thumbnailUrl": None,
        "tags": [],
        "tools": [],
        "techniques": [],
        "resourceHelper": [{"imageId": image["id"], "modelVersionId": number} for number in image["resources"]],
    }
