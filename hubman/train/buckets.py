"""Aspect buckets: which sizes are trained, and how an image is cut to one of them."""

from __future__ import annotations

import math

import msgspec
from PIL import Image

Size = tuple[int, int]
"""Width and height in pixels."""


class BucketRules(msgspec.Struct, frozen=True):
    """Sizes of about ``resolution``² pixels, sides between ``low`` and ``high``, in steps of ``step``."""

    resolution: int = 512
    low: int = 256
    high: int = 1024
    step: int = 64

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


def nearest(size: Size, buckets: tuple[Size, ...]) -> Size:
    """The bucket whose aspect is nearest to that of ``size``, by the ratio of the two; the larger one of equals."""
    aspect = size[0] / size[1]
    return min(buckets, key=lambda bucket: (abs(math.log(bucket[0] / bucket[1] / aspect)), -bucket[0] * bucket[1]))


def crop_box(size: Size, bucket: Size) -> tuple[int, int, int, int]:
    """The centred part of an image of ``size`` that has the aspect of ``bucket``: left, top, right, bottom."""
    scale = min(size[0] / bucket[0], size[1] / bucket[1])
    width, height = round(bucket[0] * scale), round(bucket[1] * scale)
    left, top = (size[0] - width) // 2, (size[1] - height) // 2
    return left, top, left + width, top + height


def fit(picture: Image.Image, bucket: Size) -> Image.Image:
    """``picture`` cut around its centre and scaled so that it fills ``bucket``."""
    if picture.size == bucket:
        return picture
    return picture.resize(bucket, Image.Resampling.LANCZOS, box=crop_box(picture.size, bucket))
