"""``modelVersion.*``."""

from __future__ import annotations

from typing import Any

from hubman.civitai import contract
from hubman.civitai.wire import Json
from hubman.sandbox import models
from hubman.sandbox.releases import ensure_releasable, release_posts, release_version, when
from hubman.sandbox.store import Doc
from hubman.sandbox.trpc import NOT_AUTHORIZED, Call, TrpcError, procedure

DEFAULTS: Doc = {
    "description": None, "trainedWords": [], "steps": None, "epochs": None, "clipSkip": None, "vaeId": None,
    "trainingStatus": None, "trainingDetails": None, "fromImportId": None, "inaccurate": False, "baseModelType": None,
    "meta": {}, "requireAuth": False, "settings": None, "uploadType": "Created", "usageControl": "Download",
    "earlyAccessTimeFrame": 0, "flags": 0, "licensingFee": None, "licensingFeeType": None,
    "licensingFeeSettlementCurrency": None, "licensingSourceVersionId": None, "recommendedResources": [],
    "paidAccess": None, "monetization": None,
}  # fmt: skip
_STORED = frozenset(DEFAULTS) | {"name", "baseModel", "status"}


@procedure("modelVersion.upsert")
def upsert(call: Call, value: dict[str, Any]) -> Json:
    world = call.world
    model = models.owned(call, value["modelId"])
    found = _owned(call, value["id"]) if "id" in value else None
    _check_rules(model, value)
    if found is None:
        if model["availability"] == "Private":
            raise TrpcError("BAD_REQUEST", "You cannot add versions to a private model.")
        found = {
            **DEFAULTS, "id": world.store.next_id("version"), "modelId": model["id"], "index": 0, "status": "Draft",
            "createdAt": world.timestamp(), "publishedAt": None, "initialPublishedAt": None, "nsfwLevel": 0,
            "availability": "Private",
        }  # fmt: skip
        for older in world.versions(model["id"]):
            world.store.put("version", {**older, "index": (older["index"] or 0) + 1})
        world.made("version", found["id"])
    else:
        # What guards money is cleared when an update doesn't repeat it.
        found.update(paidAccess=None, monetization=None)
    found.update({key: item for key, item in value.items() if key in _STORED})
    found.update(name=found["name"].strip(), usageControl="Download", updatedAt=world.timestamp())
    world.store.put("version", found, parent=model["id"])
    return found


def _check_rules(model: Doc, value: dict[str, Any]) -> None:
    base = value["baseModel"]
    if "earlyAccessGoalConfig" in value:
        raise TrpcError("INTERNAL_SERVER_ERROR", "Database validation error")
    if base in contract.enum_values("DeprecatedBaseModel"):
        raise TrpcError("BAD_REQUEST", f"Cannot create or update model versions using deprecated base models: {base}")
    if base not in contract.base_models():
        raise TrpcError("BAD_REQUEST", f"Unknown base model {base}")
    ensure_releasable(model, value)
    if base in contract.enum_values("NonCommercialBaseModel") and (
        value.get("paidAccess") or value.get("monetization")
    ):
        raise TrpcError(
            "BAD_REQUEST", f'The base model "{base}" is licensed for non-commercial use and cannot be monetized.'
        )
    control = value.get("usageControl")
    if control in {"InternalGeneration", "ExternalGeneration"}:
        side = "internal" if control.startswith("Internal") else "external"
        raise TrpcError("BAD_REQUEST", f"Only moderators can manage {side} generation models")


def _owned(call: Call, version_id: int, *, primary: bool = False) -> Doc:
    found = call.world.store.get("version", version_id)
    if found is None:
        raise TrpcError("NOT_FOUND", f"No model version with id {version_id}")
    model = call.world.store.get("model", found["modelId"]) or {}
    if model.get("userId") != call.user.id or (not primary and call.world.lags("version", version_id)):
        raise TrpcError("UNAUTHORIZED", NOT_AUTHORIZED)
    return found


@procedure("modelVersion.publish")
def publish(call: Call, value: dict[str, Any]) -> Json:
    world, version = call.world, _owned(call, value["id"])
    if version["baseModel"] in contract.enum_values("DeprecatedBaseModel"):
        base = version["baseModel"]
        raise TrpcError("BAD_REQUEST", f"Cannot publish model versions using deprecated base models: {base}")
    if version["status"] in {"UnpublishedViolation", "Deleted"}:
        raise TrpcError("UNAUTHORIZED", "You are not authorized to publish this model version")
    model = world.store.get("model", version["modelId"]) or {}
    ensure_releasable(model, version)
    date, status = when(world, value.get("publishedAt"))
    release_version(world, version, date, status)
    release_posts(world, version["id"], call.user.id, date)
    keys = ("userId", "id", "type", "nsfw")
    return {
        "id": version["id"],
        "modelId": version["modelId"],
        "baseModel": version["baseModel"],
        "model": {key: model[key] for key in keys},
    }


@procedure("modelVersion.unpublish")
def unpublish(call: Call, value: dict[str, Any]) -> Json:
    version = _owned(call, value["id"])
    call.world.store.put("version", {**version, "status": "Unpublished"})
    return {"id": version["id"], "modelId": version["modelId"]}


@procedure("modelVersion.delete")
def delete(call: Call, value: dict[str, Any]) -> Json:
    version = _owned(call, value["id"])
    call.world.store.delete("version", version["id"])
    return {"id": version["id"], "modelId": version["modelId"]}


@procedure("modelVersion.getById")
def get_by_id(call: Call, value: dict[str, Any]) -> Json:
    version = call.world.store.get("version", value["id"])
    model = call.world.store.get("model", version["modelId"]) if version else None
    mine = model is not None and call.caller is not None and model["userId"] == call.caller.user.id
    if version is None or model is None or not (mine or version["status"] == "Published"):
        raise TrpcError("NOT_FOUND", f"No version with id {value['id']}")
    return _with_files(call, version, model) if value.get("withFiles") else version


@procedure("modelVersion.getByIdForEdit")
def get_by_id_for_edit(call: Call, value: dict[str, Any]) -> Json:
    version = _owned(call, value["id"], primary=True)
    model = call.world.store.get("model", version["modelId"]) or {}
    return _with_files(call, version, model) if value.get("withFiles") else version


def _with_files(call: Call, version: Doc, model: Doc) -> Doc:
    files = [
        {**file, "hashes": [{"type": kind, "hash": value} for kind, value in file["hashes"].items()]}
        for file in call.world.files(version["id"])
    ]
    keys = ("id", "name", "type", "status", "nsfw", "poi")
    posts = [{"id": post["id"]} for post in call.world.posts(version["id"])]
    return {**version, "files": files, "posts": posts, "model": {key: model.get(key) for key in keys}}


@procedure("modelVersion.linkOfficialFileByHash")
def link_official_file(_call: Call, _value: dict[str, Any]) -> Json:
    raise TrpcError("NOT_FOUND", "No official file with this hash")
