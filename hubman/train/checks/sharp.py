"""Which pictures look blurred, measured against their set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median

from hubman.train.checks.findings import Finding
from hubman.train.dataset import DatasetImage

BLURRED = 40.0
"""Variance of the Laplacian that is clearly blurred in a photograph; 50 to 150 are in use as limits."""
OUTLIER = 6.0
"""A picture whose sharpness is this many times below the set's median stands out whatever the medium."""
SOFT_EDGES = 0.3
"""Sharp edges score above it even where there are few of them: a plain drawing is not a blurred one."""


def blurred(images: Sequence[DatasetImage]) -> Iterator[Finding]:
    """The pictures that are far less sharp than the rest, or a note where all of them are soft."""
    if not images:
        return
    middle = median(image.picture.sharpness for image in images)
    for image in images:
        score = image.picture.sharpness
        low = score < middle / OUTLIER or (score < BLURRED and score < middle / 2)
        if low and image.picture.edges < SOFT_EDGES:
            sentence = f"looks blurred: sharpness {score:.0f}, the set's median is {middle:.0f}"
            yield Finding(image.name, "warn", "blurred", sentence, "leave it out, unless the softness is wanted")
    if middle < BLURRED:
        sentence = f"the whole set scores low in sharpness (median {middle:.0f})"
        yield Finding(None, "note", "soft-set", sentence, "normal for flat drawings; photographs would train blurred")
