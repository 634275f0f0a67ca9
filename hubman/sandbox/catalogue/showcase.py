"""The posts of a generated version: its creator's showcase, and at times one of somebody else."""

from __future__ import annotations

import random
from collections.abc import Sequence

from hubman.sandbox.catalogue import numbers, pictures
from hubman.sandbox.catalogue.pictures import Picture
from hubman.sandbox.store import Doc

_SIZES = ((832, 1216), (1024, 1024), (1216, 832), (512, 768), (768, 1344))
_LEVELS = (1, 2, 4, 8, 16)
_MODESTIES = {1: (96, 4, 0, 0, 0), 2: (60, 25, 10, 4, 1), 3: (15, 15, 30, 25, 15)}
"""How often each level occurs in models of three sorts."""
_REACTIONS = ("likeCount", "heartCount", "laughCount", "cryCount", "dislikeCount", "commentCount", "collectedCount")


def make(
    model: Doc, version: Doc, people: Sequence[int], tags: Sequence[int], chance: random.Random
) -> tuple[list[Doc], list[Doc]]:
    """Posts and images; sets whether ``model`` is marked as not safe for work by what its pictures show."""
    modesty = chance.choices((1, 2, 3), (70, 18, 12))[0]
    model["nsfw"] = model["nsfw"] or modesty == 3
    authors = [model["userId"]] + [chance.choice(people)] * (chance.random() < 0.25)
    posts, images = [], []
    for which, author in enumerate(authors):
        post = _post(version, author, which)
        posts.append(post)
        count = chance.randrange(2, 6) if not which else chance.randrange(1, 3)
        images += [_image(post, version, index, modesty, tags, chance) for index in range(count)]
    return posts, images


def _post(version: Doc, author: int, which: int) -> Doc:
    return {
        "id": numbers.post(version["id"], which), "userId": author, "modelVersionId": version["id"],
        "title": "" if which else f"{version['name']} showcase", "detail": None, "collectionId": None,
        "publishedAt": version["publishedAt"], "createdAt": version["createdAt"], "availability": "Public", "tags": [],
    }  # fmt: skip


def _image(post: Doc, version: Doc, index: int, modesty: int, tags: Sequence[int], chance: random.Random) -> Doc:
    number = numbers.image(post["id"], index)
    picture = Picture(number, *chance.choice(_SIZES), is_video=chance.random() < 0.04)
    fame = chance.paretovariate(0.9)
    blurhash = picture.blurhash
    told = chance.random() < 0.85
    kind, suffix = ("video", "mp4") if picture.is_video else ("image", "jpeg")
    meta = {**pictures.meta(number, picture.width, picture.height), **_resources(version, chance)}
    return {
        "id": number, "postId": post["id"], "userId": post["userId"], "url": picture.key, "index": index,
        "name": f"{number}.{suffix}", "type": kind, "mimeType": f"{kind}/{suffix}", "width": picture.width,
        "height": picture.height, "hash": blurhash, "meta": meta if told else None,
        "metadata": {"width": picture.width, "height": picture.height, "hash": blurhash}, "hideMeta": chance.random() < 0.05,
        "ingestion": "Scanned", "blockedFor": None, "nsfwLevel": chance.choices(_LEVELS, _MODESTIES[modesty])[0],
        "needsReview": None, "createdAt": post["createdAt"], "scanDue": post["createdAt"], "resources": [version["id"]],
        "stats": {name: int(fame * 40 * chance.random() / 3**n) for n, name in enumerate(_REACTIONS)},
        "tagIds": chance.sample(tags, 3),
    }  # fmt: skip


def _resources(version: Doc, chance: random.Random) -> Doc:
    """What the picture says it was made with."""
    if chance.random() < 0.5:
        return {}
    weight = chance.choice((0.6, 0.8, 1))
    return {"civitaiResources": [{"type": "lora", "weight": weight, "modelVersionId": version["id"]}]}
