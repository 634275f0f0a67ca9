"""One generated model with all that hangs on it, following from the catalogue's seed and the model's place in it."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from hubman.civitai.wire import iso
from hubman.sandbox import models, versions
from hubman.sandbox.catalogue import files, kinds, numbers, showcase, words
from hubman.sandbox.store import Doc
from hubman.sandbox.world import World

_PERMISSIONS: tuple[tuple[str, ...], ...] = (
    ("None",), ("Image",), ("Image", "RentCivit"), ("RentCivit",), ("Image", "RentCivit", "Rent"), ("Sell",),
    ("Image", "RentCivit", "Rent", "Sell"),
)  # fmt: skip
_COUNTS = ("downloadCount", "thumbsUpCount", "thumbsDownCount", "commentCount", "tippedAmountCount", "collectedCount")


@dataclass
class Family:
    """A model's documents by kind."""

    model: Doc
    versions: list[Doc] = field(default_factory=list)
    files: list[Doc] = field(default_factory=list)
    posts: list[Doc] = field(default_factory=list)
    images: list[Doc] = field(default_factory=list)


@dataclass(frozen=True)
class Ground:
    """What all models share: the seed, the ids of creators and tags, and the day from which dates count back."""

    seed: int
    today: datetime
    creators: tuple[int, ...]
    tags: tuple[int, ...]
    categories: tuple[int, ...]


def make(ground: Ground, place: int) -> Family:
    """The model at ``place``, counted from 1."""
    chance = random.Random(f"{ground.seed}/{place}")
    kind = kinds.kind_of(place, chance)
    name = f"{chance.choice(words.ADJECTIVES)} {chance.choice(words.NOUNS)}{chance.choice(words.ENDINGS)}"
    # Newer ones are more: the square draws to the present.
    age = timedelta(minutes=round(chance.random() ** 2 * 1200 * 24 * 60))
    family = Family(_model(ground, place, chance, kind, name, ground.today - age))
    count = chance.choices((1, 2, 3, 4), (50, 28, 14, 8))[0]
    base = kinds.base_of(kind, chance)
    for which in range(count):
        # All versions lie between the model's first day and now, the newest with the largest id.
        date = ground.today - age * (1 - which / (count + 1))
        base = kinds.base_of(kind, chance) if chance.random() < 0.2 else base
        _add_version(family, ground, place, which, count, base, date, chance)
    newest = family.versions[-1]
    _set_access(family.model, newest, place, ground.today)
    family.model["activeAt"] = newest["publishedAt"]
    return family


def bare(world: World, owner: int, stamp: str) -> Family:
    """The smallest public model: one version with one LoRA's file, whose bytes are not there."""
    model_id, version_id, file_id = (world.store.next_id(kind) for kind in ("model", "version", "file"))
    dates = {"createdAt": stamp, "updatedAt": stamp, "publishedAt": stamp}
    model: Doc = {
        **models.DEFAULTS, **dates, "id": model_id, "name": f"Known {model_id}", "type": "LORA", "userId": owner,
        "uploadType": "Created", "tags": [], "status": "Published",
    }  # fmt: skip
    version: Doc = {
        **versions.DEFAULTS, **dates, "id": version_id, "modelId": model_id, "index": 0, "name": "v1.0",
        "baseModel": "SD 1.5", "status": "Published", "initialPublishedAt": stamp, "nsfwLevel": 0,
        "availability": "Public",
    }  # fmt: skip
    return Family(model, [version], [files.blank(file_id, version, f"known_{file_id}.safetensors")])


