"""How a reading route answers: JSON, refusals, and the cache headers of each kind of route."""

from __future__ import annotations

import enum
from collections.abc import Callable

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hubman.sandbox import index, scan
from hubman.sandbox.accounts import Caller, caller_of
from hubman.sandbox.trpc import key_of
from hubman.sandbox.world import World


class Caching(enum.Enum):
    """The ``Cache-Control`` of a route; misses carry it too."""

    PRIVATE = "max-age=0, private, no-cache"
    SHARED = "public, s-maxage=300, stale-while-revalidate=150"
    HASH = "public, s-maxage=3600, stale-while-revalidate=1800"
    FOREVER = "public, max-age=31536000, immutable"
    MIXED = ""
    """As ``SHARED``, but ``PRIVATE`` for whoever sends a key."""


class RestError(Exception):
    """A refusal with a JSON body."""

    def __init__(self, status: int, body: object) -> None:
        super().__init__(str(body))
        self.status = status
        self.body = body


Reader = Callable[[World, Request], object]


def route(path: str, reader: Reader, caching: Caching = Caching.PRIVATE) -> Route:
    """A route for GET that answers what ``reader`` returns, or its :class:`RestError`."""

    async def answer(request: Request) -> Response:
        try:
            body, status = await run_in_threadpool(read, reader, request), 200
        except RestError as error:
            body, status = error.body, error.status
        return respond(body, status, caching, request)

    return Route(path, answer, methods=["GET"])


def respond(body: object, status: int, caching: Caching, request: Request) -> Response:
    if caching is Caching.MIXED:
        caching = Caching.SHARED if caller(request) is None else Caching.PRIVATE
    headers = {"Cache-Control": caching.value, "Access-Control-Allow-Origin": "*"}
    return Response(msgspec.json.encode(body), status, headers, media_type="application/json")


def read(reader: Reader, request: Request) -> object:
    """What ``reader`` says, in one transaction over an up-to-date index."""
    world: World = request.app.state.world
    with world.store.transaction():
        scan.settle(world)
        index.refresh(world)
        return reader(world, request)


def caller(request: Request) -> Caller | None:
    """Whose key the request carries."""
    return caller_of(key_of(request))


def need_caller(request: Request) -> Caller:
    """As :func:`caller`; a request without a good key is refused."""
    found = caller(request)
    if found is None:
        raise RestError(401, {"error": "Unauthorized"})
    return found
