"""Borders, and what may be watermarks: what is the same along an edge of many images that differ otherwise.

A watermark is the same fine pattern at the same place. So the strips along the edges of all images are laid upon each
other: the fine detail of different pictures cancels out, that of a watermark adds up. A fixed background or a
caption does so too, hence *may*.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from operator import add

from PIL import Image, ImageFilter

from hubman.train.checks.findings import Finding
from hubman.train.data.borders import LONG, SHORT
from hubman.train.data.dataset import DatasetImage

FEWEST = 15
"""In smaller sets chance agrees as well."""
DETAIL = 6
"""Of 255: fainter detail is the noise of compression."""
COMMON = 0.3
"""Share of the images, those of the other sign taken off, that must have the same detail at a place."""
CHANCE = 3.5
"""Standard deviations that this must be away from what detail of random sign gives."""
LEAST_CELLS = 6
"""Of the 512 of a strip: a smaller pattern is a speck, or chance."""
CARRIES, SURELY_CARRIES = 0.6, 0.8
"""Share of the pattern's cells, as above, where an image must have it to be told of; and to help to draw it anew."""
EDGES = ("top", "bottom", "left", "right")

_MIDDLE = 128
_FINE = ImageFilter.Kernel((3, 3), (0, -1, 0, -1, 4, -1, 0, -1, 0), 1, _MIDDLE)
_LIGHTER = bytes(value >= _MIDDLE + DETAIL for value in range(256))
_DARKER = bytes(value <= _MIDDLE - DETAIL for value in range(256))


Pattern = dict[int, int]
"""Cells of a strip where many images have the same fine detail, and its sign: 1 lighter, -1 darker."""


def bars(images: Sequence[DatasetImage]) -> Iterator[Finding]:
    """Images within bars of one colour."""
    for image in images:
        if any(image.picture.bars):
            names = ("left", "top", "right", "bottom")
            said = ", ".join(f"{name} {bar}" for name, bar in zip(names, image.picture.bars, strict=True) if bar)
            sentence = f"may have a border of one colour ({said} pixels)"
            yield Finding(image.name, "warn", "border", sentence, "crop it off: it would be learned")


def watermarks(images: Sequence[DatasetImage]) -> Iterator[Finding]:
    """Images with a fine pattern along an edge that many others have there too."""
    plain = [image for image in images if len(image.picture.strips) == 4 * LONG * SHORT and not any(image.picture.bars)]
    # Copies of one picture agree all over.
    plain = list({image.picture.phash: image for image in reversed(plain)}.values())[::-1]
    if len(plain) < FEWEST:
        return
    detail = [fine_detail(image.picture.strips) for image in plain]
    carriers = [set(_carriers([each[edge] for each in detail])) for edge in range(len(EDGES))]
    for i, image in enumerate(plain):
        where = [name for name, carrying in zip(EDGES, carriers, strict=True) if i in carrying]
        if where:
            said = " and ".join(where) + (" edges" if len(where) > 1 else " edge")
            sentence = f"may have a watermark, a signature or a caption along its {said}, as others have"
            remedy = "crop, paint or mask it out, unless the LoRA shall learn it"
            yield Finding(image.name, "warn", "watermark", sentence, remedy)


def fine_detail(strips: bytes) -> list[bytes]:
    """The Laplacian of each of the four strips, around 128."""
    length = LONG * SHORT
    pieces = (strips[at : at + length] for at in range(0, len(strips), length))
    return [Image.frombytes("L", (LONG, SHORT), piece).filter(_FINE).tobytes() for piece in pieces]


def _carriers(strips: Sequence[bytes]) -> list[int]:
    """Which of the strips have the pattern that is common to many of them, if there is one."""
    pattern = common_pattern(strips)
    sure = [strip for strip in strips if _carries(strip, pattern) >= SURELY_CARRIES]
    # Drawn from those that have it, the pattern has more cells, and chance imitates it less.
    pattern = common_pattern(sure) or pattern
    return [i for i, strip in enumerate(strips) if _carries(strip, pattern) >= CARRIES]


def common_pattern(strips: Sequence[bytes]) -> Pattern:
    """The fine detail that many of the strips share; nothing where it is too little."""
    lighter, darker = [0] * (LONG * SHORT), [0] * (LONG * SHORT)
    for strip in strips:
        lighter = list(map(add, lighter, strip.translate(_LIGHTER)))
        darker = list(map(add, darker, strip.translate(_DARKER)))
    signs = {
        cell: 1 if lighter[cell] > darker[cell] else -1
        for cell in _inner_cells()
        if _is_common(lighter[cell], darker[cell], len(strips))
    }
    return signs if len(signs) >= LEAST_CELLS else {}


def _is_common(lighter: int, darker: int, images: int) -> bool:
    surplus = abs(lighter - darker)
    return surplus >= COMMON * images and surplus >= CHANCE * math.sqrt(lighter + darker)


def _inner_cells() -> list[int]:
    """The filter leaves the outermost cells as they are."""
    return [y * LONG + x for y in range(1, SHORT - 1) for x in range(1, LONG - 1)]


def _carries(own: bytes, pattern: Pattern) -> float:
    """-1 to 1: the share of the pattern's cells where an image has the same detail, less that of the opposite."""
    signs = ((_LIGHTER[own[cell]] - _DARKER[own[cell]]) * sign for cell, sign in pattern.items())
    return sum(signs) / len(pattern) if pattern else 0.0
