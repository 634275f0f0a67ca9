"""Rules that recognise what a picture shows, without any model: the judge of the embedded base.

The background is the colour of the border; the shape is what differs from it, named by the outline that overlaps
its silhouette best once both are moved to one centre of mass and scaled to one area.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hubman.tinybase.drawing import COLOURS, SHAPES, Placement, mask
from hubman.tinybase.styles import EYE, EYE_PLACE, PASTEL

Mask = NDArray[np.bool_]
Pixels = NDArray[np.float64]

_GRID = 48
_AREA = 0.22
"""Share of the grid that a normalised silhouette covers: room for the arms of a star."""

_LEAST_OVERLAP = 0.7
"""Below this a silhouette is no shape at all; drawn ones that went through the VAE overlap by 0.81 and more."""

_FOREGROUND_DISTANCE = 60.0
"""RGB distance from the background from which a pixel belongs to the shape; half of red against orange."""


@dataclass(frozen=True)
class Seen:
    """What the rules found; ``overlap`` is the silhouettes' intersection over union, 0 to 1."""

    shape: str
    colour: str
    background: str
    overlap: float


def nearest_colour(rgb: Pixels, palette: dict[str, tuple[int, int, int]] = COLOURS) -> str:
    return min(palette, key=lambda name: float(np.sum((rgb - np.array(palette[name])) ** 2)))


def _silhouette(inside: Mask) -> Pixels | None:
    """``inside`` with its centre of mass in the middle of a square grid and its area at :data:`_AREA`, as 0 to 1.

    Moments, not the bounding box: a star that lost its finest tips stays a star. None if hardly anything is there.
    """
    area = int(inside.sum())
    if area < 12:
        return None
    rows, columns = np.nonzero(inside)
    scale = (area / (_GRID * _GRID * _AREA)) ** 0.5
    left, top = columns.mean() + 0.5 - scale * _GRID / 2, rows.mean() + 0.5 - scale * _GRID / 2
    moved = Image.fromarray(inside).convert("L").transform(
        (_GRID, _GRID), Image.Transform.AFFINE, (scale, 0, left, 0, scale, top), Image.Resampling.BILINEAR
    )  # fmt: skip
    return np.asarray(moved, dtype=np.float64) / 255


@cache
def _templates() -> tuple[tuple[str, Pixels], ...]:
    """Silhouettes of every shape at a few rotations."""
    found = []
    for shape in SHAPES:
        for angle in (-0.14, -0.07, 0.0, 0.07, 0.14):
            picture = mask(shape, Placement(0.5, 0.5, 0.4, angle), 128)
            silhouette = _silhouette(np.asarray(picture) > 127)
            assert silhouette is not None  # noqa: S101 - a drawn shape is never empty
            found.append((shape, silhouette))
    return tuple(found)


def border_colour(pixels: Pixels) -> Pixels:
    """The median colour of the two outermost rows and columns."""
    edge = np.concatenate(
        [
            pixels[:2].reshape(-1, 3),
            pixels[-2:].reshape(-1, 3),
            pixels[:, :2].reshape(-1, 3),
            pixels[:, -2:].reshape(-1, 3),
        ]
    )
    median: Pixels = np.median(edge, axis=0)
    return median


def foreground(pixels: Pixels) -> Mask:
    """The largest connected part that differs from the background."""
    differs: Mask = np.sqrt(((pixels - border_colour(pixels)) ** 2).sum(-1)) > _FOREGROUND_DISTANCE
    return largest_part(differs)


def largest_part(inside: Mask) -> Mask:
    """The largest connected part of ``inside``."""
    labels = np.zeros(inside.shape, dtype=int)
    best, best_size = 0, 0
    for number, (row, column) in enumerate(np.argwhere(inside), start=1):
        if labels[row, column]:
            continue
        size = _flood(inside, labels, (int(row), int(column)), number)
        if size > best_size:
            best, best_size = number, size
    return labels == best if best else inside


def _flood(inside: Mask, labels: NDArray[np.int_], start: tuple[int, int], number: int) -> int:
    stack, size = [start], 0
    height, width = inside.shape
    labels[start] = number
    while stack:
        row, column = stack.pop()
        size += 1
        for r, c in ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)):
            if 0 <= r < height and 0 <= c < width and inside[r, c] and not labels[r, c]:
                labels[r, c] = number
                stack.append((r, c))
    return size


