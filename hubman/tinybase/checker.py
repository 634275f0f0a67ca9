"""Rules that recognise what a picture shows, without any model: the judge of the embedded base.

The background is the colour of the border; the shape is what differs from it, named by the outline that overlaps
its silhouette best once both fill their bounding boxes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hubman.tinybase.drawing import COLOURS, SHAPES, Placement, mask
from hubman.tinybase.styles import EYE, PASTEL

Mask = NDArray[np.bool_]
Pixels = NDArray[np.float64]

_GRID = 32
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


def _silhouette(inside: Mask) -> Mask | None:
    """The part of ``inside`` that its bounding box holds, scaled to a square grid; None if hardly anything is there."""
    if inside.sum() < 12:
        return None
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    box = (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
    cut = Image.fromarray(inside).convert("L").crop(box)
    return np.asarray(cut.resize((_GRID, _GRID), Image.Resampling.BILINEAR)) > 127


@cache
def _templates() -> tuple[tuple[str, Mask], ...]:
    """Silhouettes of every shape at a few rotations, each filling its bounding box."""
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
    return _largest_part(differs)


def _largest_part(inside: Mask) -> Mask:
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
    """The best matching shape's name and its overlap; ``("", 0)`` when there is nothing to name."""
    silhouette = _silhouette(inside)
    if silhouette is None:
        return "", 0.0
    scores = [(float((silhouette & t).sum() / (silhouette | t).sum()), shape) for shape, t in _templates()]
    overlap, shape = max(scores)
    return shape, overlap


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
    return _largest_part(to_fill < to_background)


def hatching(picture: Image.Image) -> float:
    """How strongly dark lines that rise to the right run through the shape: 0 (none) to about 1.

    Contrast across the lines minus contrast along them, within the shape's silhouette (closed over the lines), as a
    share of what :func:`hubman.tinybase.styles.paint_hatched` draws on average.
    """
    grey = np.asarray(picture.convert("L"), dtype=np.float64)
    pixels = np.asarray(picture.convert("RGB"), dtype=np.float64)
    inside = _filled(foreground(pixels))
    if inside[3:-3, 3:-3].sum() < 30:
        return 0.0
    centre = grey[3:-3, 3:-3]
    # Lines rise to the right, so going down-right crosses them and going up-right follows them; 4 px diagonal = half a period.
    across = np.abs(centre - grey[6:, 6:]) + np.abs(centre - grey[:-6, :-6])
    along = np.abs(centre - grey[:-6, 6:]) + np.abs(centre - grey[6:, :-6])
    core = inside[3:-3, 3:-3] & inside[6:, 6:] & inside[:-6, :-6] & inside[:-6, 6:] & inside[6:, :-6]
    if core.sum() < 20:
        core = inside[3:-3, 3:-3]
    return float((across - along)[core].mean() / _HATCHING_FULL)


_HATCHING_FULL = 167.0


def _filled(inside: Mask) -> Mask:
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
    for rgb in (border_colour(pixels), np.median(pixels[inside], axis=0)):
        to_plain = min(float(np.linalg.norm(rgb - np.array(c))) for c in COLOURS.values())
        to_soft = min(float(np.linalg.norm(rgb - np.array(c))) for c in PASTEL.values())
        shares.append(to_plain / (to_plain + to_soft + 1e-9))
    return float(np.mean(shares))


def eyes(picture: Image.Image) -> float:
    """How much of a pair of big eyes (white around dark) is on the shape: 0 to about 1."""
    pixels = np.asarray(picture.convert("RGB"), dtype=np.float64)
    inside = _filled(foreground(pixels))
    if not inside.any():
        return 0.0
    rows, columns = np.nonzero(inside)
    middle_row = (rows.min() + rows.max()) / 2
    middle_column = (columns.min() + columns.max()) / 2
    radius = max(3.0, (columns.max() - columns.min()) / 2)
    eye = EYE * radius
    scores = [_eye_at(pixels, middle_row, middle_column + side * 1.15 * eye, eye) for side in (-1, 1)]
    return float(np.mean(scores))


def _eye_at(pixels: Pixels, row: float, column: float, eye: float) -> float:
    """The best contrast of a bright ring around a dark pupil near a place, -1 to 1."""
    grey = pixels.mean(-1)
    y, x = np.mgrid[0 : grey.shape[0], 0 : grey.shape[1]]
    best = 0.0
    for shift_row in range(-3, 4):
        for shift_column in range(-2, 3):
            distance = np.hypot(y - row - shift_row, x - column - shift_column)
            ring = grey[(distance > 0.55 * eye + 0.5) & (distance < max(eye, 0.55 * eye + 1.2))]
            pupil = grey[distance < max(0.5 * eye, 0.8)]
            if len(ring) and len(pupil):
                best = max(best, float(ring.mean() - pupil.mean()) / 200.0)
    return best
