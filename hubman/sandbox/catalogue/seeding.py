"""Putting the catalogue into a sandbox, once: it stays in the data folder."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from hubman.sandbox import index, tags
from hubman.sandbox.accounts import CREATOR_USER
from hubman.sandbox.catalogue import families, numbers, words
from hubman.sandbox.catalogue.families import Family, Ground
from hubman.sandbox.catalogue.pictures import Picture
from hubman.sandbox.store import Doc
from hubman.sandbox.world import World
from registry.errors import UsageError

_ID = "catalogue"
_AT_ONCE = 250
_PEOPLE = 300


class Catalogue(msgspec.Struct, frozen=True, kw_only=True):
    """How much was put in."""

    models: int
    versions: int
    files: int
    images: int
    creators: int


def seed_catalogue(world: World, n: int, seed: int) -> Catalogue:
    """Fill the sandbox with ``n`` generated models. One of the same ``n`` and ``seed`` that is there stays.

    Another takes its place; what else the sandbox holds is left alone. Ids and file contents follow from ``seed`` and
    the model's place alone, dates are counted back from the day of seeding. Raises :class:`UsageError` for more models
    than there are ids.
    """
    if not 0 < n <= numbers.LARGEST:
        raise UsageError(f"a catalogue can't have {n} models", f"give 1 to {numbers.LARGEST}")
    known = world.store.get("catalogue", _ID)
    if known and (known["n"], known["seed"]) == (n, seed):
        return msgspec.convert(known["counts"], Catalogue)
    with world.store.transaction():
        _remove(world)
        ground = _ground(world, seed)
        counts: Counter[str] = Counter()
        for start in range(1, n + 1, _AT_ONCE):
            batch = [families.make(ground, place) for place in range(start, min(start + _AT_ONCE, n + 1))]
            counts += _put(world, batch)
        _add_collections(world, ground, n)
        found = Catalogue(
            models=counts["model"], versions=counts["version"], files=counts["file"], images=counts["image"],
            creators=len(ground.creators),
        )  # fmt: skip
        world.store.put("catalogue", {"id": _ID, "n": n, "seed": seed, "counts": msgspec.to_builtins(found)})
        index.refresh(world)
    return found


def seed_hashes(world: World, sha256s: Sequence[str]) -> None:
    """A public LoRA for each of these SHA-256 hashes (hex), which nothing but its hash is known of: for benchmarks.

    Their files can't be downloaded: there are no bytes with a hash that somebody chose.
    """
    stamp, owner = world.timestamp(), CREATOR_USER.id
    found: list[Family] = []
    for value in sha256s:
        family = families.bare(world, owner, stamp)
        (file,) = family.files
        file["hashes"] = {"SHA256": value.upper(), "AutoV2": value[:10].upper()}
        found.append(family)
    with world.store.transaction():
        _put(world, found)
        index.refresh(world)


def _remove(world: World) -> None:
    for kind, (first, end) in numbers.RANGES.items():
        world.store.delete_range(kind, first, end)


def _ground(world: World, seed: int) -> Ground:
    today = datetime.combine(world.now().date(), datetime.min.time(), UTC)
    # As many for every n: a smaller catalogue is the beginning of a larger one.
    users = [_user(which) for which in range(_PEOPLE)]
    world.creators.clear()
    world.store.put_many("user", users, [None] * _PEOPLE)
    categories = [tags.named(world, name)["id"] for name in tags.CATEGORIES]
    return Ground(
        seed=seed,
        today=today,
        creators=tuple(user["id"] for user in users),
        tags=tuple(tags.named(world, name)["id"] for name in words.TAGS),
        categories=tuple(categories),
    )


def _user(which: int) -> Doc:
    stem = words.CREATORS[which % len(words.CREATORS)]
    number = which // len(words.CREATORS)
    face = f"/media/{Picture(which, 96, 96).key}/width=96/{which}.jpeg" if which % 3 else None
    return {"id": numbers.user(which), "username": f"{stem}{number or ''}", "image": face}


def _put(world: World, batch: Sequence[Family]) -> Counter[str]:
    """Store the families; returns how many there were of each kind."""
    documents: dict[str, tuple[list[Doc], str]] = {
        "model": ([family.model for family in batch], "userId"),
        "version": ([doc for family in batch for doc in family.versions], "modelId"),
        "file": ([doc for family in batch for doc in family.files], "modelVersionId"),
        "post": ([doc for family in batch for doc in family.posts], "modelVersionId"),
        "image": ([doc for family in batch for doc in family.images], "postId"),
    }
    for kind, (docs, parent) in documents.items():
        world.store.put_many(kind, docs, [doc[parent] for doc in docs])
    return Counter({kind: len(docs) for kind, (docs, _parent) in documents.items()})


def _add_collections(world: World, ground: Ground, n: int) -> None:
    chance = random.Random(f"{ground.seed}/collections")
    for which in range(5):
        chosen = sorted(chance.sample(range(1, n + 1), min(20, n)))
        world.store.put("collection", {
            "id": numbers.user(which), "name": f"{words.ADJECTIVES[which]} picks", "description": None, "type": "Model",
            "read": "Public", "userId": ground.creators[which], "models": [numbers.model(place) for place in chosen],
        })  # fmt: skip
