"""``model.*``: making, publishing and reading models as their owner."""

from __future__ import annotations

from typing import Any

from hubman.civitai import contract
from hubman.civitai.wire import Json
from hubman.sandbox import tags
from hubman.sandbox.releases import ensure_releasable, release_posts, release_version, when
from hubman.sandbox.store import Doc
from hubman.sandbox.trpc import NOT_AUTHORIZED, Call, TrpcError, procedure
from hubman.sandbox.world import World

DEFAULTS: Doc = {
    "description": None, "nsfw": False, "poi": False, "minor": False, "sfwOnly": False, "allowNoCredit": True,
    "allowCommercialUse": ["Sell"], "allowDerivatives": True, "allowDifferentLicense": True, "availability": "Public",
    "checkpointType": None, "meta": None, "publishedAt": None, "mode": None, "lockedProperties": [],
}  # fmt: skip
_STORED = frozenset(DEFAULTS) | {"name", "type", "uploadType"}


@procedure("model.upsert")
def upsert(call: Call, value: dict[str, Any]) -> Json:
    world = call.world
    if "id" not in value:
        doc = {
            **DEFAULTS,
            "status": value["status"],
            "userId": call.user.id,
            "tags": [],
            "createdAt": world.timestamp(),
        }
        _apply(world, doc, value)
        doc["id"] = world.store.next_id("model")
        world.store.put("model", doc, parent=call.user.id)
        world.made("model", doc["id"])
        return {"id": doc["id"], "nsfwLevel": 0, "meta": doc["meta"], "availability": doc["availability"]}
    found = world.store.get("model", value["id"])
    if found is None or found["userId"] != call.user.id or found["status"] == "Deleted":
        raise TrpcError("NOT_FOUND", f"No model with id {value['id']}")
    _apply(world, found, value)
    world.store.put("model", found)
    keys = ("id", "name", "description", "poi", "minor", "sfwOnly", "nsfw", "status", "meta", "availability")
    return {**{key: found[key] for key in keys}, "nsfwLevel": 0, "gallerySettings": None}


def _apply(world: World, doc: Doc, value: dict[str, Any]) -> None:
    merged = {**doc, **{key: item for key, item in value.items() if key in _STORED}}
    _check_content(merged)
    if merged.get("allowCommercialUse") in (None, ""):
        merged["allowCommercialUse"] = doc["allowCommercialUse"]
    elif isinstance(merged["allowCommercialUse"], str):
        merged["allowCommercialUse"] = [merged["allowCommercialUse"]]
    if value.get("tagsOnModels") is not None:
        merged["tags"] = _tag_ids(world, value["tagsOnModels"])
    doc.update(merged, name=merged["name"].strip(), updatedAt=world.timestamp())


def _check_content(doc: Doc) -> None:
    rules = (
        (doc["nsfw"] and doc["poi"], "Mature content depicting actual people is not permitted."),
        (doc["nsfw"] and doc["minor"], "Mature content depicting minors is not permitted."),
        (doc["nsfw"] and doc["sfwOnly"], "Mature content on a model marked as SFW is not permitted."),
        (doc["availability"] == "Private" and not doc["sfwOnly"], "Private models must be set to SFW only."),
    )
    for broken, message in rules:
        if broken:
            raise TrpcError("BAD_REQUEST", message)


def _tag_ids(world: World, given: list[dict[str, Any]]) -> list[int]:
    found = {tag["id"]: tag for tag in (tags.named(world, item["name"]) for item in given)}
    if sum(bool(tag["isCategory"]) for tag in found.values()) > 1:
        options = ", ".join(tags.CATEGORIES)
        raise TrpcError(
            "BAD_REQUEST", f"Model cannot have multiple categories. Please include only one from: {options}"
        )
    return list(found)


def owned(call: Call, model_id: int) -> Doc:
    """The caller's model for a change; ownership failures are 401, unknown ids 404."""
    found = call.world.store.get("model", model_id)
    if found is None:
        raise TrpcError("NOT_FOUND", f"No model with id {model_id}")
    if found["userId"] != call.user.id or call.world.lags("model", model_id):
        raise TrpcError("UNAUTHORIZED", NOT_AUTHORIZED)
    return found


