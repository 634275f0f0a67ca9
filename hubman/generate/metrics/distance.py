"""How different two pictures of one size are: structure, colour, layout and texture.

SSIM after Wang et al. 2004 (luma, uniform window of 7); histograms of CIE Lab, compared by the Jensen-Shannon divergence
in bits; pHash, 64 bits of the discrete cosine transform; texture as oriented gradients.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from hubman.generate.metrics.pixels import Array, lab, luma
from hubman.generate.metrics.texture import texture_distance
from hubman.train.data import perceptual

_WINDOW = 7
_BINS = 24
_FLAT = 1e-8
"""Variance below which a picture shows nothing."""


@dataclass(frozen=True)
class Distances:
    """Each 0 = identical … about 1 (``structure`` is 1-SSIM and can pass it)."""

    structure: float
    colour: float
    layout: float
    """The share of differing bits of the pHash."""
    texture: float

    @property
    def overall(self) -> float:
        """The mean of structure and colour, which rise with every step of real changes; the others only tell where."""
        return (self.structure + self.colour) / 2


def distances(first: Array, second: Array) -> Distances:
    """All four at once."""
    return Distances(
        structure=1 - ssim(first, second),
        colour=colour_distance(first, second),
        layout=layout_distance(first, second),
        texture=texture_distance(first, second),
    )


def _box(values: Array) -> Array:
    """Means over all windows of 7x7 that fit."""
    sums = np.pad(values.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    n = min(_WINDOW, *values.shape)
    means: Array = (sums[n:, n:] - sums[:-n, n:] - sums[n:, :-n] + sums[:-n, :-n]) / n**2
    return means


def ssim(first: Array, second: Array) -> float:
    """Structural similarity of two pictures of the same size: 1 = identical, about 0 = unrelated."""
    a, b = luma(first), luma(second)
    mean_a, mean_b = _box(a), _box(b)
    var_a, var_b = _box(a * a) - mean_a**2, _box(b * b) - mean_b**2
    covariance = _box(a * b) - mean_a * mean_b
    c1, c2 = 0.01**2, 0.03**2
    top = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    bottom = (mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2)
    return float((top / bottom).mean())


def colour_distance(first: Array, second: Array) -> float:
    """Jensen-Shannon divergence (bits, 0..1) of the Lab histograms, mean over the three axes."""
    ranges = ((0.0, 100.0), (-100.0, 100.0), (-100.0, 100.0))
    one, other = lab(first), lab(second)
    return float(np.mean([_divergence(one[..., i], other[..., i], ranges[i]) for i in range(3)]))


def _divergence(first: Array, second: Array, limits: tuple[float, float]) -> float:
    p, q = (np.histogram(values.clip(*limits), _BINS, limits)[0] / values.size for values in (first, second))
    m = (p + q) / 2

    def entropy(share: Array) -> float:
        share = share[share > 0]
        return float(-(share * np.log2(share)).sum())

    return max(0.0, entropy(m) - (entropy(p) + entropy(q)) / 2)


def layout_distance(first: Array, second: Array) -> float:
    """The share (0..1) of the 64 bits of their pHash that differ."""
    one, other = (perceptual.hashes(_image(pixels))[0] for pixels in (first, second))
    return (one ^ other).bit_count() / 64


def content_distance(first: Array, second: Array) -> float:
    """How differently two pictures of one size are arranged, whatever their tint, light and contrast.

    1 minus the normalised cross-correlation, the mean of that of the colours (Lab) and that of the edges: 0 = the same
    arrangement, 1 = unrelated, 2 = opposite. Styles change the colours of all pictures alike; this asks what remains different.
    """
    colours, edges = (_unlikeness(*pair) for pair in zip(*(_told(pixels) for pixels in (first, second)), strict=True))
    return (colours + edges) / 2


def _told(pixels: Array) -> tuple[Array, Array]:
    colours = lab(pixels) / 100
    across, down = np.abs(np.diff(colours, axis=1))[:-1], np.abs(np.diff(colours, axis=0))[:, :-1]
    return colours, (across + down).sum(axis=-1, keepdims=True)


def _unlikeness(first: Array, second: Array) -> float:
    one, other = first - first.mean(axis=(0, 1)), second - second.mean(axis=(0, 1))
    energies = float((one * one).sum()), float((other * other).sum())
    if min(energies) < _FLAT * one.size:
        return 0.0 if max(energies) < _FLAT * one.size else 1.0
    return 1 - float((one * other).sum() / np.sqrt(energies[0] * energies[1]))


def _image(pixels: Array) -> Image.Image:
    return Image.fromarray((pixels.clip(0, 1) * 255).round().astype(np.uint8))
