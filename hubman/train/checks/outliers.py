"""Images that are unlike the rest of their set: by CLIP where it was asked, else by size, colour and aspect."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import fmean, median, pstdev

from hubman.train.checks.findings import Finding
from hubman.train.data.dataset import DatasetImage

FEWEST = 8
"""In smaller sets nothing can be told to be unusual."""
BELOW = 2.5
"""Standard deviations below the mean likeness to its five nearest at which CLIP calls an image unlike the others."""
ROBUST = 5.0
"""Deviations from the median, in standard deviations as the median absolute deviation estimates them."""
LEAST_SIZE, LEAST_ASPECT, LEAST_COLOUR = 2.0, 1.0, 64.0
"""What a deviation must be in any case: four times the area, twice the aspect, a quarter of the scale of brightness."""

_REMEDY = "look whether it belongs here, else leave it out"


def outliers(images: Sequence[DatasetImage], likeness: Mapping[str, float] | None = None) -> Iterator[Finding]:
    """``likeness``: by pixel hash, an image's mean cosine to its five nearest."""
    if len(images) < FEWEST:
        return
    if likeness and all(image.picture.pixels in likeness for image in images):
        yield from _by_clip(images, likeness)
        return
    yield from _by_number(images, _log_area, LEAST_SIZE, "its size is far from that of the others")
    yield from _by_number(images, _log_aspect, LEAST_ASPECT, "its aspect is far from that of the others")
    yield from _by_colour(images)


def _by_clip(images: Sequence[DatasetImage], likeness: Mapping[str, float]) -> Iterator[Finding]:
    scores = [likeness[image.picture.pixels] for image in images]
    limit = fmean(scores) - BELOW * pstdev(scores)
    for image, score in zip(images, scores, strict=True):
        if score < limit:
            sentence = f"CLIP finds it unlike the others (likeness {score:.2f}, the set's mean is {fmean(scores):.2f})"
            yield Finding(image.name, "note", "outlier", sentence, _REMEDY)


def _by_number(
    images: Sequence[DatasetImage], number: Callable[[DatasetImage], float], least: float, sentence: str
) -> Iterator[Finding]:
    values = [number(image) for image in images]
    middle = median(values)
    for image, away in zip(images, _unusual([abs(value - middle) for value in values], least), strict=True):
        if away:
            yield Finding(image.name, "note", "outlier", sentence, _REMEDY)


def _by_colour(images: Sequence[DatasetImage]) -> Iterator[Finding]:
    colours = [_mean_colour(image.picture.tint) for image in images]
    middle = [median(channel) for channel in zip(*colours, strict=True)]
    away = [math.dist(colour, middle) for colour in colours]
    for image, unusual in zip(images, _unusual(away, LEAST_COLOUR), strict=True):
        if unusual:
            yield Finding(image.name, "note", "outlier", "its colours are far from those of the others", _REMEDY)


def _unusual(distances: Sequence[float], least: float) -> list[bool]:
    """Which of the distances from a median are too large for their own median."""
    limit = max(least, ROBUST * 1.4826 * median(distances))
    return [distance > limit for distance in distances]


def _log_area(image: DatasetImage) -> float:
    return math.log2(image.picture.width * image.picture.height)


def _log_aspect(image: DatasetImage) -> float:
    return math.log2(image.picture.width / image.picture.height)


def _mean_colour(tint: Sequence[int]) -> tuple[float, float, float]:
    return fmean(tint[0::3]), fmean(tint[1::3]), fmean(tint[2::3])
