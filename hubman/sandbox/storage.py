"""The second host: an object store with presigned addresses, and the delivery of pictures.

It refuses every request that carries a key: a client that forwards its key to where it was redirected has a leak.
"""

from __future__ import annotations

import hashlib

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from hubman.sandbox import blobs, media
from hubman.sandbox.sending import FileAnswer
from hubman.sandbox.uploads import part_key
from hubman.sandbox.world import World

_REFUSED = "<Error><Code>{code}</Code><Message>{message}</Message></Error>"


def _refuse(status: int, code: str, message: str) -> Response:
    return Response(_REFUSED.format(code=code, message=message), status, media_type="application/xml")


def _check(request: Request) -> Response | None:
    if "Authorization" in request.headers:
        return _refuse(400, "InvalidArgument", "Only one auth mechanism allowed")
    world: World = request.app.state.world
    raw_path = request.scope["raw_path"].decode("ascii").split("?")[0]
    if not world.signature_is_good(raw_path, dict(request.query_params)):
        return _refuse(403, "AccessDenied", "Request has expired or is not signed")
    return None


async def _put(request: Request) -> Response:
    """A part of an upload, or a whole picture."""
    if refusal := _check(request):
        return refusal
    world: World = request.app.state.world
    if "partNumber" not in request.query_params:
        body = await request.body()
        return _put_media(world, request, body, f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"')
    upload_id, number = request.query_params.get("uploadId", ""), int(request.query_params["partNumber"])
    received = world.blob_path(part_key(upload_id, number))
    try:
        digest, length = await blobs.receive(received, request.stream())
    except ClientDisconnect:
        # Killed in the middle of a part: nobody hears the answer.
        return _refuse(400, "RequestTimeout", "The body was cut off")
    etag = f'"{digest}"'
    with world.store.transaction():
        upload = world.store.get("upload", upload_id)
        if upload is None or upload["state"] != "open":
            received.unlink(missing_ok=True)
            return _refuse(404, "NoSuchUpload", "The upload does not exist")
        upload["parts"][str(number)] = {"etag": etag, "size": length}
        world.store.put("upload", upload)
    return Response(status_code=200, headers={"ETag": etag})


def _put_media(world: World, request: Request, body: bytes, etag: str) -> Response:
    key = request.path_params["key"]
    offered = world.store.get("media", key)
    if offered is None:
        return _refuse(404, "NoSuchKey", "The key was not offered")
    _write(world, key, body)
    world.store.put("media", {**offered, "mimeType": request.headers.get("Content-Type", offered["mimeType"])})
    return Response(status_code=200, headers={"ETag": etag})


def _write(world: World, key: str, body: bytes) -> None:
    blobs.write(world.blob_path(key), body)


async def _get(request: Request) -> Response:
    """A model file; Range is understood."""
    if refusal := _check(request):
        return refusal
    world: World = request.app.state.world
    path = await run_in_threadpool(blobs.find, world, request.path_params["key"])
    if path is None:
        return _refuse(404, "NoSuchKey", "The specified key does not exist.")
    return FileAnswer(path, media_type="application/octet-stream", name=request.query_params.get("name"))


async def _media(request: Request) -> Response:
    """A picture or video, in the size that the address asks for."""
    if "Authorization" in request.headers:
        return _refuse(400, "InvalidArgument", "Only one auth mechanism allowed")
    world: World = request.app.state.world
    wanted, _, name = request.path_params["rest"].rpartition("/")
    found = await run_in_threadpool(media.find, world, request.path_params["key"], wanted, name)
    if found is None:
        return PlainTextResponse("Not Found", 404)
    path, media_type = found
    return FileAnswer(path, media_type=media_type)


ROUTES = [
    Route("/media/{key}/{rest:path}", _media, methods=["GET"]),
    Route("/{bucket}/{key:path}", _put, methods=["PUT"]),
    Route("/{bucket}/{key:path}", _get, methods=["GET"]),
]
