"""The small lists: creators, tags, users and enums."""

from __future__ import annotations

from urllib.parse import quote

from starlette.requests import Request

from hubman.civitai import contract
from hubman.sandbox import shapes, tags
from hubman.sandbox.rest import paging
from hubman.sandbox.rest.answers import Caching, RestError, route
from hubman.sandbox.rest.params import numbers
from hubman.sandbox.store import Doc
from hubman.sandbox.world import World

_ENUMS = ("ModelType", "ModelFileType", "ActiveBaseModel", "BaseModel", "BaseModelType")
_USERS = 50


def _creators(world: World, request: Request) -> object:
    query = request.query_params.get("query", "").lower()
    listed = "mode IS NULL AND availability != 'Unsearchable'"
    sql = f"SELECT user_id, count(*) FROM listed_models WHERE {listed} GROUP BY user_id ORDER BY 2 DESC, 1"  # noqa: S608
    counts = world.store.sql(sql)
    users = {user["id"]: user for user in world.users()}
    rows = [(users[key], count) for key, count in counts if key in users and query in users[key]["username"].lower()]

    def shape(row: tuple[Doc, int]) -> Doc:
        user, count = row
        link = f"{world.site}/api/v1/models?username={quote(user['username'])}"
        found: Doc = {"username": user["username"], "modelCount": count, "link": link}
        return {**found, "image": shapes.link(world, user["image"])} if user["image"] else found

    return paging.counted(request, rows, shape)


def _tags(world: World, request: Request) -> object:
    query = request.query_params.get("query", "").lower()
    rows = [name for name in tags.names(world).values() if query in name]
    return paging.counted(
        request, rows, lambda name: {"name": name, "link": f"{world.site}/api/v1/models?tag={quote(name)}"}
    )


def _users(world: World, request: Request) -> object:
    query = request.query_params
    ids = numbers(query, "ids")
    if ids is None and not query.get("query"):
        raise RestError(400, {"error": "Either ids or query is required"})
    words = query.get("query", "").lower()
    found = [
        {"id": user["id"], "username": user["username"]}
        for user in world.users()
        if (ids is None or user["id"] in ids) and words in user["username"].lower()
    ]
    return {"items": found[:_USERS]}


def _enums(_world: World, _request: Request) -> object:
    return {name: list(contract.enum_values(name)) for name in _ENUMS}


ROUTES = [
    route("/api/v1/creators", _creators, Caching.SHARED),
    route("/api/v1/tags", _tags, Caching.SHARED),
    route("/api/v1/users", _users),
    route("/api/v1/enums", _enums),
]
