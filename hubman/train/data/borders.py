"""What lies along the edges of a picture: bars of one colour, and strips to be compared with those of other pictures."""

from __future__ import annotations

from PIL import Image, ImageChops, ImageStat

LONG, SHORT = 64, 8
"""A strip's size in cells: the whole of an edge, an eighth of the picture deep."""
DEPTH = 8
SAME = 20
"""Of 255: JPEG leaves a bar of one colour that uneven."""
THINNEST, THICKEST = 0.02, 0.35
"""Of the picture's side: thinner bars are slips of the scanner, thicker ones part of the picture."""
UNEVEN = 0.2
"""Share by which opposite bars may differ."""
STRAIGHT = 0.7
"""Share of the line next to a bar that must differ from it: along a subject on a plain ground little does."""
LEAST_VARIANCE = 100.0
"""Of the grey picture between the bars: a plain drawing of a box is no framed picture."""

Bars = tuple[int, int, int, int]
"""Thickness at the left, top, right and bottom in pixels."""


def bars(picture: Image.Image) -> Bars:
    """Bars of one colour at two opposite edges or all four of an RGB picture; zeros where there are none."""
    width, height = picture.size
    ground = Image.new("RGB", picture.size, picture.getpixel((0, 0)))
    red, green, blue = ImageChops.difference(picture, ground).split()
    differs = ImageChops.lighter(ImageChops.lighter(red, green), blue).point(lambda value: 255 * (value > SAME))
    box = differs.getbbox()
    if box is None:
        return 0, 0, 0, 0
    left, top, right, bottom = box[0], box[1], width - box[2], height - box[3]
    pairs = (left, right, width), (top, bottom, height)
    # A subject on a plain ground has margins on all sides that are no bars.
    if not all(_none(*pair) or _both(*pair) for pair in pairs) or not any(_both(*pair) for pair in pairs):
        return 0, 0, 0, 0
    if ImageStat.Stat(picture.crop(box).convert("L")).var[0] < LEAST_VARIANCE:
        return 0, 0, 0, 0
    across = [(x, box[1], x + 1, box[3]) for x in (box[0] + 1, box[2] - 2) if _both(*pairs[0])]
    down = [(box[0], y, box[2], y + 1) for y in (box[1] + 1, box[3] - 2) if _both(*pairs[1])]
    straight = all(_filled(differs, line) for line in across + down)
    return (left, top, right, bottom) if straight else (0, 0, 0, 0)


def strips(picture: Image.Image) -> bytes:
    """The grey strips along the top, bottom, left and right, each of 64x8 cells; the last two are turned to lie."""
    grey = picture.convert("L")
    width, height = grey.size
    deep, wide = max(1, height // DEPTH), max(1, width // DEPTH)
    top, bottom = (0, 0, width, deep), (0, height - deep, width, height)
    left, right = (0, 0, wide, height), (width - wide, 0, width, height)
    lying = [grey.resize((LONG, SHORT), Image.Resampling.BOX, box=box) for box in (top, bottom)]
    standing = [grey.resize((SHORT, LONG), Image.Resampling.BOX, box=box) for box in (left, right)]
    return b"".join(
        strip.tobytes() for strip in (*lying, *(each.transpose(Image.Transpose.TRANSPOSE) for each in standing))
    )


def _none(one: int, other: int, side: int) -> bool:
    return max(one, other) < THINNEST * side


def _both(one: int, other: int, side: int) -> bool:
    within = all(THINNEST * side <= bar <= THICKEST * side for bar in (one, other))
    return within and abs(one - other) <= max(2, UNEVEN * max(one, other))


def _filled(differs: Image.Image, line: tuple[int, int, int, int]) -> bool:
    return ImageStat.Stat(differs.crop(line)).mean[0] >= STRAIGHT * 255
