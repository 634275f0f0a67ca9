"""``post.*``: showcase posts, the limit on their number, and their images."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from hubman.civitai.wire import Json, iso
from hubman.sandbox import images
from hubman.sandbox.accounts import User
from hubman.sandbox.encoding import UNDEFINED
from hubman.sandbox.store import Doc
from hubman.sandbox.trpc import NOT_AUTHORIZED, Call, TrpcError, procedure

_DAILY = "You've reached your daily limit for new posts. Please try again tomorrow."
_FIRST_DAY = "New accounts have a lower hourly posting limit on their first day."
_SOON = timedelta(minutes=60)


def _count(call: Call) -> None:
    """At most so many posts in the last day, or hour for an account of today."""
    world, user = call.world, call.user
    limit, window, message = _allowance(user)
    limit = limit if world.settings.posts_per_day is None else world.settings.posts_per_day
    since = iso(world.now() - window)
    recent = [mark for mark in world.store.children("post-mark", user.id) if mark["at"] > since]
    if len(recent) >= limit:
        raise TrpcError("TOO_MANY_REQUESTS", message)
    # Kept apart from the posts: deleting a post doesn't give the try back.
    world.store.put("post-mark", {"id": world.store.next_id("post-mark"), "at": world.timestamp()}, parent=user.id)


def _allowance(user: User) -> tuple[int, timedelta, str]:
    if user.age_days == 0:
        return 2, timedelta(hours=1), _FIRST_DAY
    limit = 150 if user.score >= 5000 else 60 if user.score >= 1000 else 20
    return limit, timedelta(days=1), _DAILY


@procedure("post.create", limit=_count)
def create(call: Call, value: dict[str, Any]) -> Json:
    _check_version(call, value.get("modelVersionId"))
    return create_unlimited(call, value)


def create_unlimited(call: Call, value: dict[str, Any]) -> Doc:
    """A post that doesn't count against the limit."""
    post = _new_post(call, value)
    return {**post, "nsfwLevel": 0, "images": [], "user": {"id": call.user.id, "username": call.user.username}}


def _check_version(call: Call, version_id: int | None) -> None:
    if version_id is None:
        return
    version = call.world.store.get("version", version_id)
    model = call.world.store.get("model", version["modelId"]) if version else None
    if version is None or model is None:
        raise TrpcError("NOT_FOUND", f"No model version with id {version_id}")
    if (model["userId"] != call.user.id and version["status"] != "Published") or call.world.lags("version", version_id):
        raise TrpcError("UNAUTHORIZED", NOT_AUTHORIZED)


def _new_post(call: Call, value: dict[str, Any]) -> Doc:
    world = call.world
    tags = value.get("tags") or []
    doc: Doc = {
        "id": world.store.next_id("post"), "userId": call.user.id, "modelVersionId": value.get("modelVersionId"),
        "title": value.get("title"), "detail": value.get("detail"), "collectionId": value.get("collectionId"),
        "publishedAt": value.get("publishedAt"), "createdAt": world.timestamp(), "availability": "Public",
        "tags": [tag.strip() for tag in (tags.split(",") if isinstance(tags, str) else tags)],
    }  # fmt: skip
    world.store.put("post", doc, parent=doc["modelVersionId"])
    world.made("post", doc["id"])
    return doc


@procedure("post.createWithImages", limit=_count)
def create_with_images(call: Call, value: dict[str, Any]) -> Json:
    _check_version(call, value.get("modelVersionId"))
    world = call.world
    # One transaction holds this call, so a refused image takes the draft with it.
    post = _new_post(call, {**value, "publishedAt": world.timestamp() if value.get("publish") else None})
    made = [images.add(call, post, image) for image in value["images"]]
    keys = ("id", "title", "detail", "modelVersionId", "collectionId", "publishedAt")
    return {**{key: post[key] for key in keys}, "imageIds": [image["id"] for image in made], "nsfwLevel": 0}


def owned(call: Call, post_id: int) -> Doc:
    """The caller's post for a change."""
    post = call.world.store.get("post", post_id)
    if post is None:
        raise TrpcError("NOT_FOUND", f"No post with id {post_id}")
    if post["userId"] != call.user.id:
        raise TrpcError("UNAUTHORIZED", NOT_AUTHORIZED)
    return post


