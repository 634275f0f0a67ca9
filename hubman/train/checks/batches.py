"""Images whose bucket does not fill a batch: other trainers drop them silently, here they are repeated."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from hubman.train.checks.findings import Finding
from hubman.train.checks.rules import Rules
from hubman.train.data.buckets import Size
from hubman.train.data.dataset import DatasetImage


def bucket_sizes(images: Sequence[DatasetImage], rules: Rules) -> dict[Size, tuple[str, ...]]:
    """Each bucket with the names of the images in it, the fullest first."""
    filled: dict[Size, list[str]] = defaultdict(list)
    for image in images:
        for cut in rules.cuts((image.picture.width, image.picture.height)):
            filled[cut.bucket].append(image.name)
    ordered = sorted(filled.items(), key=lambda pair: (-len(pair[1]), pair[0]))
    return {size: tuple(names) for size, names in ordered}


def unfilled(images: Sequence[DatasetImage], rules: Rules) -> Iterator[Finding]:
    """Buckets with too few showings for one batch."""
    repeats = {image.name: image.repeats for image in images}
    for (width, height), names in bucket_sizes(images, rules).items():
        showings = rules.repeats * sum(repeats[name] for name in names)
        if showings < rules.batch:
            who = names[0] if len(names) == 1 else f"{len(names)} images"
            sentence = (
                f"{who} alone in the bucket {width}x{height}, fewer than the batch of {rules.batch}: "
                "repeated to fill it, not dropped"
            )
            yield Finding(None, "note", "bucket-unfilled", sentence, "crop to a commoner aspect, or do nothing", names)
