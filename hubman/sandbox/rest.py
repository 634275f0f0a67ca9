"""The public REST API: what anybody may read."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hubman.civitai import contract
from hubman.sandbox import accounts, scan, shapes, tags
from hubman.sandbox.accounts import caller_of
from hubman.sandbox.store import Doc
from hubman.sandbox.trpc import key_of
from hubman.sandbox.world import World

_SHARED = {"Cache-Control": "public, s-maxage=300, stale-while-revalidate=150"}
_BY_HASH = {"Cache-Control": "public, s-maxage=3600, stale-while-revalidate=1800"}
_NOT_TEXT = frozenset({
    "allowNoCredit", "allowDerivatives", "allowDifferentLicense", "browsingLevel", "collectionId", "disablePoi",
    "disableMinor", "isFeatured", "pending",
})  # fmt: skip
_DEEPEST = 1000


class RestError(Exception):
    """A refusal with a JSON body."""

    def __init__(self, status: int, body: object) -> None:
        super().__init__(str(body))
        self.status = status
        self.body = body


Reader = Callable[[World, Request], object]


def _route(path: str, reader: Reader, headers: dict[str, str] | None = None) -> Route:
    async def answer(request: Request) -> Response:
        try:
            return JSONResponse(await run_in_threadpool(_read, reader, request), headers=headers)
        except RestError as error:
            return JSONResponse(error.body, error.status, headers=headers)

    return Route(path, answer, methods=["GET"])


def _read(reader: Reader, request: Request) -> object:
    world: World = request.app.state.world
    with world.store.transaction():
        scan.settle(world)
        return reader(world, request)


def _me(_world: World, request: Request) -> object:
    caller = caller_of(key_of(request))
    if caller is None:
        raise RestError(401, {"error": "Unauthorized"})
    user = caller.user
    answer = {
        "id": user.id, "username": user.username, "tier": "free", "status": user.status, "isMember": False,
        "subscriptions": [], "tokenScope": caller.scope, "buzzLimit": None,
        "subject": {"type": "apiKey", "id": caller.token_id},
    }  # fmt: skip
    if caller.scope & contract.scope_bits()["UserRead"]:
        answer.update(email=f"{user.username}@sandbox.invalid", emailVerified=True)
    return answer


def _whole(text: str, name: str, low: int, high: int) -> int:
    if not text.isascii() or not text.isdigit() or not low <= int(text) <= high:
        issue = {"code": "invalid_type", "path": [name], "message": f"Invalid input: expected {low} to {high}"}
        raise RestError(400, {"error": {"issues": [issue], "name": "ZodError"}})
    return int(text)


def _models(world: World, request: Request) -> object:
    query = request.query_params
    limit = _whole(query.get("limit", "100"), "limit", 0, 100)
    _check_filters(query, has_key=caller_of(key_of(request)) is not None)
    page = _whole(query["page"], "page", 1, 10**6) if "page" in query else None
    if page and query.get("query"):
        raise RestError(400, {"error": "Cannot use page param with query search. Use cursor-based pagination."})
    if page and page * limit > _DEEPEST:
        raise RestError(429, {"error": "You've requested too many pages, please use cursors instead"})
    docs = _sorted([d for d in world.store.every("model") if _matches(world, d, query)], query.get("sort"))
    start = (page - 1) * limit if page else _position(query.get("cursor"))
    # Taken by position first and filtered after: pages come out short, or empty, before the last one.
    window = docs[start : start + limit]
    adult = query.get("nsfw") == "true"
    items = [shapes.model(world, doc, detail=False) for doc in window if adult or not doc["nsfw"]]
    metadata: Doc = {}
    if limit and start + limit < len(docs):
        cursor = str(start + limit) if query.get("query") else _cursor(start + limit)
        following = {"page": str(page + 1)} if page else {"cursor": cursor}
        metadata["nextPage"] = str(request.url.include_query_params(**following))
        if not page:
            metadata["nextCursor"] = cursor
    if page:
        metadata.update(currentPage=page, pageSize=limit)
    return {"items": items, "metadata": metadata}


def _check_filters(query: QueryParams, *, has_key: bool) -> None:
    allowed = {
        "types": "ModelType",
        "sort": "ModelSort",
        "period": "MetricTimeframe",
        "allowCommercialUse": "CommercialUse",
    }
    for key, enum in allowed.items():
        for value in query.getlist(key):
            if value not in contract.enum_values(enum):
                issue = {"code": "invalid_value", "path": [key], "message": f"Invalid option: {value[:100]}"}
                raise RestError(400, {"error": {"issues": [issue], "name": "ZodError"}})
    wrong = sorted(_NOT_TEXT & set(query.keys()))
    if wrong or len(query.getlist("fileFormats")) == 1:
        issue = {"code": "invalid_type", "path": wrong[:1] or ["fileFormats"], "message": "Invalid input"}
        raise RestError(400, {"error": {"issues": [issue], "name": "ZodError"}})
    if not has_key and {"favorites", "hidden"} & set(query.keys()):
        raise RestError(401, {"error": "Unauthorized"})


def _matches(world: World, doc: Doc, query: QueryParams) -> bool:
    if not shapes.is_public(doc) or doc["availability"] in {"Private", "Unsearchable"}:
        return False
    versions = shapes.public_versions(world, doc["id"])
    if not versions or (query.getlist("types") and doc["type"] not in query.getlist("types")):
        return False
    if bases := query.getlist("baseModels"):
        versions = [version for version in versions if version["baseModel"] in bases]
    names = {tag["id"]: tag["name"] for tag in tags.every(world)}
    tagged = [names[tag] for tag in doc["tags"] if tag in names]
    wanted = query.get("tag") or query.get("tagname")
    if not versions or (wanted and wanted.lower() not in tagged):
        return False
    creator = accounts.user(doc["userId"]).username
    if query.get("username") and query["username"].lower() != creator:
        return False
    if query.get("ids") and str(doc["id"]) not in query["ids"].split(","):
        return False
    words = [word for version in versions for word in version["trainedWords"]]
    text = " ".join([doc["name"], doc["description"] or "", creator, *tagged, *words]).lower()
    return all(word in text for word in query.get("query", "").lower().split())


def _sorted(docs: list[Doc], order: str | None) -> list[Doc]:
    if order == "Oldest":
        return sorted(docs, key=lambda doc: str(doc["publishedAt"]))
    if order == "Most Downloaded":
        return sorted(docs, key=lambda doc: -int((doc.get("stats") or {}).get("downloadCount", 0)))
    return sorted(docs, key=lambda doc: (str(doc["publishedAt"]), doc["id"]), reverse=True)


def _cursor(position: int) -> str:
    return base64.urlsafe_b64encode(f"o|{position}".encode()).decode()


def _position(cursor: str | None) -> int:
    if not cursor:
        return 0
    if cursor.isascii() and cursor.isdigit():
        return int(cursor)
    try:
        return int(base64.urlsafe_b64decode(cursor).decode().removeprefix("o|"))
    except (ValueError, binascii.Error):
        raise RestError(400, {"error": "Invalid cursor"}) from None


def _model(world: World, request: Request) -> object:
    text = request.path_params["id"]
    number = _whole(text, "id", 1, 2**31 - 1)
    doc = world.store.get("model", number)
    if doc is None or not shapes.is_public(doc):
        raise RestError(404, {"error": f"No model with id {number}"})
    return shapes.model(world, doc, detail=True)


def _version(world: World, request: Request) -> object:
    doc = world.store.get("version", _whole(request.path_params["id"], "id", 1, 2**31 - 1))
    parent = world.store.get("model", doc["modelId"]) if doc else None
    if doc is None or parent is None or doc["status"] != "Published" or not shapes.is_public(parent):
        raise RestError(404, {"error": "Model not found"})
    if not shapes.public_files(world, doc["id"]):
        raise RestError(404, {"error": "Missing model file"})
    return shapes.lone_version(world, doc, parent)


def _with_hash(world: World, wanted: str) -> tuple[Doc, Doc] | None:
    """The earliest published version with a file of this hash (any kind), and its model."""
    found = []
    for file in world.store.every("file"):
        if wanted.upper() not in file["hashes"].values():
            continue
        version = world.store.get("version", file["modelVersionId"])
        model = world.store.get("model", version["modelId"]) if version else None
        if version and model and version["status"] == "Published" and shapes.is_public(model):
            found.append((version, model))
    return min(found, key=lambda pair: datetime.fromisoformat(pair[0]["publishedAt"]), default=None)


def _by_hash(world: World, request: Request) -> object:
    found = _with_hash(world, request.path_params["hash"])
    if found is None:
        raise RestError(404, {"error": "Model not found"})
    return shapes.lone_version(world, *found)


async def _hashes(request: Request, most: int) -> list[str]:
    try:
        body = json.loads(await request.body())
    except ValueError:
        body = None
    if not isinstance(body, list) or len(body) > most or any(not isinstance(h, str) or len(h) != 64 for h in body):
        raise RestError(400, {"error": f"Expected an array of at most {most} SHA256 hashes"})
    return body


async def _by_hash_batch(request: Request) -> Response:
    return await _answer_hashes(request, 100, lambda world, _hash, pair: shapes.lone_version(world, *pair))


async def _by_hash_ids(request: Request) -> Response:
    def ids(_world: World, sha256: str, pair: tuple[Doc, Doc]) -> Doc:
        return {"modelVersionId": pair[0]["id"], "modelId": pair[1]["id"], "hash": sha256.upper()}

    return await _answer_hashes(request, 10_000, ids)


async def _answer_hashes(request: Request, most: int, shape: Callable[[World, str, tuple[Doc, Doc]], Doc]) -> Response:
    world: World = request.app.state.world
    try:
        wanted = await _hashes(request, most)
    except RestError as error:
        return JSONResponse(error.body, error.status)

    def find() -> list[Doc]:
        with world.store.transaction():
            scan.settle(world)
            pairs = [(sha256, _with_hash(world, sha256)) for sha256 in wanted]
            return [shape(world, sha256, pair) for sha256, pair in pairs if pair]

    return JSONResponse(await run_in_threadpool(find), headers=_SHARED)


def _images(world: World, request: Request) -> object:
    query = request.query_params
    limit = _whole(query.get("limit", "100"), "limit", 0, 200)
    wanted: dict[str, Any] = {
        key: int(query[key]) for key in ("postId", "modelVersionId", "imageId") if query.get(key, "").isdigit()
    }
    items = []
    for doc in world.store.every("image"):
        post = world.store.get("post", doc["postId"])
        if doc["ingestion"] != "Scanned" or not post or not post["publishedAt"]:
            continue
        facts = {"postId": doc["postId"], "modelVersionId": post["modelVersionId"], "imageId": doc["id"]}
        if any(facts[key] != value for key, value in wanted.items()):
            continue
        shape = shapes.image(world, doc, with_id=True)
        shape.update(
            browsingLevel=doc["nsfwLevel"], nsfwLevel="None", nsfw=False, createdAt=doc["createdAt"],
            meta=doc["meta"] if query.get("withMeta") == "true" else None, modelVersionIds=doc["resources"],
            username=accounts.user(doc["userId"]).username, postId=doc["postId"],
        )  # fmt: skip
        items.append(shape)
    return {"items": items[:limit], "metadata": {}}


def _enums(_world: World, _request: Request) -> object:
    names = ("ModelType", "ModelFileType", "ActiveBaseModel", "BaseModel", "BaseModelType")
    return {name: list(contract.enum_values(name)) for name in names}


def _tags(world: World, request: Request) -> object:
    query = request.query_params.get("query", "").lower()
    items = [
        {"name": tag["name"], "link": f"{world.site}/api/v1/models?tag={tag['name']}"}
        for tag in tags.every(world)
        if query in tag["name"]
    ]
    return {
        "items": items,
        "metadata": {"totalItems": len(items), "currentPage": 1, "pageSize": len(items), "totalPages": 1},
    }


ROUTES = [
    _route("/api/v1/me", _me),
    _route("/api/v1/models", _models, _SHARED),
    _route("/api/v1/models/{id}", _model, _SHARED),
    Route("/api/v1/model-versions/by-hash", _by_hash_batch, methods=["POST"]),
    Route("/api/v1/model-versions/by-hash/ids", _by_hash_ids, methods=["POST"]),
    _route("/api/v1/model-versions/by-hash/{hash}", _by_hash, _BY_HASH),
    _route("/api/v1/model-versions/{id}", _version, _SHARED),
    _route("/api/v1/images", _images, _SHARED),
    _route("/api/v1/enums", _enums),
    _route("/api/v1/tags", _tags, _SHARED),
]
