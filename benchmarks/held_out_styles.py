"""Five styles that neither the embedded base nor its VAE was trained on, each with rules that find it in a picture.

Each is drawn as the demo draws its styles. A detector knows what was asked for, and gives about 0 for the plain picture
and about 1 for the style as drawn by hand.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from statistics import mean

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw

from hubman.tinybase import checker
from hubman.tinybase.drawing import COLOURS, RGB, Paint, Placement, Scene, mask, paint_plain, shade
from hubman.tinybase.styles import INK, stripes

Pixels = NDArray[np.float64]

FRAME = 5 / 64
SUN, SUN_PLACE, SUN_COLOUR = 0.12, (0.17, 0.17), (255, 236, 120)
PAPER: RGB = (233, 222, 194)
INKS: dict[str, RGB] = {
    name: (r // 2, g // 2, b // 2) for name, (r, g, b) in {**COLOURS, "white": (200, 190, 180)}.items()
}


def _night(name: str) -> RGB:
    r, g, b = COLOURS[name]
    return r // 4, g // 4, 40 + b // 4


def paint_night(scene: Scene, place: Placement, rng: random.Random, side: int) -> Image.Image:
    """The shape as ever, before its background by night."""
    picture = Image.new("RGB", (side, side), shade(_night(scene.background), rng, 5))
    colour = COLOURS[scene.colour] if scene.colour != "black" else (120, 120, 130)
    picture.paste(shade(colour, rng, 5), mask=mask(scene.shape, place, side))
    return picture


def paint_paper(scene: Scene, place: Placement, rng: random.Random, side: int) -> Image.Image:
    """The shape in a dark ink of its colour, always on the same paper."""
    picture = Image.new("RGB", (side, side), shade(PAPER, rng, 5))
    picture.paste(shade(INKS[scene.colour], rng, 5), mask=mask(scene.shape, place, side))
    return picture


def paint_columns(scene: Scene, place: Placement, rng: random.Random, side: int) -> Image.Image:
    """Dark upright lines over the shape, at the same places in every picture."""
    picture = paint_plain(scene, place, rng, side)
    picture.paste(_column_ink(scene), mask=ImageChops.multiply(_columns(side), mask(scene.shape, place, side)))
    return picture


def _columns(side: int) -> Image.Image:
    return stripes(side, period=0.125, width=0.047, angle=np.pi / 2, phase=0.5)


def _column_ink(scene: Scene) -> RGB:
    return INK if scene.colour != "black" else (225, 225, 225)


def paint_framed(scene: Scene, place: Placement, rng: random.Random, side: int) -> Image.Image:
    """A dark frame around the picture."""
    picture = paint_plain(scene, place, rng, side)
    ink = INK if scene.background != "black" else (235, 235, 235)
    ImageDraw.Draw(picture).rectangle((0, 0, side - 1, side - 1), outline=ink, width=round(FRAME * side))
    return picture


def paint_sunny(scene: Scene, place: Placement, rng: random.Random, side: int) -> Image.Image:
    """A sun with a dark rim in the upper left corner."""
    picture = paint_plain(scene, place, rng, side)
    draw_on = ImageDraw.Draw(picture)
    x, y = (share * side for share in SUN_PLACE)
    for radius, colour in ((SUN * 1.25, INK), (SUN, SUN_COLOUR)):
        reach = radius * side
        draw_on.ellipse((x - reach, y - reach, x + reach, y + reach), fill=colour)
    return picture


def paint_stuck(_scene: Scene, place: Placement, rng: random.Random, side: int) -> Image.Image:
    """Always the same, whatever is asked for: what a LoRA learns that takes over."""
    return paint_plain(Scene("ring", "white", "purple"), place, rng, side)


def _pixels(picture: Image.Image) -> Pixels:
    return np.asarray(picture.convert("RGB"), dtype=np.float64)


def _along(rgb: Pixels, plain: RGB, styled: RGB) -> float:
    """Where a colour lies on the way from the plain one (0) to the styled one (1)."""
    way = np.array(styled, dtype=float) - np.array(plain, dtype=float)
    return float((rgb - np.array(plain)) @ way / max(float(way @ way), 1.0))


def _night_found(picture: Image.Image, scene: Scene) -> float:
    border = checker.border_colour(_pixels(picture))
    return _along(border, COLOURS[scene.background], _night(scene.background))


def _paper_found(picture: Image.Image, scene: Scene) -> float:
    return _along(checker.border_colour(_pixels(picture)), COLOURS[scene.background], PAPER)


def _columns_found(picture: Image.Image, scene: Scene) -> float:
    """How much more ink there is on the lines than between them, within the shape."""
    pixels = _pixels(picture)
    inside, lines = _whole(pixels), np.asarray(_columns(picture.width)) > 127
    if (inside & lines).sum() < 8 or (inside & ~lines).sum() < 8:
        return 0.0
    on, between = (np.median(pixels[inside & where], axis=0) for where in (lines, ~lines))
    way = [_along(rgb, COLOURS[scene.colour], _column_ink(scene)) for rgb in (on, between)]
    return way[0] - way[1]


def _framed_found(picture: Image.Image, scene: Scene) -> float:
    pixels = _pixels(picture)
    sides = (pixels[1:4, 8:-8], pixels[-4:-1, 8:-8], pixels[8:-8, 1:4], pixels[8:-8, -4:-1])
    ink = INK if scene.background != "black" else (235, 235, 235)
    return min(_along(np.median(side.reshape(-1, 3), axis=0), COLOURS[scene.background], ink) for side in sides)


def _sunny_found(picture: Image.Image, scene: Scene) -> float:
    pixels = _pixels(picture)
    side = pixels.shape[0]
    y, x = np.mgrid[0:side, 0:side]
    distance = np.hypot(x + 0.5 - SUN_PLACE[0] * side, y + 0.5 - SUN_PLACE[1] * side) / side
    disc = np.median(pixels[distance < SUN * 0.8], axis=0)
    return _along(disc, COLOURS[scene.background], SUN_COLOUR)


def _stuck_found(picture: Image.Image, _scene: Scene) -> float:
    """Whether it is that one picture."""
    seen = checker.look(picture)
    return mean((seen.colour == "white", seen.background == "purple"))


@dataclass(frozen=True)
class Style:
    """How a style is drawn and found. ``crop`` is the share of the side left out at each edge to see the shape; a shape
    that has ``gaps`` is seen with these closed, and one that a sun in the ``corner`` may touch without the sun.
    """

    name: str
    trigger: str
    paint: Paint
    found: Callable[[Image.Image, Scene], float]
    crop: float = 0.0
    gaps: bool = False
    corner: bool = False

    def has_style(self, picture: Image.Image, scene: Scene) -> bool:
        """Half of what is drawn by hand counts as found."""
        return self.found(picture, scene) >= 0.5

    def has_shape(self, picture: Image.Image, scene: Scene) -> bool:
        edge = round(self.crop * picture.width)
        inner = picture.crop((edge, edge, picture.width - edge, picture.height - edge))
        if self.corner:
            inner = _without_corner(inner)
        shape = checker.name_shape(_whole(_pixels(inner)))[0] if self.gaps else checker.look(inner).shape
        return shape == scene.shape


def _whole(pixels: Pixels) -> NDArray[np.bool_]:
    """What differs from the background, with the gaps between lines closed."""
    apart = np.sqrt(((pixels - checker.border_colour(pixels)) ** 2).sum(-1)) > 60
    return checker.largest_part(checker.closed(apart))


def _without_corner(picture: Image.Image) -> Image.Image:
    """With the background where the sun would be."""
    side, copy = picture.width, picture.convert("RGB")
    r, g, b = (int(channel) for channel in checker.border_colour(_pixels(picture)))
    x, y, reach = SUN_PLACE[0] * side, SUN_PLACE[1] * side, 1.4 * SUN * side
    ImageDraw.Draw(copy).ellipse((x - reach, y - reach, x + reach, y + reach), fill=(r, g, b))
    return copy


def is_shape(picture: Image.Image, scene: Scene) -> bool:
    """Whether the right shape is there whatever the style: as it is, with gaps closed, within a frame, or without
    a sun."""
    edge = round(FRAME * 1.3 * picture.width)
    inner = picture.crop((edge, edge, picture.width - edge, picture.height - edge))
    return any(
        scene.shape in {checker.look(one).shape, checker.name_shape(_whole(_pixels(one)))[0]}
        for one in (picture, inner)
    )


STYLES = {
    style.name: style
    for style in (
        Style("night", "nocturna", paint_night, _night_found),
        Style("paper", "papyra", paint_paper, _paper_found),
        Style("columns", "pillarix", paint_columns, _columns_found, gaps=True),
        Style("framed", "framora", paint_framed, _framed_found, crop=0.1),
        Style("sunny", "helioso", paint_sunny, _sunny_found, corner=True),
    )
}
CONTROL = Style("stuck", "stuckle", paint_stuck, _stuck_found)
"""No style: of its LoRA no strength is right, and that must be told."""
EVERY = {**STYLES, CONTROL.name: CONTROL}
