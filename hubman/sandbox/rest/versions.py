"""``/model-versions/{id}`` and its small sibling."""

from __future__ import annotations

from starlette.requests import Request

from hubman.civitai.refs import air
from hubman.sandbox import shapes
from hubman.sandbox.public import Release, is_public, primary, releases_of
from hubman.sandbox.rest.answers import Caching, RestError, route
from hubman.sandbox.rest.params import LARGEST_ID, number, whole
from hubman.sandbox.store import Doc
from hubman.sandbox.world import World

_NO_MODEL = "Model not found"


def _public(world: World, request: Request) -> tuple[Release, Doc]:
    """The version that the path names and its model; refused unless both are published and there is a file."""
    doc = world.store.get("version", whole(request.path_params["id"], "id", 1, LARGEST_ID))
    parent = world.store.get("model", doc["modelId"]) if doc else None
    if doc is None or parent is None or doc["status"] != "Published" or not is_public(parent):
        raise RestError(404, {"error": _NO_MODEL})
    release = releases_of(world, [doc])[doc["id"]]
    if not release.files:
        raise RestError(404, {"error": "Missing model file"})
    return release, parent


def _version(world: World, request: Request) -> object:
    release, parent = _public(world, request)
    return shapes.lone_version(world, release, parent)


def _mini(world: World, request: Request) -> object:
    release, parent = _public(world, request)
    file_id = number(request.query_params, "modelFileId", None, 1)
    file = next((file for file in release.files if file["id"] == file_id), None) if file_id else primary(release.files)
    if file is None:
        raise RestError(404, {"error": "Missing model file"})
    doc, until = release.version, shapes.gated_until(world, release.version)
    url = f"{world.site}/api/download/models/{doc['id']}" + (f"?fileId={file_id}" if file_id else "")
    return {
        "air": air(doc["baseModel"], parent["type"], parent["id"], doc["id"]),
        "versionName": doc["name"],
        "modelName": parent["name"],
        "userId": parent["userId"],
        "baseModel": doc["baseModel"],
        "availability": "EarlyAccess" if until else doc["availability"],
        "publishedAt": doc["publishedAt"],
        "size": file["sizeKB"],
        "fileType": file["type"],
        "fileName": file["name"],
        "hashes": file["hashes"],
        "downloadUrls": [] if parent["mode"] == "Archived" else [url],
        "format": file["metadata"].get("format"),
        "canGenerate": bool(parent.get("supportsGeneration")),
        "isFeatured": False,
        "requireAuth": doc["requireAuth"],
        "checkPermission": bool(until),
        **({"earlyAccessEndsAt": until} if until else {}),
        "additionalResourceCharge": False,
        "minor": parent["minor"],
        "sfwOnly": parent["sfwOnly"],
        "fees": [],
        "payoutEnabled": False,
    }


ROUTES = [
    route("/api/v1/model-versions/mini/{id}", _mini, Caching.MIXED),
    route("/api/v1/model-versions/{id}", _version, Caching.MIXED),
]
