"""What is wrong with one picture by itself: damage, size, aspect, format, mask."""

from __future__ import annotations

from collections.abc import Iterator

from hubman.train.checks.findings import Finding
from hubman.train.checks.rules import Rules
from hubman.train.data.dataset import DatasetImage
from hubman.train.data.pictures import Picture

WIDEST = 2.5
"""Longer : shorter side beyond this is cropped heavily."""
LEAST_KEPT = 0.7
"""Share of a picture's area that its bucket should keep."""
MASK_ASPECT = 0.02
"""A mask whose aspect differs by a greater share does not lie on its image."""


def picture(image: DatasetImage, rules: Rules) -> Iterator[Finding]:
    """What is wrong with ``image``."""
    name, seen = image.name, image.picture
    if seen.error:
        yield Finding(name, "error", "damaged", seen.error, "replace the file, or leave the image out")
        return
    yield from _size(name, seen, rules)
    yield from _format(name, seen, rules)
    yield from _mask(image, rules)


def _size(name: str, seen: Picture, rules: Rules) -> Iterator[Finding]:
    shorter, longer = sorted((seen.width, seen.height))
    size = f"{seen.width}x{seen.height}"
    kept_small = all(buckets.no_upscale for buckets in rules.buckets())
    if 2 * shorter < rules.resolution:
        sentence = f"{size} is below half of the training resolution {rules.resolution}"
        remedy = "use a larger original, train at a lower resolution, or leave it out"
        yield Finding(name, "error", "too-small", sentence, remedy)
    elif shorter < rules.resolution and rules.cut((seen.width, seen.height)).enlarged > 1 and not kept_small:
        sentence = f"{size} must be enlarged to the training resolution {rules.resolution}"
        yield Finding(name, "warn", "small", sentence, "use a larger original, or upscale it first")
    cut = rules.cut((seen.width, seen.height))
    if longer > WIDEST * shorter or cut.kept < LEAST_KEPT:
        bucket = "x".join(map(str, cut.bucket))
        sentence = f"{size} keeps {cut.kept:.0%} of its area in the bucket {bucket}"
        yield Finding(name, "warn", "aspect", sentence, "crop it to what matters, or leave it out")


def _format(name: str, seen: Picture, rules: Rules) -> Iterator[Finding]:
    if seen.transparent and rules.masks == "alpha":
        yield Finding(name, "note", "alpha", "transparent parts are not learned", "the alpha channel is its mask")
    elif seen.transparent:
        remedy = "put it on the background that you want, or train with the alpha channel as mask"
        yield Finding(name, "note", "alpha", "transparent pixels become white", remedy)
    if seen.frames > 1:
        remedy = "save the frames that you want as images"
        yield Finding(name, "warn", "animated", "only the first frame is used", remedy)
    if seen.mode not in ("RGB", "RGBA", "L", "LA"):
        yield Finding(name, "note", "converted", f"its {seen.mode} pixels are converted to RGB", "nothing to do")


def _mask(image: DatasetImage, rules: Rules) -> Iterator[Finding]:
    name, mask, seen = image.name, image.mask, image.picture
    if rules.masks != "folder":
        return
    if mask is None or image.mask_path is None:
        remedy = "draw one, or do nothing: all of it is learned"
        yield Finding(name, "note", "mask-missing", "has no mask", remedy)
    elif mask.error:
        sentence = f"its mask {image.mask_path.name} {mask.error}"
        yield Finding(name, "error", "mask-damaged", sentence, "save the mask again, or leave the image out")
    elif mask.learned == 0:
        remedy = "paint white what is to be learned, or leave the image out"
        yield Finding(name, "warn", "mask-empty", "its mask is black: nothing of it is learned", remedy)
    elif abs(mask.width * seen.height - mask.height * seen.width) > MASK_ASPECT * mask.width * seen.height:
        sentence = (
            f"its mask of {mask.width}x{mask.height} has another aspect: it is stretched to {seen.width}x{seen.height}"
        )
        yield Finding(name, "warn", "mask-aspect", sentence, "make the mask from this very image")