@procedure("post.addImage")
def add_image(call: Call, value: dict[str, Any]) -> Json:
    if call.world.lags("post", value["postId"]):
        raise TrpcError("NOT_FOUND", f"No post with id {value['postId']}")
    post = owned(call, value["postId"])
    return images.edit_shape(images.add(call, post, value))


@procedure("post.update")
def update(call: Call, value: dict[str, Any]) -> Json:
    world, post = call.world, owned(call, value["id"])
    public = post["publishedAt"] and datetime.fromisoformat(post["publishedAt"]) <= world.now()
    if value.get("publishedAt") and public:
        raise TrpcError("BAD_REQUEST", "You cannot reschedule a post that is already published")
    post.update({key: item for key, item in value.items() if key in {"title", "detail", "collectionId"}})
    if given := value.get("publishedAt"):
        later = datetime.fromisoformat(given) >= world.now() + _SOON
        post["publishedAt"] = str(given) if later else world.timestamp()
    world.store.put("post", post)
    return UNDEFINED


@procedure("post.getEdit")
def get_edit(call: Call, value: dict[str, Any]) -> Json:
    post = owned(call, value["id"])
    listed = [images.edit_shape(image) for image in call.world.images(post["id"])]
    return {**post, "images": listed, "user": {"id": call.user.id, "username": call.user.username}}


@procedure("post.delete")
def delete(call: Call, value: dict[str, Any]) -> Json:
    post = owned(call, value["id"])
    for image in call.world.images(post["id"]):
        call.world.store.delete("image", image["id"])
    call.world.store.delete("post", post["id"])
    return {"id": post["id"]}


@procedure("post.addTag")
def add_tag(call: Call, value: dict[str, Any]) -> Json:
    post = owned(call, value["id"])
    name = value["name"].strip().lower()
    call.world.store.put("post", {**post, "tags": list(dict.fromkeys([*post["tags"], name]))})
    return {"id": value.get("tagId") or 0, "name": name}


@procedure("post.removeTag")
def remove_tag(call: Call, value: dict[str, Any]) -> Json:
    owned(call, value["id"])
    return UNDEFINED


@procedure("post.reorderImages")
def reorder_images(call: Call, value: dict[str, Any]) -> Json:
    post = owned(call, value["id"])
    by_id = {image["id"]: image for image in call.world.images(post["id"])}
    for index, key in enumerate(key for key in value["imageIds"] if key in by_id):
        call.world.store.put("image", {**by_id[key], "index": index})
    return UNDEFINED


@procedure("post.updateImage")
def update_image(call: Call, value: dict[str, Any]) -> Json:
    image = _owned_image(call, value["id"])
    image.update({key: item for key, item in value.items() if key in {"meta", "hideMeta"}})
    call.world.store.put("image", image)
    return UNDEFINED


@procedure("post.addResourceToImage")
def add_resource_to_image(call: Call, value: dict[str, Any]) -> Json:
    for key in value["id"]:
        image = _owned_image(call, key)
        if images.made_on_site(image["meta"]):
            raise TrpcError("BAD_REQUEST", "Cannot add resources to on-site generations.")
        linked = list(dict.fromkeys([*image["resources"], value["modelVersionId"]]))
        if len(linked) > 20:
            raise TrpcError("BAD_REQUEST", "An image can have at most 20 resources.")
        call.world.store.put("image", {**image, "resources": linked})
    return UNDEFINED


@procedure("post.removeResourceFromImage")
def remove_resource_from_image(call: Call, value: dict[str, Any]) -> Json:
    image = _owned_image(call, value["id"])
    kept = [number for number in image["resources"] if number != value["modelVersionId"]]
    call.world.store.put("image", {**image, "resources": kept})
    return UNDEFINED


def _owned_image(call: Call, image_id: int) -> Doc:
    image = call.world.store.get("image", image_id)
    if image is None:
        raise TrpcError("NOT_FOUND", f"No image with id {image_id}")
    if image["userId"] != call.user.id:
        raise TrpcError("UNAUTHORIZED", NOT_AUTHORIZED)
    return image
