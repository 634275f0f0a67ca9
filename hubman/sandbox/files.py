"""``modelFile.*``: registering uploaded files with their version."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from hubman.civitai import contract
from hubman.civitai.wire import Json
from hubman.sandbox import scan
from hubman.sandbox.store import Doc
from hubman.sandbox.trpc import Call, TrpcError, procedure

_FORMATS = {
    ".safetensors": "SafeTensor", ".sft": "SafeTensor", ".ckpt": "PickleTensor", ".pt": "PickleTensor",
    ".bin": "PickleTensor", ".gguf": "GGUF", ".onnx": "ONNX",
}  # fmt: skip


@procedure("modelFile.create")
def create(call: Call, value: dict[str, Any]) -> Json:
    world = call.world
    version = world.store.get("version", value["modelVersionId"])
    model = world.store.get("model", version["modelId"]) if version else None
    if version is None or model is None or model["userId"] != call.user.id:
        raise TrpcError("NOT_FOUND", "Could not find entity")
    suffix = PurePosixPath(value["name"]).suffix.lower()
    doc: Doc = {
        "id": world.store.next_id("file"), "modelVersionId": version["id"], "name": value["name"], "url": value["url"],
        "sizeKB": value["sizeKB"], "type": value["type"], "visibility": value.get("visibility", "Public"),
        "metadata": {**(value.get("metadata") or {}), "format": _FORMATS.get(suffix, "Other")},
        "overrideName": value.get("overrideName"), "backend": value.get("backend"),
        "key": value.get("s3Path") or _key_of(value["url"]), "createdAt": world.timestamp(), **scan.pending(world),
    }  # fmt: skip
    world.store.put("file", doc, parent=version["id"])
    scan.settle(world)
    return {
        "id": doc["id"],
        "name": doc["name"],
        "modelVersion": {
            "id": version["id"], "modelId": model["id"], "baseModel": version["baseModel"], "status": version["status"],
            "model": {"type": model["type"]}, "_count": {"posts": len(world.posts(version["id"]))},
        },
    }  # fmt: skip


def _key_of(url: str) -> str:
    """The storage key inside an object's address: what follows the bucket."""
    return unquote(urlsplit(url).path).lstrip("/").partition("/")[2]


@procedure("modelFile.update")
def update(call: Call, value: dict[str, Any]) -> Json:
    doc = _owned(call, value["id"])
    metadata = {**doc["metadata"], **(value.get("metadata") or {})}
    doc.update({key: item for key, item in value.items() if key in {"name", "type", "overrideName", "visibility"}})
    doc["metadata"] = metadata
    if value.get("url", doc["url"]) != doc["url"]:
        # Other bytes: they wait for a scan of their own.
        key = value.get("s3Path") or _key_of(value["url"])
        doc |= {"url": value["url"], "key": key, "backend": value.get("backend"), **scan.pending(call.world)}
    doc["sizeKB"] = value.get("sizeKB", doc["sizeKB"])
    call.world.store.put("file", doc)
    scan.settle(call.world)
    return call.world.store.get("file", doc["id"])


@procedure("modelFile.upsert")
def upsert(call: Call, value: dict[str, Any]) -> Json:
    return update(call, value) if "id" in value else create(call, value)


@procedure("modelFile.delete")
def delete(call: Call, value: dict[str, Any]) -> Json:
    doc = _owned(call, value["id"])
    call.world.store.delete("file", doc["id"])
    return {"modelVersionId": doc["modelVersionId"]}


@procedure("modelFile.getByVersionId")
def get_by_version_id(call: Call, value: dict[str, Any]) -> Json:
    return [file for file in call.world.files(value["id"]) if file["visibility"] == "Public"]


@procedure("modelFile.getOptions")
def get_options(_call: Call, _value: dict[str, Any]) -> Json:
    names = {
        "fp": "ModelFileFp",
        "quantType": "ModelFileQuantType",
        "format": "ModelFileFormat",
        "size": "ModelFileSize",
    }
    return {key: list(contract.enum_values(name)) for key, name in names.items()}


@procedure("modelFile.hasOfficialFileOfSize")
def has_official_file_of_size(_call: Call, _value: dict[str, Any]) -> Json:
    return False


def _owned(call: Call, file_id: int) -> Doc:
    doc = call.world.store.get("file", file_id)
    version = call.world.store.get("version", doc["modelVersionId"]) if doc else None
    model = call.world.store.get("model", version["modelId"]) if version else None
    if doc is None or model is None or model["userId"] != call.user.id:
        raise TrpcError("NOT_FOUND", "Could not find entity")
    return doc
