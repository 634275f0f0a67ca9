"""``/models`` and ``/models/{id}``."""

from __future__ import annotations

from starlette.requests import Request

from hubman.sandbox import shapes
from hubman.sandbox.public import is_public, level_of, releases
from hubman.sandbox.rest import filters, paging
from hubman.sandbox.rest.answers import Caching, RestError, need_caller, route
from hubman.sandbox.rest.params import LARGEST_ID, strict, whole
from hubman.sandbox.shapes import Showing
from hubman.sandbox.world import World

_PG = 1
_EVERY_LEVEL = 63


def _models(world: World, request: Request) -> object:
    query = request.query_params
    limit = whole(query.get("limit", "100"), "limit", 0, 100)
    filters.check(query)
    if {"favorites", "hidden"} & set(query.keys()):
        need_caller(request)
    first, page = paging.start(request, limit)
    wanted, (order, values) = filters.condition(world, query), filters.order(query)
    sql = f"SELECT id FROM listed_models WHERE {wanted.where} ORDER BY {order} LIMIT ? OFFSET ?"  # noqa: S608
    ids = [row[0] for row in world.store.sql(sql, [*wanted.values, *values, limit + 1, first])]
    items = _items(world, ids[:limit], nsfw=query.get("nsfw") == "true", primary_only=strict(query, "primaryFileOnly"))
    return {"items": items, "metadata": paging.metadata(request, first, page, limit, more=len(ids) > limit)}


def _items(world: World, ids: list[int], *, nsfw: bool, primary_only: bool) -> list[object]:
    """Taken by position first and filtered by level after: pages come out short, or empty, before the last one."""
    showing = Showing(_EVERY_LEVEL if nsfw else _PG, primary_only)
    docs, released = world.store.get_many("model", ids), releases(world, ids)
    items: list[object] = []
    for key in ids:
        level = level_of([image for release in released[key] for image in release.images])
        if nsfw or (not docs[key]["nsfw"] and (level & _PG or not level)):
            items.append(shapes.model(world, docs[key], released[key], detail=False, showing=showing))
    return items


def _model(world: World, request: Request) -> object:
    number = whole(request.path_params["id"], "id", 1, LARGEST_ID)
    doc = world.store.get("model", number)
    if doc is None or not is_public(doc):
        raise RestError(404, {"error": f"No model with id {number}"})
    return shapes.model(world, doc, releases(world, [number])[number], detail=True)


ROUTES = [
    route("/api/v1/models", _models, Caching.MIXED),
    route("/api/v1/models/{id}", _model, Caching.SHARED),
]
