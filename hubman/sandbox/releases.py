"""What publishing changes: statuses and dates of versions and posts, now or later."""

from __future__ import annotations

from datetime import datetime, timedelta

from hubman.civitai import contract
from hubman.sandbox.store import Doc
from hubman.sandbox.trpc import TrpcError
from hubman.sandbox.world import World

_DRAFTS_LAST = timedelta(days=30)
_MANY = 10


def when(world: World, given: str | None) -> tuple[str, str]:
    """The date of publication and the status that follows: a date to come means ``Scheduled``."""
    if given and datetime.fromisoformat(given) > world.now():
        return str(given), "Scheduled"
    return world.timestamp(), "Published"


def ensure_releasable(model: Doc, version: Doc) -> None:
    """Refuse what may not become public, or be saved, on licence grounds."""
    if model["nsfw"] and version["baseModel"] in contract.enum_values("NsfwRestrictedBaseModel"):
        raise TrpcError(
            "BAD_REQUEST",
            f"NSFW models cannot use base models with license restrictions. {version['baseModel']} does not allow it.",
        )


def release_version(world: World, version: Doc, date: str, status: str) -> None:
    """Make a version public, or schedule it. A publication date never moves once public."""
    first = version.get("initialPublishedAt") or date
    kept = version["publishedAt"] if version["status"] == "Published" else date
    version.update(status=status, publishedAt=kept, initialPublishedAt=first, availability="Public")
    version["updatedAt"] = world.timestamp()
    world.store.put("version", version)


def release_posts(world: World, version_id: int, user_id: int, date: str) -> None:
    """Publish the owner's draft or scheduled posts on a version with the same date."""
    now = world.now()
    for post in world.posts(version_id):
        public = post["publishedAt"] and datetime.fromisoformat(post["publishedAt"]) <= now
        if post["userId"] == user_id and not public:
            world.store.put("post", {**post, "publishedAt": date})


def expire_drafts(world: World) -> list[int]:
    """The other nightly job: drafts that nobody touched for 30 days and hardly anybody has are deleted for good.

    Returns the ids of the models that were.
    """
    gone: list[int] = []
    with world.store.transaction():
        for model in world.store.every("model"):
            idle = world.now() - datetime.fromisoformat(model["updatedAt"])
            versions = world.versions(model["id"])
            had = sum(int(version.get("downloads", 0)) for version in versions)
            if model["status"] not in {"Draft", "Deleted"} or idle < _DRAFTS_LAST or had >= _MANY:
                continue
            for version in versions:
                for file in world.files(version["id"]):
                    world.store.delete("file", file["id"])
                world.store.delete("version", version["id"])
            world.store.delete("model", model["id"])
            gone.append(int(model["id"]))
    return gone


def sweep(world: World) -> list[int]:
    """The nightly job: public versions without a post by the owner, or without a file, are taken down.

    Returns the ids of the versions that were.
    """
    taken: list[int] = []
    with world.store.transaction():
        for model in world.store.every("model"):
            versions = [version for version in world.versions(model["id"]) if version["status"] == "Published"]
            for version in versions:
                posts = [post for post in world.posts(version["id"]) if post["userId"] == model["userId"]]
                reason = "no-files" if not world.files(version["id"]) else "no-posts" if not posts else ""
                if reason:
                    world.store.put("version", {**version, "status": "Unpublished", "unpublishedReason": reason})
                    taken.append(version["id"])
            if model["status"] == "Published" and not any(
                v["status"] == "Published" for v in world.versions(model["id"])
            ):
                world.store.put("model", {**model, "status": "Unpublished", "unpublishedReason": "no-versions"})
    return taken
