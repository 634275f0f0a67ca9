"""What a collection holds, out of an answer whose shape nobody documents."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_LISTS = ("items", "collectionItems", "models", "modelVersions")


def collection_members(raw: object) -> tuple[list[int], list[int]]:
    """Numbers of models, and of versions.

    Looked at are the lists in it, of objects that hold ``modelId``, ``modelVersionId``, a ``model``, or a ``type``
    and an ``id``. Pictures and articles count for nothing.
    """
    models: dict[int, None] = {}
    versions: dict[int, None] = {}
    for entry in _entries(raw):
        kind = str(entry.get("type") or entry.get("entityType") or "").lower()
        data, model = entry.get("data"), entry.get("model")
        inner = data if isinstance(data, Mapping) else entry
        if number := _number(entry.get("modelVersionId")):
            versions[number] = None
        elif number := _number(entry.get("modelId")) or (_number(model.get("id")) if isinstance(model, Mapping) else 0):
            models[number] = None
        elif kind in {"model", "modelversion"} and (
            number := _number(inner.get("id")) or _number(entry.get("entityId"))
        ):
            (models if kind == "model" else versions)[number] = None
    return list(models), list(versions)


def _entries(raw: object) -> Iterator[Mapping[str, Any]]:
    lists = [raw] if isinstance(raw, list) else [raw.get(key) for key in _LISTS] if isinstance(raw, Mapping) else []
    for found in lists:
        for entry in found if isinstance(found, list) else ():
            if isinstance(entry, Mapping):
                yield entry


def _number(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**31 else 0
