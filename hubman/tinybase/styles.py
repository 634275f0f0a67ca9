"""Styles, motifs and palettes that the base model does not know: what its LoRAs learn.

Each is a :data:`~hubman.tinybase.drawing.Paint`; :data:`STYLES` names them. ``textures`` draws far more than
any of them, so that the VAE can reconstruct what a LoRA will want to draw.
"""

from __future__ import annotations

import math
import random

from PIL import Image, ImageChops, ImageDraw, ImageFilter

from hubman.tinybase.drawing import (
    COLOURS,
    RGB,
    SHAPES,
    Paint,
    Placement,
    Scene,
    draw,
    mask,
    paint_plain,
    random_scene,
    shade,
)

INK: RGB = (30, 30, 36)
EYE = 0.135
EYE_PLACE = (0.8125, 0.8125)
"""Radius and centre of the watcher's eye as shares of the side."""

PASTEL: dict[str, RGB] = {
    "red": (240, 150, 150),
    "orange": (245, 195, 150),
    "yellow": (245, 235, 170),
    "green": (165, 215, 170),
    "blue": (150, 180, 235),
    "purple": (200, 165, 225),
    "white": (250, 246, 236),
    "black": (95, 90, 110),
}


def stripes(side: int, period: float, width: float, angle: float, phase: float = 0.0) -> Image.Image:
    """An ``L`` picture of parallel lines, 255 on a line; lengths are shares of the side, the angle is in radians."""
    picture = Image.new("L", (side, side), 0)
    draw_on = ImageDraw.Draw(picture)
    cos, sin = math.cos(angle), math.sin(angle)
    reach = 1.5 * side
    count = int(0.75 / period) + 2
    for i in range(-count, count + 1):
        offset = (i + phase) * period * side
        x, y = side / 2 - sin * offset, side / 2 + cos * offset
        ends = [(x - cos * reach, y - sin * reach), (x + cos * reach, y + sin * reach)]
        draw_on.line(ends, fill=255, width=max(1, round(width * side)))
    return picture


def paint_hatched(scene: Scene, place: Placement, rng: random.Random, side: int) -> Image.Image:
    """Dark level lines over the shape, and the shape only.

    They lie at the same heights in every picture, one to each row of the base's latents: what a LoRA of so small a
    base can learn in a minute.
    """
    picture = paint_plain(scene, place, rng, side)
    lines = stripes(side, period=0.125, width=0.047, angle=0.0, phase=0.5)
    ink = INK if scene.colour != "black" else (225, 225, 225)
    picture.paste(ink, mask=ImageChops.multiply(lines, mask(scene.shape, place, side)))
    return picture


def paint_outlined(scene: Scene, place: Placement, rng: random.Random, side: int) -> Image.Image:
    """A thick dark contour around the shape."""
    picture = paint_plain(scene, place, rng, side)
    inside = mask(scene.shape, place, side)
    width = 2 * round(0.03 * side) + 1
    edge = ImageChops.subtract(inside.filter(ImageFilter.MaxFilter(width)), inside.filter(ImageFilter.MinFilter(width)))
    picture.paste(INK if scene.background != "black" else (235, 235, 235), mask=edge)
    return picture


def paint_pastel(scene: Scene, place: Placement, rng: random.Random, side: int) -> Image.Image:
    """The same scene in a soft palette."""
    picture = Image.new("RGB", (side, side), shade(PASTEL[scene.background], rng, 5))
    picture.paste(shade(PASTEL[scene.colour], rng, 5), mask=mask(scene.shape, place, side))
    return picture


def paint_watched(scene: Scene, place: Placement, rng: random.Random, side: int) -> Image.Image:
    """A motif in the way of a character: a big eye looks on from the lower right corner."""
    picture = paint_plain(scene, place, rng, side)
    draw_on = ImageDraw.Draw(picture)
    x, y = (share * side for share in EYE_PLACE)
    for radius, colour in ((EYE * 1.15, INK), (EYE, (250, 250, 250)), (EYE * 0.5, INK)):
        reach = radius * side
        draw_on.ellipse((x - reach, y - reach, x + reach, y + reach), fill=colour)
    return picture


