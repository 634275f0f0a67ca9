"""``/collections`` and ``/collections/{id}``. Only their names and their rate limit are known: the shape is a guess."""

from __future__ import annotations

from starlette.requests import Request

from hubman.sandbox.rest.answers import Caching, RestError, caller, route
from hubman.sandbox.rest.params import LARGEST_ID, whole
from hubman.sandbox.store import Doc
from hubman.sandbox.world import World

_PER_MINUTE = {True: 120, False: 60}
"""Requests a minute with a key, and without."""


def _limited(world: World, request: Request) -> None:
    user = caller(request)
    key = f"{user.user.id if user else 'anonymous'}/{world.now():%Y%m%d%H%M}"
    if world.count("collections", key) > _PER_MINUTE[user is not None]:
        raise RestError(429, {"error": "Too many requests, please try again later"})


def _shape(world: World, doc: Doc) -> Doc:
    owner = world.creator(doc["userId"])
    keys = ("id", "name", "description", "type", "read")
    return {**{key: doc[key] for key in keys}, "user": {"id": owner["id"], "username": owner["username"]}}


def _collections(world: World, request: Request) -> object:
    _limited(world, request)
    found = [doc for doc in world.store.every("collection") if doc["read"] == "Public"]
    return {"items": [_shape(world, doc) for doc in found], "metadata": {}}


def _collection(world: World, request: Request) -> object:
    _limited(world, request)
    number = whole(request.path_params["id"], "id", 1, LARGEST_ID)
    doc = world.store.get("collection", number)
    if doc is None or doc["read"] != "Public":
        raise RestError(404, {"error": f"No collection with id {number}"})
    return {**_shape(world, doc), "items": [{"type": "Model", "id": key} for key in doc["models"]]}


ROUTES = [
    route("/api/v1/collections", _collections, Caching.SHARED),
    route("/api/v1/collections/{id}", _collection, Caching.SHARED),
]