def name_shape(inside: Mask) -> tuple[str, float]:
    """The best matching shape's name and its overlap; no name for what overlaps with none."""
    silhouette = _silhouette(inside)
    if silhouette is None:
        return "", 0.0
    overlap, shape = max((_overlap(silhouette, template), shape) for shape, template in _templates())
    return (shape, overlap) if overlap >= _LEAST_OVERLAP else ("", overlap)


def _overlap(one: Pixels, other: Pixels) -> float:
    return float(np.minimum(one, other).sum() / np.maximum(one, other).sum())


def look(picture: Image.Image) -> Seen:
    """What a picture of one shape on a plain background shows."""
    pixels = np.asarray(picture.convert("RGB"), dtype=np.float64)
    inside = foreground(pixels)
    if not inside.any():
        return Seen("", "", nearest_colour(border_colour(pixels)), 0.0)
    fill = np.median(pixels[inside], axis=0)
    shape, overlap = name_shape(_nearer(pixels, fill, border_colour(pixels)))
    return Seen(shape, nearest_colour(fill), nearest_colour(border_colour(pixels)), overlap)


def _nearer(pixels: Pixels, fill: Pixels, background: Pixels) -> Mask:
    """The pixels nearer to the shape's colour than to the background's: the true outline of a soft edge."""
    to_fill, to_background = (((pixels - colour) ** 2).sum(-1) for colour in (fill, background))
    return largest_part(to_fill < to_background)


def hatching(picture: Image.Image) -> float:
    """How strongly level lines run through the shape: 0 (none) to about 1.

    Contrast over half a period of the lines minus contrast along them, within the shape's silhouette (closed over the
    lines), as a share of what :func:`hubman.tinybase.styles.paint_hatched` draws on average.
    """
    pixels = np.asarray(picture.convert("RGB"), dtype=np.float64)
    grey = np.asarray(picture.convert("L"), dtype=np.float64)
    inside = closed(foreground(pixels))
    centre = grey[4:-4, 4:-4]
    across = np.abs(centre - grey[8:, 4:-4]) + np.abs(centre - grey[:-8, 4:-4])
    along = np.abs(centre - grey[4:-4, 8:]) + np.abs(centre - grey[4:-4, :-8])
    core = inside[4:-4, 4:-4] & inside[8:, 4:-4] & inside[:-8, 4:-4] & inside[4:-4, 8:] & inside[4:-4, :-8]
    if core.sum() < 12:
        return 0.0
    return float((across - along)[core].mean() / _HATCHING_FULL)


_HATCHING_FULL = 167.0


def closed(inside: Mask) -> Mask:
    """``inside`` grown and shrunk again by three pixels, which closes the gaps between lines."""
    from PIL import ImageFilter

    picture = Image.fromarray(inside).convert("L")
    closed = picture.filter(ImageFilter.MaxFilter(7)).filter(ImageFilter.MinFilter(7))
    return np.asarray(closed) > 127


def pastel(picture: Image.Image) -> float:
    """How near the background and the shape are to the soft palette: 0 (plain colours) to 1 (pastel)."""
    pixels = np.asarray(picture.convert("RGB"), dtype=np.float64)
    inside = foreground(pixels)
    shares = []
    parts = [border_colour(pixels), np.median(pixels[inside], axis=0)] if inside.any() else [border_colour(pixels)]
    for rgb in parts:
        to_plain = min(float(np.linalg.norm(rgb - np.array(c))) for c in COLOURS.values())
        to_soft = min(float(np.linalg.norm(rgb - np.array(c))) for c in PASTEL.values())
        shares.append(to_plain / (to_plain + to_soft + 1e-9))
    return float(np.mean(shares))


def watcher(picture: Image.Image) -> float:
    """How much of a big eye (white around dark) looks on from the lower right corner: about 1 when drawn so.

    White and pupil are compared by their darkest and brightest channel, so a flat saturated colour counts below 0
    (yellow: -1.1).
    """
    pixels = np.asarray(picture.convert("RGB"), dtype=np.float64)
    side = pixels.shape[0]
    y, x = np.mgrid[0:side, 0:side]
    distance = np.hypot(x + 0.5 - EYE_PLACE[0] * side, y + 0.5 - EYE_PLACE[1] * side) / side
    white = pixels[(distance > EYE * 0.6) & (distance < EYE * 0.95)].min(-1).mean()
    pupil = pixels[distance < EYE * 0.4].max(-1).mean()
    return float((white - pupil) / _EYE_FULL)


_EYE_FULL = 190.0
