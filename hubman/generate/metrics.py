"""What pictures say in numbers, with numpy alone: how much a LoRA changes them, and whether it burns them.

Pictures are compared at 256 pixels on the longer side at most. SSIM after Wang et al. 2004 (luma, uniform window of 7),
colours in CIE Lab (D65), histogram distance as Jensen-Shannon divergence in bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from registry.errors import DamagedFileError

Array = NDArray[np.float64]

LONGEST = 256
_WINDOW = 7
_BINS = 12
_EPS = 0.01
"""Added to both sides of a burn ratio: a share of clipped pixels that grows from 0 to 1 % counts as little."""

_TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
_WHITE = np.array([0.95047, 1.0, 1.08883])


def load_pixels(path: Path) -> Array:
    """A picture as [height, width, 3] sRGB in 0..1, at most 256 pixels a side. ``DamagedFileError`` if unreadable."""
    try:
        with Image.open(path) as opened:
            image = opened.convert("RGB")
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise DamagedFileError(f"{path} is not a picture that can be read ({error})") from error
    longest = max(image.size)
    if longest > LONGEST:
        width, height = (max(1, round(side * LONGEST / longest)) for side in image.size)
        image = image.resize((width, height), Image.Resampling.LANCZOS)
    return np.asarray(image, dtype=np.float64) / 255


def luma(pixels: Array) -> Array:
    """Rec. 601 luma, 0..1."""
    grey: Array = pixels @ np.array([0.299, 0.587, 0.114])
    return grey


def lab(pixels: Array) -> Array:
    """SRGB 0..1 to CIE Lab: L in 0..100, a and b about -100..100."""
    linear = np.where(pixels <= 0.04045, pixels / 12.92, ((pixels + 0.055) / 1.055) ** 2.4)
    xyz = linear @ _TO_XYZ.T / _WHITE
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    x, y, z = f[..., 0], f[..., 1], f[..., 2]
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


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
    p, q = (np.histogram(values.clip(*limits), _BINS * 2, limits)[0] / values.size for values in (first, second))
    m = (p + q) / 2

    def entropy(share: Array) -> float:
        share = share[share > 0]
        return float(-(share * np.log2(share)).sum())

    return max(0.0, entropy(m) - (entropy(p) + entropy(q)) / 2)


def distance(first: Array, second: Array) -> float:
    """How different two pictures of the same size are, 0 = identical … about 1: mean of 1-SSIM and colour distance."""
    return ((1 - ssim(first, second)) + colour_distance(first, second)) / 2


def burn_features(pixels: Array) -> Mapping[str, float]:
    """What rises when a picture burns: clipped share, chroma, contrast, fine detail, edges; and minus entropy."""
    grey, colours = luma(pixels), lab(pixels)
    spectrum = np.abs(np.fft.fft2(grey - grey.mean())) ** 2
    fy, fx = np.fft.fftfreq(grey.shape[0])[:, None], np.fft.fftfreq(grey.shape[1])[None, :]
    fine = spectrum[np.hypot(fx, fy) > 0.25].sum() / max(float(spectrum.sum()), 1e-12)
    inner = grey[1:-1, 1:-1]
    laplacian = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * inner
    shares = np.histogram(grey, 64, (0.0, 1.0))[0] / grey.size
    shares = shares[shares > 0]
    entropy = -(shares * np.log2(shares)).sum() / 6
    return {
        "clipped": float(((pixels <= 1 / 255) | (pixels >= 254 / 255)).mean()),
        "chroma": float(np.hypot(colours[..., 1], colours[..., 2]).mean() / 100),
        "contrast": float(grey.std()),
        "fine": float(fine),
        "edges": float(np.sqrt((laplacian**2).mean())) if laplacian.size else 0.0,
        "order": float(1 / (entropy + 0.05)),
    }


def burn(pixels: Array, reference: Array) -> float:
    """How burnt a picture is against the same picture at strength 0: mean positive log-ratio of ``burn_features``.

    0 = not at all; 0.3 is where it begins to count, if the median over seeds says so (generation-design section 8).
    """
    now, before = burn_features(pixels), burn_features(reference)
    ratios = [np.log((now[name] + _EPS) / (before[name] + _EPS)) for name in now]
    return float(np.mean(np.maximum(ratios, 0)))
