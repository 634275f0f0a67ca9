"""Which pictures look blurred, measured against their set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median

from hubman.train.checks.findings import Finding
from hubman.train.data.dataset import DatasetImage
from hubman.train.data.pictures import Picture

BLURRED = 40.0
"""Variance of the Laplacian that is clearly blurred in a photograph; 50 to 150 are in use as limits."""
OUTLIER = 6.0
"""A picture whose sharpness is this many times below the set's median stands out whatever the medium."""
SOFT_EDGES, NOISY_EDGES = 0.3, 0.6
"""Sharp edges score above the first even where there are few of them: a plain drawing is not a blurred one. The traces
of JPEG in a blurred picture score up to the second."""
SOFT_PEAK, SHARP_PEAK = 30, 100
"""Of 255: without anything above the first there is no sharp edge, only those traces; with something above the second
part of the picture is sharp, and the rest may be meant to be soft."""


def blurred(images: Sequence[DatasetImage]) -> Iterator[Finding]:
    """The pictures that are far less sharp than the rest, or a note where all of them are soft."""
    if not images:
        return
    middle = median(image.picture.sharpness for image in images)
    for image in images:
        score = image.picture.sharpness
        low = score < middle / OUTLIER or (score < BLURRED and score < middle / 2)
        if low and _is_soft(image.picture):
            sentence = f"looks blurred: sharpness {score:.0f}, the set's median is {middle:.0f}"
            yield Finding(image.name, "warn", "blurred", sentence, "leave it out, unless the softness is wanted")
    if middle < BLURRED:
        sentence = f"the whole set scores low in sharpness (median {middle:.0f})"
        yield Finding(None, "note", "soft-set", sentence, "normal for flat drawings; photographs would train blurred")


def _is_soft(picture: Picture) -> bool:
    if picture.peak < SOFT_PEAK:
        return picture.edges < NOISY_EDGES
    return picture.edges < SOFT_EDGES and picture.peak < SHARP_PEAK
