"""Exact and near duplicates, in groups.

Near ones by perceptual hash, also mirrored: two hashes that differ in at most six of 64 bits agree in one of seven
bands of bits (the pigeonhole principle), so only images that share a band are compared and a thousand images take
no million comparisons. By CLIP, where the embeddings were compared before (:mod:`hubman.train.data.likeness`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from hubman.train.checks.findings import Finding
from hubman.train.data.dataset import DatasetImage, distinct
from hubman.train.data.pictures import Picture

NEAR_BITS = 6
"""Of 64: two perceptual hashes at most this far apart look the same."""
NEAR_TINT = 24
"""Of 255: a greater mean difference of 4x4 thumbnails means other colours, so another picture."""

_BANDS = tuple((64 * i // (NEAR_BITS + 1), 64 * (i + 1) // (NEAR_BITS + 1)) for i in range(NEAR_BITS + 1))


def duplicates(images: Sequence[DatasetImage], alike: Iterable[tuple[str, str]] = ()) -> Iterator[Finding]:
    """Every image but the best of each group: the largest, and of equals the best described one.

    ``alike`` are pairs of pixel hashes that CLIP finds the same.
    """
    kept = {image.picture.pixels: image for image in distinct(images)}
    for image in images:
        original = kept[image.picture.pixels]
        if original is not image:
            sentence = f"has exactly the pixels of {original.name}"
            remedy = "leave it out: training uses it once in any case"
            yield Finding(image.name, "warn", "duplicate", sentence, remedy, (original.name,))
    for group in near_groups(list(kept.values()), alike):
        best = sorted(
            group, key=lambda image: (image.picture.width * image.picture.height, image.described), reverse=True
        )
        names = [image.name for image in best]
        for name in names[1:]:
            sentence = f"looks almost the same as {names[0]}" + (f", like {len(names) - 2} more" * (len(names) > 2))
            others = tuple(other for other in names if other != name)
            remedy = "keep the best of them, or all if it is meant"
            yield Finding(name, "warn", "near-duplicate", sentence, remedy, others)


def near_groups(images: Sequence[DatasetImage], alike: Iterable[tuple[str, str]] = ()) -> list[list[DatasetImage]]:
    """Groups of images that look alike, each in the order of ``images``; images without a twin are left out."""
    sets = _Sets(len(images))
    pictures = [image.picture for image in images]
    for low, high in _BANDS:
        _join_band(pictures, low, (1 << (high - low)) - 1, sets)
    place = {picture.pixels: i for i, picture in enumerate(pictures)}
    for one, other in alike:
        if one in place and other in place:
            sets.join(place[one], place[other])
    groups: dict[int, list[DatasetImage]] = defaultdict(list)
    for i, image in enumerate(images):
        groups[sets.root(i)].append(image)
    return [group for group in groups.values() if len(group) > 1]


def _join_band(pictures: Sequence[Picture], shift: int, mask: int, sets: _Sets) -> None:
    """Join the look-alikes among pictures whose hashes agree in one band."""
    bands: dict[int, list[int]] = defaultdict(list)
    for i, picture in enumerate(pictures):
        for key in dict.fromkeys((picture.phash >> shift & mask, picture.phash_mirrored >> shift & mask)):
            for j in bands[key]:
                if sets.root(j) != sets.root(i) and _look_alike(pictures[j], picture):
                    sets.join(j, i)
        bands[picture.phash >> shift & mask].append(i)


class _Sets:
    """Disjoint sets of numbers (union-find); the root of each is its smallest number."""

    def __init__(self, count: int) -> None:
        self._parent = list(range(count))

    def root(self, i: int) -> int:
        parent = self._parent
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    def join(self, one: int, other: int) -> None:
        low, high = sorted((self.root(one), self.root(other)))
        self._parent[high] = low


def _look_alike(one: Picture, other: Picture) -> bool:
    if (one.phash ^ other.phash).bit_count() <= NEAR_BITS and _tint_difference(one.tint, other.tint) <= NEAR_TINT:
        return True
    if (one.phash ^ other.phash_mirrored).bit_count() <= NEAR_BITS:
        rows = [other.tint[i : i + 12] for i in range(0, len(other.tint), 12)]
        mirrored = [value for row in rows for x in (9, 6, 3, 0) for value in row[x : x + 3]]
        return _tint_difference(one.tint, mirrored) <= NEAR_TINT
    return False


def _tint_difference(one: Sequence[int], other: Sequence[int]) -> float:
    return sum(abs(a - b) for a, b in zip(one, other, strict=True)) / len(one)
