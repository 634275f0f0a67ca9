"""Tags, and which of them are the categories that a model has exactly one of."""

from __future__ import annotations

from typing import Any

from hubman.civitai.wire import Json
from hubman.sandbox.store import Doc
from hubman.sandbox.trpc import Call, procedure
from hubman.sandbox.world import World

CATEGORIES = (
    "character", "style", "celebrity", "concept", "clothing", "base model", "poses", "background", "tool", "buildings",
    "vehicle", "objects", "animal", "action", "assets",
)  # fmt: skip


def named(world: World, name: str) -> Doc:
    """The tag called ``name`` (trimmed, lower case), made when it is new."""
    name = name.strip().lower()
    known = {known: key for key, known in names(world).items()}
    found = world.store.get("tag", known[name]) if name in known else None
    if found is None:
        found = world.store.put("tag", {"id": world.store.next_id("tag"), "name": name, "isCategory": False})
        world.tag_names[found["id"]] = name
    return found


def names(world: World) -> dict[int, str]:
    """Every tag's name by its id; a tag never changes."""
    if not world.tag_names:
        world.tag_names.update({tag["id"]: tag["name"] for tag in every(world)})
    return world.tag_names


def every(world: World) -> list[Doc]:
    tags = world.store.every("tag")
    if tags:
        return tags
    for name in CATEGORIES:
        world.store.put("tag", {"id": world.store.next_id("tag"), "name": name, "isCategory": True})
    return world.store.every("tag")


@procedure("tag.getAll")
def get_all(call: Call, value: dict[str, Any]) -> Json:
    query = str(value.get("query", "")).lower()
    tags = [tag for tag in every(call.world) if query in tag["name"]]
    if value.get("categories") is not None:
        tags = [tag for tag in tags if tag["isCategory"] == value["categories"]]
    start = max(0, value["page"] - 1) * value["limit"]
    items = [{"id": tag["id"], "name": tag["name"]} for tag in tags[start : start + value["limit"]]]
    return {"items": items, "totalItems": len(tags)}