def _model(ground: Ground, place: int, chance: random.Random, kind: str, name: str, born: datetime) -> Doc:
    tags = [chance.choice(ground.categories), *chance.sample(ground.tags, chance.randrange(1, 6))]
    fame = chance.paretovariate(0.8)
    return {
        **models.DEFAULTS,
        "id": numbers.model(place),
        "name": name,
        "type": kind,
        "uploadType": "Trained" if chance.random() < 0.1 else "Created",
        "userId": ground.creators[min(int(chance.paretovariate(0.5)) - 1, len(ground.creators) - 1)],
        "description": _description(name, chance) if chance.random() < 0.9 else None,
        "tags": list(dict.fromkeys(tags)),
        "status": "Published",
        "createdAt": iso(born),
        "updatedAt": iso(born),
        "publishedAt": iso(born),
        "checkpointType": chance.choice(("Trained", "Merge")) if kind == "Checkpoint" else None,
        "allowCommercialUse": list(_PERMISSIONS[place % len(_PERMISSIONS)]),
        "allowNoCredit": place % 2 == 0,
        "allowDerivatives": place % 3 != 0,
        "allowDifferentLicense": place % 5 != 0,
        "supportsGeneration": chance.random() < 0.5,
        "stats": {count: int(fame * 400 * chance.random() / 3**n) for n, count in enumerate(_COUNTS)},
    }


def _description(name: str, chance: random.Random) -> str:
    looks = "".join(f"<li>{look}</li>" for look in chance.sample(words.LOOKS, 3))
    return (
        f"<h2>{name}</h2><p>Trained on <strong>{chance.randrange(20, 400)} pictures</strong>. Best at a strength of "
        f'{chance.choice((0.6, 0.7, 0.8, 1))}.<br />See <a href="https://example.com/guide">the guide</a>.</p><ul>{looks}</ul>'
    )


def _add_version(
    family: Family, ground: Ground, place: int, which: int, count: int, base: str, date: datetime, chance: random.Random
) -> None:
    model, stamp = family.model, iso(date)
    stem = "".join(char if char.isascii() and char.isalnum() else "_" for char in model["name"]).strip("_")
    version: dict[str, Any] = {
        **versions.DEFAULTS,
        "id": numbers.version(place, which),
        "modelId": model["id"],
        "index": count - 1 - which,
        "name": f"v{which + 1}.0",
        "baseModel": base,
        "status": "Published",
        "trainedWords": [f"{stem[:4].lower()}{place} style", "highres"][: chance.randrange(0, 3)],
        "description": f"<p>{chance.choice(words.CHANGES)}</p>" if which else None,
        "createdAt": stamp,
        "updatedAt": stamp,
        "publishedAt": stamp,
        "initialPublishedAt": stamp,
        "nsfwLevel": 0,
        "availability": "Public",
        "uploadType": model["uploadType"],
        "downloads": model["stats"]["downloadCount"] // (count - which + 1),
        "stats": {"thumbsUpCount": model["stats"]["thumbsUpCount"] // (which + 1), "thumbsDownCount": 0},
    }
    family.versions.append(version)
    form, suffix = kinds.form_of(model["type"], base)
    family.files += files.make(version, f"{stem}_v{which + 1}", form, suffix, chance)
    posts, images = showcase.make(model, version, ground.creators, ground.tags, chance)
    family.posts += posts
    family.images += images


def _set_access(model: Doc, newest: Doc, place: int, today: datetime) -> None:
    """Every so-manieth model has something in the way: the numbers share no factor, so that all mixtures occur."""
    marks: dict[int, tuple[Doc, Doc]] = {
        97: (model, {"mode": "Archived"}),
        89: (model, {"mode": "TakenDown"}),
        101: (model, {"status": "Unpublished"}),
        103: (model, {"availability": "Unsearchable"}),
        41: (model, {"hiddenStats": ["downloadCount", "tippedAmountCount"]}),
        113: (model, {"poi": True, "nsfw": False}),
        109: (model, {"minor": True, "sfwOnly": True, "nsfw": False}),
        37: (newest, {"requireAuth": True}),
        67: (newest, {"usageControl": "Generation"}),
        53: (newest, {"earlyAccessUntil": iso(today + timedelta(days=1 + place % 14))}),
        107: (newest, {"paidForever": True}),
        127: (newest, {"refused": "You do not have access to download this file"}),
        131: (newest, {"refused": "Forbidden"}),
    }
    for every, (doc, values) in marks.items():
        if place % every == every // 2:
            doc.update(values)
