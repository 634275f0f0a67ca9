"""What of the sandbox's models the public may see, loaded for many models at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from hubman.sandbox.store import Doc
from hubman.sandbox.world import World

WEIGHTS = {"format": 100.0, "size": 10.0, "fp": 1.0, "quantType": 0.5}
_PREFERRED = {"format": "SafeTensor", "size": "pruned", "fp": "fp16", "quantType": "Q4_K_M"}


@dataclass(frozen=True)
class Release:
    """A version with its public ``files`` and its approved ``images``, both in their order."""

    version: Doc
    files: list[Doc]
    images: list[Doc]


def is_public(model: Doc | None) -> bool:
    """Whether everybody may see the model; one that was taken down is seen, without its pictures."""
    return model is not None and model["status"] == "Published" and model["availability"] != "Private"


def is_published(date: str | None, now: datetime) -> bool:
    return bool(date) and datetime.fromisoformat(str(date)) <= now


def public_files(files: list[Doc]) -> list[Doc]:
    return [file for file in files if file["visibility"] == "Public"]


def fit(file: Doc, wanted: Mapping[str, Any]) -> float:
    """How well a file fits what is ``wanted`` of its format, size and precision; what isn't named is as preferred."""
    metadata = file["metadata"]
    return sum(weight for key, weight in WEIGHTS.items() if metadata.get(key) == wanted.get(key, _PREFERRED[key]))


def primary(files: list[Doc]) -> Doc:
    """The file that a version is downloaded as: of those of type ``Model``, if there are any, the preferred one."""
    return max([file for file in files if file["type"] == "Model"] or files, key=lambda file: fit(file, {}))


def releases(world: World, model_ids: Sequence[int]) -> dict[int, list[Release]]:
    """Of each model, the published versions that have a public file, newest first."""
    versions = {
        model: sorted((v for v in docs if v["status"] == "Published"), key=lambda v: -int(v["id"]))
        for model, docs in world.store.children_of("version", model_ids).items()
    }
    loaded = releases_of(world, [version for docs in versions.values() for version in docs])
    return {model: [loaded[v["id"]] for v in docs if loaded[v["id"]].files] for model, docs in versions.items()}


def releases_of(world: World, versions: Sequence[Doc]) -> dict[int, Release]:
    """Each of ``versions`` by its id, also those without a public file."""
    ids = [version["id"] for version in versions]
    now = world.now()
    files = world.store.children_of("file", ids)
    posts = world.store.children_of("post", ids)
    shown = [post["id"] for docs in posts.values() for post in docs if is_published(post["publishedAt"], now)]
    images = world.store.children_of("image", shown)
    return {
        version["id"]: Release(
            version,
            public_files(files[version["id"]]),
            [image for post in posts[version["id"]] for image in _approved(images.get(post["id"], []))],
        )
        for version in versions
    }


def _approved(images: list[Doc]) -> list[Doc]:
    """In the order of their post."""
    found = [image for image in images if image["ingestion"] == "Scanned"]
    return sorted(found, key=lambda image: (image["index"], image["id"]))


def level_of(images: Sequence[Doc]) -> int:
    """The union of their levels."""
    level = 0
    for image in images:
        level |= int(image["nsfwLevel"])
    return level
