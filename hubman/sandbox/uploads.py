"""Opening, finishing and giving up uploads; the bytes themselves go to :mod:`hubman.sandbox.storage`."""

from __future__ import annotations

import json
import secrets
import shutil
import string
import uuid
from collections.abc import Awaitable, Callable
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hubman.sandbox.accounts import User, caller_of
from hubman.sandbox.store import Doc
from hubman.sandbox.trpc import key_of
from hubman.sandbox.validation import FractionError, InvalidInputError, check
from hubman.sandbox.world import World

MODEL_BUCKET = "sandbox-models"
MEDIA_BUCKET = "sandbox-media"
_MOST_PARTS = 1000
_DENIED = frozenset({".exe", ".dll", ".bat", ".sh", ".js", ".msi", ".cmd", ".ps1"})
_KINDS = frozenset({"image", "training-images", "training-images-temp", "model", "default"})

Handler = Callable[[World, User, dict[str, Any]], Response]


def _endpoint(handler: Handler, *, muted_too: bool = True) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        world: World = request.app.state.world
        caller = caller_of(key_of(request))
        if caller is None or (caller.user.status == "muted" and not muted_too):
            return _error(401, "Unauthorized")
        try:
            body = json.loads(await request.body() or b"{}")
        except ValueError:
            body = {}
        return await run_in_threadpool(_run, handler, world, caller.user, body if isinstance(body, dict) else {})

    return answer


def _run(handler: Handler, world: World, user: User, body: dict[str, Any]) -> Response:
    with world.store.transaction():
        return handler(world, user, body)


def _error(status: int, message: str) -> Response:
    return JSONResponse({"error": message}, status)


def _start(world: World, user: User, body: dict[str, Any]) -> Response:
    if not isinstance(body.get("filename"), str):
        return JSONResponse({"error": "Cannot read properties of undefined (reading 'split')"}, 500)
    name = PurePosixPath(unquote(body["filename"])).name
    suffix = PurePosixPath(name).suffix
    if suffix.lower() in _DENIED:
        return _error(400, "File type not allowed")
    kind = body.get("type") if body.get("type") in _KINDS else "default"
    safe = "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "_" for c in PurePosixPath(name).stem)
    random = "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(4))
    backend = "b2" if kind == "model" else "default"
    key = f"{kind}/{user.id}/{safe}.{random}{suffix}"
    return JSONResponse(open_upload(world, MODEL_BUCKET, key, int(body.get("size") or 0), backend=backend))


def open_upload(world: World, bucket: str, key: str, size: int, *, backend: str) -> Doc:
    """A new multipart upload, with a signed address for each part."""
    chunk = world.settings.chunk_size
    while size > chunk * _MOST_PARTS:
        chunk *= 2
    upload_id = secrets.token_hex(16)
    world.store.put("upload", {"id": upload_id, "bucket": bucket, "key": key, "state": "open", "parts": {}})
    count = -(-size // chunk)
    return {
        "urls": [{"url": part_url(world, bucket, key, upload_id, n), "partNumber": n} for n in range(1, count + 1)],
        "bucket": bucket,
        "key": key,
        "uploadId": upload_id,
        "chunkSize": chunk,
        "backend": backend,
    }


def part_url(world: World, bucket: str, key: str, upload_id: str, number: int) -> str:
    return world.signed(f"/{bucket}/{key}", partNumber=number, uploadId=upload_id)


def _sign_part(world: World, user: User, body: dict[str, Any]) -> Response:
    try:
        value = check("upload.sign_part", body)
    except (InvalidInputError, FractionError):
        return _error(400, "Invalid request")
    segments = str(value["key"]).split("/")
    if value["bucket"] != MODEL_BUCKET or len(segments) < 3 or segments[1] != str(user.id):
        return _error(403, "Forbidden")
    url = part_url(world, value["bucket"], value["key"], value["uploadId"], value["partNumber"])
    return JSONResponse({"url": url})


def _complete(world: World, _user: User, body: dict[str, Any]) -> Response:
    try:
        value = check("upload.complete", body)
    except (InvalidInputError, FractionError) as error:
        return _error(500, str(error))
    upload = world.store.get("upload", value["uploadId"])
    if upload is None or upload["key"] != value["key"] or upload["state"] == "aborted":
        return _error(409, "Upload already finalized or aborted")
    if upload["state"] == "complete":
        return JSONResponse(None)
    numbers = [part["PartNumber"] for part in value["parts"]]
    known = upload["parts"]
    wrong = any(known.get(str(part["PartNumber"]), {}).get("etag") != part["ETag"] for part in value["parts"])
    if wrong or numbers != list(range(1, len(known) + 1)):
        return _error(422, "Upload parts invalid or incomplete — please re-upload")
    _join(world, upload, numbers)
    world.store.put("upload", {**upload, "state": "complete"})
    return JSONResponse(f"{world.storage}/{upload['bucket']}/{upload['key']}")


def part_key(upload_id: str, number: int) -> str:
    """The blob key of a part that has arrived."""
    return f"part/{upload_id}/{number}"


def _join(world: World, upload: Doc, numbers: list[int]) -> None:
    target = world.blob_path(upload["key"])
    joined = target.with_suffix(".joining")
    with joined.open("wb") as out:
        for number in numbers:
            part = world.blob_path(part_key(upload["id"], number))
            with part.open("rb") as file:
                shutil.copyfileobj(file, out, 1 << 20)
            part.unlink()
    joined.replace(target)


def _abort(world: World, _user: User, body: dict[str, Any]) -> Response:
    upload = world.store.get("upload", str(body.get("uploadId")))
    if upload is None or upload["state"] != "open":
        return Response(status_code=204)
    for number in upload["parts"]:
        world.blob_path(part_key(upload["id"], int(number))).unlink(missing_ok=True)
    world.store.put("upload", {**upload, "state": "aborted"})
    return JSONResponse({})


def _image(world: World, user: User, _body: dict[str, Any]) -> Response:
    key = str(uuid.uuid4())
    world.store.put("media", {"id": key, "userId": user.id, "mimeType": "application/octet-stream"})
    return JSONResponse({"id": key, "uploadURL": world.signed(f"/{MEDIA_BUCKET}/{key}", put="1")})


def _image_multipart(world: World, user: User, body: dict[str, Any]) -> Response:
    key = str(uuid.uuid4())
    world.store.put("media", {"id": key, "userId": user.id, "mimeType": str(body.get("mimeType") or "video/mp4")})
    return JSONResponse(open_upload(world, MEDIA_BUCKET, key, int(body.get("size") or 0), backend="backblaze"))


ROUTES = [
    Route("/api/upload", _endpoint(_start), methods=["POST"]),
    Route("/api/upload/sign-part", _endpoint(_sign_part), methods=["POST"]),
    Route("/api/upload/complete", _endpoint(_complete), methods=["POST"]),
    Route("/api/upload/abort", _endpoint(_abort), methods=["POST"]),
    Route("/api/v1/image-upload", _endpoint(_image), methods=["POST"]),
    Route("/api/v1/image-upload/multipart", _endpoint(_image_multipart, muted_too=False), methods=["POST"]),
]
