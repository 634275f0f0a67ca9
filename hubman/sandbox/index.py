"""An index over what is public, so that lists and hashes answer at once among thousands of models.

Writing a document notes that its model or post is stale; :func:`refresh`, called before reading, renews only those.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from datetime import datetime

from hubman.sandbox import tags
from hubman.sandbox.public import Release, is_public, level_of, primary, releases
from hubman.sandbox.store import Doc, Store
from hubman.sandbox.world import World

_BATCH = 500
_STALE_MODELS = """
SELECT id FROM stale WHERE kind = 'model'
UNION SELECT v.parent FROM stale s JOIN things v ON v.kind = 'version' AND v.id = s.id WHERE s.kind = 'version'
UNION SELECT v.parent FROM stale s JOIN things p ON p.kind = 'post' AND p.id = s.id
    JOIN things v ON v.kind = 'version' AND v.id = p.parent WHERE s.kind = 'post'"""


def refresh(world: World) -> None:
    """Renew what is stale; the caller holds a transaction."""
    store = world.store
    if not store.sql("SELECT 1 FROM stale LIMIT 1"):
        return
    models = [row[0] for row in store.sql(_STALE_MODELS)]
    posts = [row[0] for row in store.sql("SELECT id FROM stale WHERE kind = 'post'")]
    for batch in _batches(models):
        _renew_models(world, batch)
    for batch in _batches(posts):
        _renew_posts(world, batch)
    store.sql("DELETE FROM stale")


def _batches(ids: Sequence[int]) -> Iterator[list[int]]:
    for start in range(0, len(ids), _BATCH):
        yield list(ids[start : start + _BATCH])


def _clear(store: Store, ids: Sequence[int], *places: tuple[str, str]) -> None:
    for table, column in places:
        store.sql_many(f"DELETE FROM {table} WHERE {column} = ?", [(key,) for key in ids])  # noqa: S608


def _renew_models(world: World, ids: list[int]) -> None:
    store = world.store
    _clear(
        store, ids, ("listed_models", "id"), ("listed_versions", "model_id"), ("listed_tags", "model_id"),
        ("listed_hashes", "model_id"),
    )  # fmt: skip
    names = tags.names(world)
    released = releases(world, ids)
    known = [model for model in store.get_many("model", ids).values() if released[model["id"]]]
    models = [model for model in known if is_public(model)]
    tagged = {model["id"]: [names[tag] for tag in model["tags"] if tag in names] for model in models}
    _insert(store, "listed_models", [_model_row(world, m, released[m["id"]], tagged[m["id"]]) for m in models])
    _insert(store, "listed_tags", {(tag, model) for model, found in tagged.items() for tag in found})
    public = [(model["id"], release) for model in models for release in released[model["id"]]]
    _insert(store, "listed_versions", [_version_row(model_id, release) for model_id, release in public])
    _insert(store, "listed_hashes", {
        (value, file["id"], release.version["id"], model["id"], release.version["publishedAt"], is_public(model))
        for model in known for release in released[model["id"]] for file in release.files
        for value in file["hashes"].values()
    })  # fmt: skip


def _insert(store: Store, table: str, rows: Sequence[Sequence[object]] | set[tuple[object, ...]]) -> None:
    if rows:
        marks = ",".join("?" * len(next(iter(rows))))
        store.sql_many(f"INSERT OR REPLACE INTO {table} VALUES ({marks})", rows)  # noqa: S608


def _model_row(world: World, model: Doc, released: list[Release], tagged: list[str]) -> tuple[object, ...]:
    stats = model.get("stats") or {}
    images = [image for release in released for image in release.images]
    words = [word for release in released for word in release.version["trainedWords"]]
    creator = world.creator(model["userId"])["username"]
    text = " ".join([model["name"], model["description"] or "", creator, *tagged, *words]).lower()
    early = max((release.version.get("earlyAccessUntil") or "" for release in released), default="")
    likes = int(stats.get("thumbsUpCount") or 0)
    return (
        model["id"], model["name"].lower(), text, model["type"], model["userId"], slug(creator), level_of(images),
        bool(model["nsfw"]), model["availability"], model["mode"], model["checkpointType"], model["publishedAt"],
        model.get("activeAt") or model["publishedAt"], _rating(likes, int(stats.get("thumbsDownCount") or 0)),
        int(stats.get("downloadCount") or 0), likes, int(stats.get("commentCount") or 0),
        int(stats.get("collectedCount") or 0), len(images), early, ",".join(model["allowCommercialUse"]),
        bool(model.get("supportsGeneration")), model.get("uploadType") == "Trained",
    )  # fmt: skip


def _rating(likes: int, dislikes: int) -> float:
    """The share of likes, drawn to the middle where few have voted."""
    return (likes + 5) / (likes + dislikes + 10)


def _version_row(model_id: int, release: Release) -> tuple[object, ...]:
    main = primary(release.files)["metadata"].get("format")
    return release.version["id"], model_id, release.version["baseModel"], main


def _renew_posts(world: World, ids: list[int]) -> None:
    store = world.store
    _clear(store, ids, ("listed_images", "post_id"))
    posts = store.get_many("post", ids)
    versions = store.get_many("version", list({p["modelVersionId"] for p in posts.values() if p["modelVersionId"]}))
    images = itertools.chain.from_iterable(store.children_of("image", list(posts)).values())
    _insert(store, "listed_images", [
        _image_row(image, posts[image["postId"]], versions)
        for image in images if image["ingestion"] == "Scanned" and posts[image["postId"]]["publishedAt"]
    ])  # fmt: skip


def _image_row(image: Doc, post: Doc, versions: dict[int, Doc]) -> tuple[object, ...]:
    stats = image.get("stats") or {}
    version = versions.get(post["modelVersionId"] or 0, {})
    reactions = sum(int(value) for key, value in stats.items() if key not in {"commentCount", "collectedCount"})
    return (
        image["id"], post["id"], post["modelVersionId"], version.get("modelId"), image["userId"], image["nsfwLevel"],
        image["type"], post["publishedAt"], reactions, int(stats.get("commentCount", 0)),
        int(stats.get("collectedCount", 0)), bool(image["meta"]) and not image["hideMeta"],
        "," + ",".join(str(tag) for tag in image.get("tagIds") or ()) + ",",
    )  # fmt: skip


def slug(username: str) -> str:
    """A name as the site compares names: spaces are underscores, other signs are left out, small letters."""
    kept = (char for char in username.lower().replace(" ", "_") if char.isascii() and (char.isalnum() or char == "_"))
    return "".join(kept)


def with_hashes(world: World, wanted: Sequence[str]) -> dict[str, tuple[int, int]]:
    """For each of these hashes (any kind, upper case) that a public file has: version and model, the earliest first."""
    found: dict[str, tuple[int, int, datetime]] = {}
    for start in range(0, len(wanted), _BATCH):
        batch = wanted[start : start + _BATCH]
        marks = ",".join("?" * len(batch))
        sql = f"SELECT hash, version_id, model_id, published FROM listed_hashes WHERE public AND hash IN ({marks})"  # noqa: S608
        for value, version, model, published in world.store.sql(sql, batch):
            date = datetime.fromisoformat(published)
            if value not in found or date < found[value][2]:
                found[value] = (version, model, date)
    return {value: (version, model) for value, (version, model, _date) in found.items()}
