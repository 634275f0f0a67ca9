"""``/model-files/{id}/tensor-metadata``: the header of a safetensors file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from starlette.requests import Request

from hubman.sandbox import blobs
from hubman.sandbox.public import is_public
from hubman.sandbox.rest.answers import Caching, RestError, route
from hubman.sandbox.rest.params import LARGEST_ID, loose, whole
from hubman.sandbox.world import World

_LONGEST = 100_000_000


def _tensors(world: World, request: Request) -> object:
    file = world.store.get("file", whole(request.path_params["id"], "id", 1, LARGEST_ID))
    version = world.store.get("version", file["modelVersionId"]) if file else None
    model = world.store.get("model", version["modelId"]) if version else None
    if file is None or version is None or not is_public(model) or version["status"] != "Published":
        raise RestError(404, {"error": "File not found"})
    if file["visibility"] != "Public":
        raise RestError(403, {"error": "Forbidden"})
    if model and model["mode"] == "Archived":
        raise RestError(410, {"error": "Model archived, not available for download"})
    path = blobs.find(world, file["key"])
    header = _header(path) if path else None
    if header is None:
        raise RestError(422, {"error": "The file is not in the safetensors format"})
    metadata = header.pop("__metadata__", {})
    summary = {"fileId": file["id"], "tensorCount": len(header), "metadata": metadata}
    return summary if loose(request.query_params, "summaryOnly") else {**summary, "tensors": header}


def _header(path: Path) -> dict[str, Any] | None:
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        text = file.read(length) if 2 <= length <= _LONGEST else b""
    try:
        header = json.loads(text)
    except ValueError:
        return None
    return header if isinstance(header, dict) else None


ROUTES = [route("/api/v1/model-files/{id}/tensor-metadata", _tensors, Caching.FOREVER)]
