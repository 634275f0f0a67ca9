"""Aspect buckets: which sizes are trained, and how an image is cut to one of them.

The sizes and the rule for images that are not enlarged are those of sd-scripts, so that a set is cut as its users know.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import msgspec
from PIL import Image

Size = tuple[int, int]
"""Width and height in pixels."""
Box = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels."""


class BucketRules(msgspec.Struct, frozen=True):
    """Sizes of about ``resolution``² pixels, sides between ``low`` and ``high``, in steps of ``step``."""

    resolution: int = 512
    low: int = 256
    high: int = 1024
    step: int = 64
    no_upscale: bool = False
    """Images below the area keep their size, rounded down to ``step``; ``low`` and ``high`` do not count then."""

    def sizes(self) -> tuple[Size, ...]:
        """Every bucket, sorted; the square is always among them."""
        area = self.resolution**2
        square = max(self.step, math.isqrt(area) // self.step * self.step)
        found = {(square, square)}
        for width in range(self.low, self.high + 1, self.step):
            height = min(self.high, area // width // self.step * self.step)
            if height >= self.low:
                found |= {(width, height), (height, width)}
        return tuple(sorted(found))


class Cut(msgspec.Struct, frozen=True):
    """How an image becomes one of a bucket: the part of it that is kept, scaled to fill the bucket."""

    original: Size
    """Of the whole image, turned as EXIF says."""
    scaled: Size
    """Of the whole image at the bucket's scale."""
    bucket: Size
    box: Box
    """What is kept, in pixels of the original."""

    @property
    def kept(self) -> float:
        """Share of the image's area that is kept, 0 to 1."""
        left, top, right, bottom = self.box
        return (right - left) * (bottom - top) / (self.original[0] * self.original[1])

    @property
    def enlarged(self) -> float:
        """How many times longer the sides become; below 1 where the image is shrunk."""
        return self.bucket[0] / max(1, self.box[2] - self.box[0])

    @property
    def top_left(self) -> Size:
        """Left and top of what is kept, in pixels of the scaled image: what SDXL is told of a crop."""
        left, top = self.box[:2]
        across, down = self.scaled[0] / self.original[0], self.scaled[1] / self.original[1]
        return round(left * across), round(top * down)


def cut(size: Size, rules: BucketRules, at: tuple[float, float] = (0.5, 0.5)) -> Cut:
    """How an image of ``size`` is cut. ``at`` says where in the room to spare, 0 (left, top) to 1 (right, bottom)."""
    if not rules.no_upscale:
        return cut_to(size, nearest(size, rules.sizes()), at)
    scaled = _not_enlarged(size, rules)
    width, height = (max(rules.step, side // rules.step * rules.step) for side in scaled)
    if width > scaled[0] or height > scaled[1]:
        return cut_to(size, (width, height), at)
    box = _place(size, width * size[0] / scaled[0], height * size[1] / scaled[1], at)
    return Cut(size, scaled, (width, height), box)


def cut_to(size: Size, bucket: Size, at: tuple[float, float] = (0.5, 0.5)) -> Cut:
    """An image of ``size`` scaled so as to cover ``bucket``; what sticks out is cut off around ``at``."""
    scale = min(size[0] / bucket[0], size[1] / bucket[1])
    return Cut(size, (round(size[0] / scale), round(size[1] / scale)), bucket, crop_box(size, bucket, at))


def crop_box(size: Size, bucket: Size, at: tuple[float, float] = (0.5, 0.5)) -> Box:
    """The part of an image of ``size`` that has the aspect of ``bucket``, as large as can be."""
    scale = min(size[0] / bucket[0], size[1] / bucket[1])
    return _place(size, bucket[0] * scale, bucket[1] * scale, at)


def cuts(size: Size, resolutions: Iterable[BucketRules]) -> tuple[Cut, ...]:
    """The cuts of an image that is trained at several resolutions, in their order, equal ones once."""
    return tuple({each.bucket: each for each in (cut(size, rules) for rules in resolutions)}.values())


def nearest(size: Size, buckets: tuple[Size, ...]) -> Size:
    """The bucket whose aspect is nearest to that of ``size``, by the ratio of the two; the larger one of equals."""
    aspect = size[0] / size[1]
    return min(buckets, key=lambda bucket: (abs(math.log(bucket[0] / bucket[1] / aspect)), -bucket[0] * bucket[1]))


def fit(picture: Image.Image, how: Cut) -> Image.Image:
    """``picture`` as ``how`` says: cut and scaled to fill the bucket."""
    if picture.size == how.bucket:
        return picture
    return picture.resize(how.bucket, Image.Resampling.LANCZOS, box=how.box)


def _place(size: Size, width: float, height: float, at: tuple[float, float]) -> Box:
    wide, high = max(1, min(size[0], round(width))), max(1, min(size[1], round(height)))
    left, top = int((size[0] - wide) * at[0]), int((size[1] - high) * at[1])
    return left, top, left + wide, top + high


def _not_enlarged(size: Size, rules: BucketRules) -> Size:
    """The size at which an image is trained before it is cut: its own, or one of the area where it is larger."""
    width, height = size
    if width * height <= rules.resolution**2:
        return size
    aspect = width / height
    by_width = _steps(rules.resolution * math.sqrt(aspect), rules.step)
    by_height = _steps(rules.resolution / math.sqrt(aspect), rules.step)
    error_by_width = abs(by_width / _steps(by_width / aspect, rules.step) - aspect)
    error_by_height = abs(_steps(by_height * aspect, rules.step) / by_height - aspect)
    if error_by_width < error_by_height:
        return by_width, max(1, round(by_width / aspect))
    return max(1, round(by_height * aspect)), by_height


def _steps(side: float, step: int) -> int:
    return max(step, int(side + 0.5) // step * step)
