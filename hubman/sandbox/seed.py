"""Putting published models into a sandbox, so that there is something to search and to pull."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from hubman.sandbox import files, models, posts, versions
from hubman.sandbox.accounts import CREATOR_USER, FULL, Caller
from hubman.sandbox.server import Sandbox
from hubman.sandbox.trpc import Call
from hubman.sandbox.uploads import MODEL_BUCKET

_MIME = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".webp": "image/webp", ".mp4": "video/mp4"}


class Seeded(msgspec.Struct, frozen=True, kw_only=True):
    """The ids of a model that was put in."""

    model_id: int
    version_id: int
    file_id: int
    post_id: int


def seed_model(
    sandbox: Sandbox,
    file: Path,
    *,
    name: str,
    version_name: str = "v1.0",
    base_model: str = "SD 1.5",
    kind: str = "LORA",
    words: Sequence[str] = (),
    tags: Sequence[str] = ("style",),
    description: str = "",
    previews: Sequence[tuple[Path, dict[str, Any]]] = (),
    model_fields: dict[str, Any] | None = None,
    version_fields: dict[str, Any] | None = None,
    owner: Caller | None = None,
) -> Seeded:
    """Publish ``file`` as a model of ``owner`` (by default the creator), by the handlers that a client meets.

    ``previews`` are pictures with their generation data. ``model_fields`` and ``version_fields`` add to what
    ``model.upsert`` and ``modelVersion.upsert`` are given.
    """
    world = sandbox.world
    call = Call(world, owner or Caller(CREATOR_USER, FULL, 0))
    with world.store.transaction():
        fields = {
            "name": name, "type": kind, "uploadType": "Created", "status": "Draft", "description": description or None,
            "tagsOnModels": [{"name": tag} for tag in tags], "allowCommercialUse": ["Image"], **(model_fields or {}),
        }  # fmt: skip
        model_id = models.upsert(call, fields)["id"]
        fields = {
            "modelId": model_id, "name": version_name, "baseModel": base_model, "status": "Draft",
            "trainedWords": list(words), **(version_fields or {}),
        }  # fmt: skip
        version_id = versions.upsert(call, fields)["id"]
        file_id = _add_file(call, file, version_id)
        post_id = posts.create_unlimited(call, {"modelVersionId": version_id, "title": f"{name} showcase"})["id"]
        for index, (picture, meta) in enumerate(previews):
            _add_picture(call, picture, meta, post_id, index)
        models.publish(call, {"id": model_id, "versionIds": [version_id]})
    return Seeded(model_id=model_id, version_id=version_id, file_id=file_id, post_id=post_id)


def _add_file(call: Call, path: Path, version_id: int) -> int:
    world = call.world
    key = f"model/{call.user.id}/{uuid.uuid4().hex}{path.suffix}"
    shutil.copyfile(path, world.blob_path(key))
    fields = {
        "name": path.name, "url": f"{world.storage}/{MODEL_BUCKET}/{key}", "sizeKB": path.stat().st_size / 1024,
        "type": "Model", "modelVersionId": version_id, "s3Path": key, "backend": "b2",
        "metadata": {"fp": "fp16", "size": "full"},
    }  # fmt: skip
    return int(files.create(call, fields)["id"])


def _add_picture(call: Call, path: Path, meta: dict[str, Any], post_id: int, index: int) -> None:
    from PIL import Image

    world, key = call.world, str(uuid.uuid4())
    mime = _MIME.get(path.suffix.lower(), "image/png")
    world.store.put("media", {"id": key, "userId": call.user.id, "mimeType": mime})
    shutil.copyfile(path, world.blob_path(key))
    width, height = (0, 0)
    if mime.startswith("image/"):
        with Image.open(path) as image:
            width, height = image.size
    posts.add_image(
        call,
        {
            "postId": post_id, "url": key, "index": index, "name": path.name, "mimeType": mime, "width": width,
            "height": height, "type": mime.partition("/")[0], "meta": meta,
        },
    )  # fmt: skip
