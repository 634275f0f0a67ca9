"""``/model-versions/by-hash``: one hash, a hundred, or ten thousand."""

from __future__ import annotations

import json
from collections.abc import Callable

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hubman.sandbox import index, shapes
from hubman.sandbox.public import releases_of
from hubman.sandbox.rest.answers import Caching, RestError, read, respond, route
from hubman.sandbox.store import Doc
from hubman.sandbox.world import World

Finder = Callable[[World, list[str]], list[Doc | None]]


def _by_hash(world: World, request: Request) -> object:
    wanted = request.path_params["hash"].upper()
    found = index.with_hashes(world, [wanted])
    if wanted not in found:
        raise RestError(404, {"error": "Model not found"})
    return _versions(world, [found[wanted]])[0]


def _versions(world: World, pairs: list[tuple[int, int]]) -> list[Doc]:
    """The versions of these (version, model) pairs, each once."""
    pairs = list(dict.fromkeys(pairs))
    docs = world.store.get_many("version", [version for version, _model in pairs])
    models = world.store.get_many("model", list({model for _version, model in pairs}))
    released = releases_of(world, list(docs.values()))
    return [shapes.lone_version(world, released[version], models[model]) for version, model in pairs]


async def _wanted(request: Request, most: int) -> list[str]:
    try:
        body = json.loads(await request.body())
    except ValueError:
        body = None
    if not isinstance(body, list) or len(body) > most or any(not isinstance(h, str) or len(h) != 64 for h in body):
        raise RestError(400, {"error": f"Expected an array of at most {most} SHA256 hashes"})
    return [value.upper() for value in body]


def _whole_versions(world: World, wanted: list[str]) -> list[Doc | None]:
    """By id, not as asked; nothing for an unknown hash, null for one whose model is no longer public."""
    found = index.with_hashes(world, wanted)
    versions = _versions(world, sorted(set(found.values())))
    for shape in versions:
        if "downloadUrl" in shape:
            # The host comes from a header that nobody sends.
            shape["downloadUrl"] = f"https://undefined/api/download/models/{shape['id']}"
    return [*versions, *[None] * _hidden(world, [value for value in wanted if value not in found])]


def _hidden(world: World, hashes: list[str]) -> int:
    """How many of these belong to files whose model is not public any more."""
    marks = ",".join("?" * len(hashes))
    return len(world.store.sql(f"SELECT DISTINCT hash FROM listed_hashes WHERE hash IN ({marks})", hashes))  # noqa: S608


def _ids(world: World, wanted: list[str]) -> list[Doc | None]:
    found = index.with_hashes(world, wanted)
    return [
        {"modelVersionId": version, "modelId": model, "hash": value}
        for value, (version, model) in sorted(found.items(), key=lambda item: item[1])
    ]


def _batch(path: str, most: int, find: Finder) -> Route:
    async def answer(request: Request) -> Response:
        try:
            wanted = await _wanted(request, most)
        except RestError as error:
            return respond(error.body, error.status, Caching.SHARED, request)
        body = await run_in_threadpool(read, lambda world, _request: find(world, wanted), request)
        return respond(body, 200, Caching.SHARED, request)

    return Route(path, answer, methods=["POST"])


ROUTES = [
    _batch("/api/v1/model-versions/by-hash", 100, _whole_versions),
    _batch("/api/v1/model-versions/by-hash/ids", 10_000, _ids),
    route("/api/v1/model-versions/by-hash/{hash}", _by_hash, Caching.HASH),
]