@procedure("model.publish")
def publish(call: Call, value: dict[str, Any]) -> Json:
    world, doc = call.world, owned(call, value["id"])
    if doc["status"] in {"UnpublishedViolation", "Deleted"}:
        raise TrpcError("UNAUTHORIZED", "You are not authorized to publish this model")
    if (doc["meta"] or {}).get("cannotPublish"):
        raise TrpcError("BAD_REQUEST", "This model cannot be published due to moderation restrictions.")
    if doc["status"] == "Published":
        raise TrpcError("BAD_REQUEST", "Model is already published")
    wanted = set(value.get("versionIds") or ())
    versions = [version for version in world.versions(doc["id"]) if version["id"] in wanted]
    deprecated = [
        version["baseModel"]
        for version in versions
        if version["baseModel"] in contract.enum_values("DeprecatedBaseModel")
    ]
    if deprecated:
        names = ", ".join(deprecated)
        raise TrpcError("BAD_REQUEST", f"Cannot publish models with versions using deprecated base models: {names}")
    date, status = when(world, value.get("publishedAt"))
    for version in versions:
        ensure_releasable(doc, version)
        release_version(world, version, date, status)
        release_posts(world, version["id"], call.user.id, date)
    doc.update(status=status, publishedAt=doc["publishedAt"] or date, updatedAt=world.timestamp())
    world.store.put("model", doc)
    keys = ("id", "name", "description", "poi", "nsfw", "minor", "sfwOnly", "type", "userId", "status")
    listed = [{"id": version["id"], "baseModel": version["baseModel"]} for version in world.versions(doc["id"])]
    return {**{key: doc[key] for key in keys}, "modelVersions": listed}


@procedure("model.unpublish")
def unpublish(call: Call, value: dict[str, Any]) -> Json:
    doc = owned(call, value["id"])
    for version in call.world.versions(doc["id"]):
        if version["status"] in {"Published", "Scheduled"}:
            call.world.store.put("version", {**version, "status": "Unpublished"})
    call.world.store.put("model", {**doc, "status": "Unpublished", "updatedAt": call.world.timestamp()})
    return {"id": doc["id"], "status": "Unpublished"}


@procedure("model.delete")
def delete(call: Call, value: dict[str, Any]) -> Json:
    doc = owned(call, value["id"])
    if value.get("permanently"):
        raise TrpcError("UNAUTHORIZED", NOT_AUTHORIZED)
    call.world.store.put("model", {**doc, "status": "Deleted"})
    return {"id": doc["id"]}


@procedure("model.getById")
def get_by_id(call: Call, value: dict[str, Any]) -> Json:
    world, model_id = call.world, value["id"]
    doc = world.store.get("model", model_id)
    mine = doc is not None and call.caller is not None and doc["userId"] == call.caller.user.id
    if (
        doc is None
        or doc["status"] == "Deleted"
        or not (mine or doc["status"] == "Published")
        or world.lags("model", model_id)
    ):
        raise TrpcError("NOT_FOUND", f"No model with id {model_id}")
    versions = [
        version
        for version in world.versions(model_id)
        if (mine or version["status"] == "Published") and not world.lags("version", version["id"])
    ]
    tagged = world.store.get_many("tag", doc["tags"])
    return {
        **{key: item for key, item in doc.items() if key != "tags"},
        "user": {"id": doc["userId"], "username": world.creator(doc["userId"])["username"]},
        "tagsOnModels": [{"tag": tagged[tag]} for tag in doc["tags"] if tag in tagged],
        "modelVersions": [
            {
                **version,
                "files": [{"id": file["id"], "name": file["name"]} for file in world.files(version["id"])],
                "posts": [{"id": post["id"]} for post in world.posts(version["id"]) if post["userId"] == doc["userId"]],
            }
            for version in versions
        ],
    }


@procedure("model.getMyDraftModels")
def get_my_draft_models(call: Call, value: dict[str, Any]) -> Json:
    world, limit, query = call.world, value["limit"], str(value.get("query", "")).lower()
    drafts = [
        doc
        for doc in world.store.children("model", call.user.id)
        if doc["status"] == "Draft" and query in doc["name"].lower() and not world.lags("model", doc["id"])
    ]
    page = max(1, value["page"])
    rows = sorted(drafts, key=lambda doc: str(doc["updatedAt"]), reverse=True)[(page - 1) * limit : page * limit]
    keys = ("id", "name", "type", "status", "createdAt", "updatedAt")
    items = [{**{key: doc[key] for key in keys}, "modelVersions": _draft_versions(world, doc["id"])} for doc in rows]
    pages = -(-len(drafts) // limit)
    return {"items": items, "totalItems": len(drafts), "currentPage": page, "pageSize": limit, "totalPages": pages}


def _draft_versions(world: World, model_id: int) -> list[Doc]:
    return [
        {
            "id": version["id"],
            "name": version["name"],
            "files": [{"url": file["url"]} for file in world.files(version["id"])],
            "_count": {"posts": len(world.posts(version["id"]))},
        }
        for version in world.versions(model_id)
    ]
