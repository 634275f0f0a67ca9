"""Procedural pictures: the world that the embedded base model knows.

A *scene* is one shape of one colour and size on a plain background. Scenes are drawn four times too large
and scaled down, so edges are smooth. Everything here is deterministic given the random generator.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product

from PIL import Image, ImageDraw

SIDE = 64
"""Width and height of a picture in pixels: the native size of the embedded base model."""

SUPERSAMPLING = 4

RGB = tuple[int, int, int]
Point = tuple[float, float]

COLOURS: dict[str, RGB] = {
    "red": (214, 40, 40),
    "orange": (245, 140, 20),
    "yellow": (250, 220, 50),
    "green": (50, 160, 70),
    "blue": (40, 90, 210),
    "purple": (130, 50, 170),
    "white": (245, 245, 245),
    "black": (25, 25, 25),
}

SIZES: dict[str, tuple[float, float]] = {"small": (0.24, 0.28), "large": (0.38, 0.42), "": (0.31, 0.35)}
"""Half the shape's extent as a share of the picture's side, lowest and highest; no word means medium."""


def _regular(corners: int, start: float) -> list[Point]:
    step = 2 * math.pi / corners
    return [(math.cos(start + i * step), math.sin(start + i * step)) for i in range(corners)]


def _star() -> list[Point]:
    points = []
    for i in range(10):
        radius = 1.0 if i % 2 == 0 else 0.42
        angle = -math.pi / 2 + i * math.pi / 5
        points.append((radius * math.cos(angle), radius * math.sin(angle)))
    return points


def _cross() -> list[Point]:
    a, b = 0.34, 0.98
    return [(-a, -b), (a, -b), (a, -a), (b, -a), (b, a), (a, a), (a, b), (-a, b), (-a, a), (-b, a), (-b, -a), (-a, -a)]


def _heart() -> list[Point]:
    points = []
    for i in range(48):
        t = 2 * math.pi * i / 48
        x = 16 * math.sin(t) ** 3
        y = 13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)
        points.append((x / 16.5, -(y + 2.5) / 15.5))
    return points


def _ellipse(radius: float) -> list[Point]:
    return [(radius * x, radius * y) for x, y in _regular(48, 0.0)]


_S = 0.86
OUTLINES: dict[str, list[list[Point]]] = {
    "circle": [_ellipse(0.98)],
    "square": [[(-_S, -_S), (_S, -_S), (_S, _S), (-_S, _S)]],
    "triangle": [[(0.0, -0.98), (1.0, 0.82), (-1.0, 0.82)]],
    "star": [_star()],
    "cross": [_cross()],
    "heart": [_heart()],
    "ring": [_ellipse(0.98), _ellipse(0.52)],
    "diamond": [[(0.0, -1.0), (0.72, 0.0), (0.0, 1.0), (-0.72, 0.0)]],
}
"""Each shape as polygons in [-1, 1]; a second polygon is a hole."""

SHAPES = tuple(OUTLINES)


@dataclass(frozen=True)
class Scene:
    """What a picture shows, in the words of its caption."""

    shape: str
    colour: str
    background: str
    size: str = ""

    @property
    def caption(self) -> str:
        words = " ".join(word for word in (self.size, self.colour, self.shape) if word)
        return f"a {words} on a {self.background} background"


def combinations() -> Iterator[tuple[str, str, str]]:
    """Every (shape, colour, background) whose colour differs from its background."""
    for shape, colour, background in product(SHAPES, COLOURS, COLOURS):
        if colour != background:
            yield shape, colour, background


def split_combinations(seed: int = 1) -> tuple[list[tuple[str, str, str]], list[tuple[str, str, str]]]:
    """The combinations that the base is trained on, and the fifth that it never sees."""
    every = sorted(combinations())
    random.Random(seed).shuffle(every)
    held_out = len(every) // 5
    return every[held_out:], every[:held_out]


def random_scene(rng: random.Random, among: list[tuple[str, str, str]] | None = None) -> Scene:
    shape, colour, background = rng.choice(among or sorted(combinations()))
    return Scene(shape, colour, background, rng.choice(tuple(SIZES)))


def shade(colour: RGB, rng: random.Random, spread: int = 10) -> RGB:
    """``colour`` with each channel moved by at most ``spread``."""
    r, g, b = (max(0, min(255, channel + rng.randint(-spread, spread))) for channel in colour)
    return r, g, b


@dataclass(frozen=True)
class Placement:
    """Where a shape lies: centre and radius as shares of the side, rotation in radians."""

    x: float
    y: float
    radius: float
    angle: float

    @classmethod
    def random(cls, rng: random.Random, size: str) -> Placement:
        radius = rng.uniform(*SIZES[size])
        room = max(0.0, 0.46 - radius)
        return cls(0.5 + rng.uniform(-room, room), 0.5 + rng.uniform(-room, room), radius, rng.uniform(-0.14, 0.14))


def outline(shape: str, place: Placement, side: int, grow: float = 1.0) -> list[list[Point]]:
    """The polygons of ``shape`` in pixels of a picture of ``side``."""
    cos, sin = math.cos(place.angle), math.sin(place.angle)
    radius = place.radius * grow
    return [
        [
            ((place.x + radius * (x * cos - y * sin)) * side, (place.y + radius * (x * sin + y * cos)) * side)
            for x, y in polygon
        ]
        for polygon in OUTLINES[shape]
    ]


def mask(shape: str, place: Placement, side: int = SIDE, grow: float = 1.0) -> Image.Image:
    """An ``L`` picture of ``side`` x ``side`` pixels, 255 inside the shape."""
    picture = Image.new("L", (side, side), 0)
    draw = ImageDraw.Draw(picture)
    for fill, polygon in zip((255, 0), outline(shape, place, side, grow), strict=False):
        draw.polygon(polygon, fill=fill)
    return picture


Paint = Callable[[Scene, Placement, random.Random, int], Image.Image]
"""Draws a scene at the given side in pixels; a style is another ``Paint``."""


def paint_plain(scene: Scene, place: Placement, rng: random.Random, side: int) -> Image.Image:
    """Flat colour on flat colour: the only style that the base model is taught."""
    picture = Image.new("RGB", (side, side), shade(COLOURS[scene.background], rng))
    picture.paste(shade(COLOURS[scene.colour], rng), mask=mask(scene.shape, place, side))
    return picture


def draw(scene: Scene, rng: random.Random, paint: Paint = paint_plain, side: int = SIDE) -> Image.Image:
    """One ``RGB`` picture of ``side`` x ``side`` pixels."""
    place = Placement.random(rng, scene.size)
    large = paint(scene, place, rng, side * SUPERSAMPLING)
    return large.resize((side, side), Image.Resampling.BOX)
