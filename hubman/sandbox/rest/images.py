"""``GET /images``: pictures and videos by model, version, post, creator, tag and level."""

from __future__ import annotations

from starlette.datastructures import QueryParams
from starlette.requests import Request

from hubman.civitai import contract
from hubman.civitai.wire import iso
from hubman.sandbox import shapes, tags
from hubman.sandbox.index import slug
from hubman.sandbox.rest import paging
from hubman.sandbox.rest.answers import Caching, route
from hubman.sandbox.rest.filters import Filter
from hubman.sandbox.rest.params import bad, choice, number, numbers, since, strict, whole
from hubman.sandbox.store import Doc
from hubman.sandbox.world import World

_ORDERS = {
    "Most Reactions": "reactions DESC", "Most Comments": "comments DESC", "Most Collected": "collected DESC",
    "Newest": "published DESC", "Oldest": "published", "Random": "(id * 2654435761) % 4294967296",
}  # fmt: skip
_BY_ENGAGEMENT = frozenset({"Most Reactions", "Most Comments", "Most Collected"})
_IDS = {
    "postId": "post_id",
    "modelId": "model_id",
    "modelVersionId": "version_id",
    "imageId": "id",
    "userId": "user_id",
}
_REACTIONS = ("cryCount", "laughCount", "likeCount", "dislikeCount", "heartCount", "commentCount")
_SAFE = 3


def _images(world: World, request: Request) -> object:
    query = request.query_params
    limit = whole(query.get("limit", "100"), "limit", 0, 200)
    first, page = paging.start(request, limit)
    wanted = _condition(world, query)
    sql = f"SELECT id FROM listed_images WHERE {wanted.where} ORDER BY {_order(query)}, id DESC LIMIT ? OFFSET ?"  # noqa: S608
    ids = [row[0] for row in world.store.sql(sql, [*wanted.values, limit + 1, first])]
    return {
        "items": _items(world, ids[:limit], query),
        "metadata": paging.metadata(request, first, page, limit, more=len(ids) > limit),
    }


def _condition(world: World, query: QueryParams) -> Filter:
    found = Filter()
    found.add("published <= ?", iso(world.now()))
    found.add("level & ?", _levels(query))
    for name, column in _IDS.items():
        if value := number(query, name, None, 1):
            found.add(f"{column} = ?", value)
    if query.get("username"):
        name = slug(query["username"])
        ids = [user["id"] for user in world.users() if slug(user["username"]) == name]
        found.among("user_id IN ({})", ids)
    if start := since(world.now(), choice(query, "period", "MetricTimeframe", "AllTime")):
        found.add("published >= ?", start)
    if kind := choice(query, "type", "MediaType"):
        found.add("type = ?", kind)
    if query.get("baseModels"):
        found.among(
            "version_id IN (SELECT id FROM listed_versions WHERE base_model IN ({}))", _bases(query["baseModels"])
        )
    if given := numbers(query, "tags"):
        found.add("(" + " OR ".join("instr(tags, ?) > 0" for _ in given) + ")", *[f",{tag}," for tag in given])
    if strict(query, "requiringMeta"):
        found.add("has_meta")
    return found


def _bases(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in contract.base_models():
            raise bad("baseModels", f"Invalid option: {name[:100]}")
    return names


def _levels(query: QueryParams) -> int:
    """The mask of levels asked for: PG alone without a word; ``nsfw=true`` is R and above *only*."""
    flags = contract.enum_map("BrowsingLevelFlags")
    if query.get("browsingLevel"):
        return whole(query["browsingLevel"], "browsingLevel", 0, 63)
    text = query.get("nsfw") or "false"
    if text in {"true", "false"}:
        return int(flags["nsfw"] if text == "true" else flags["public"])
    named = contract.enum_map("NsfwLevelDeprecatedQueryMap")
    if text not in named:
        raise bad("nsfw", f"Invalid option: {text[:100]}")
    return int(named[text])


def _order(query: QueryParams) -> str:
    sort = choice(query, "sort", "ImageSort", "Most Reactions")
    if query.get("modelId") and not query.get("modelVersionId") and sort in _BY_ENGAGEMENT:
        sort = "Newest"  # What pictures of a whole model are liked is not counted.
    return _ORDERS[sort]


def _items(world: World, ids: list[int], query: QueryParams) -> list[Doc]:
    docs = world.store.get_many("image", ids)
    posts = world.store.get_many("post", list({doc["postId"] for doc in docs.values()}))
    linked = list({post["modelVersionId"] for post in posts.values() if post["modelVersionId"]})
    versions = world.store.get_many("version", linked)
    with_meta, with_tags = strict(query, "withMeta"), strict(query, "withTags")
    wraps = _wraps(query) and not strict(query, "flatMeta")
    items = []
    for doc in (docs[key] for key in ids):
        post = posts[doc["postId"]]
        item = _item(world, doc, versions.get(post["modelVersionId"] or 0, {}))
        meta = shapes.shown_meta(doc)
        if with_meta:
            item["meta"] = {"id": doc["id"], "meta": meta} if wraps else meta
        if with_tags:
            names = tags.names(world)
            item["tags"] = [{"id": tag, "name": names[tag]} for tag in doc.get("tagIds") or () if tag in names]
        items.append(item)
    return items


def _wraps(query: QueryParams) -> bool:
    """Whether the question is about one image, or about a model and nothing narrower."""
    return bool(query.get("imageId")) or bool(
        query.get("modelId") and not (query.get("modelVersionId") or query.get("postId"))
    )


def _item(world: World, doc: Doc, version: Doc) -> Doc:
    stats = doc.get("stats") or {}
    named = contract.enum_map("NsfwLevelDeprecatedResponseMap")
    return {
        "id": doc["id"],
        "url": shapes.image_url(world, doc),
        "hash": doc["hash"],
        "width": doc["width"],
        "height": doc["height"],
        "nsfwLevel": named.get(str(doc["nsfwLevel"]), "None"),
        "nsfw": doc["nsfwLevel"] > _SAFE,
        "browsingLevel": doc["nsfwLevel"],
        "type": doc["type"],
        "createdAt": doc["createdAt"],
        "postId": doc["postId"],
        "stats": {name: stats.get(name, 0) for name in _REACTIONS},
        "meta": None,
        "username": world.creator(doc["userId"])["username"],
        "baseModel": version.get("baseModel"),
        "modelVersionIds": doc["resources"],
    }


ROUTES = [route("/api/v1/images", _images, Caching.SHARED)]