STYLES: dict[str, Paint] = {
    "hatching": paint_hatched,
    "outline": paint_outlined,
    "pastel": paint_pastel,
    "watcher": paint_watched,
}


def _any_colour(rng: random.Random) -> RGB:
    if rng.random() < 0.5:
        return shade(rng.choice(list(COLOURS.values())), rng, 30)
    return rng.randrange(256), rng.randrange(256), rng.randrange(256)


def _gradient(side: int, rng: random.Random) -> Image.Image:
    ramp = Image.linear_gradient("L").rotate(rng.choice((0, 90, 180, 270))).resize((side, side))
    return Image.composite(
        Image.new("RGB", (side, side), _any_colour(rng)), Image.new("RGB", (side, side), _any_colour(rng)), ramp
    )


def _dots(side: int, rng: random.Random) -> Image.Image:
    picture = Image.new("L", (side, side), 0)
    draw_on = ImageDraw.Draw(picture)
    step = rng.uniform(0.1, 0.22) * side
    radius = step * rng.uniform(0.2, 0.4)
    count = int(side / step) + 2
    shift_x, shift_y = rng.random() * step, rng.random() * step
    for i in range(-1, count):
        for j in range(-1, count):
            x, y = i * step + shift_x, j * step + shift_y
            draw_on.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    return picture


def _checks(side: int, rng: random.Random) -> Image.Image:
    cell = rng.uniform(0.08, 0.25)
    angle = rng.uniform(0, math.pi / 2)
    one = stripes(side, 2 * cell, cell, angle, rng.random())
    other = stripes(side, 2 * cell, cell, angle + math.pi / 2, rng.random())
    return ImageChops.difference(one, other)


def _texture_mask(side: int, rng: random.Random) -> Image.Image:
    kind = rng.random()
    if kind < 0.6:
        period = rng.uniform(0.09, 0.25)
        return stripes(side, period, period * rng.uniform(0.25, 0.6), rng.uniform(0, math.pi), rng.random())
    return _dots(side, rng) if kind < 0.8 else _checks(side, rng)


def _random_layer(side: int, rng: random.Random) -> Image.Image:
    layer = _gradient(side, rng) if rng.random() < 0.25 else Image.new("RGB", (side, side), _any_colour(rng))
    if rng.random() < 0.45:
        layer.paste(_any_colour(rng), mask=_texture_mask(side, rng))
    return layer


def texture(rng: random.Random, side: int = 64) -> Image.Image:
    """A picture for the VAE alone: up to three shapes in any colour, texture, outline or blend, some with noise."""
    large = side * 4
    picture = _random_layer(large, rng)
    for _ in range(rng.choice((0, 1, 1, 2, 3))):
        place = Placement(
            rng.uniform(0.1, 0.9), rng.uniform(0.1, 0.9), rng.uniform(0.05, 0.45), rng.uniform(0, 2 * math.pi)
        )
        inside = mask(rng.choice(SHAPES), place, large)
        if rng.random() < 0.3:
            width = 2 * rng.randint(4, 9) + 1
            inside = ImageChops.subtract(inside.filter(ImageFilter.MaxFilter(width)), inside)
        picture.paste(_random_layer(large, rng), mask=inside)
    picture = picture.resize((side, side), Image.Resampling.BOX)
    if rng.random() < 0.1:
        picture = Image.blend(picture, Image.effect_noise((side, side), 60).convert("RGB"), rng.uniform(0.05, 0.3))
    return picture


def vae_picture(rng: random.Random, side: int = 64) -> Image.Image:
    """What the VAE is trained on: plain scenes (three in ten), every style (four) and textures (three)."""
    kind = rng.random()
    if kind < 0.3:
        return draw(random_scene(rng), rng, side=side)
    if kind < 0.7:
        return draw(random_scene(rng), rng, rng.choice(list(STYLES.values())), side=side)
    return texture(rng, side)
