"""Whether a picture is burnt: what over-driven LoRAs do to light, colour and detail."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hubman.generate.metrics.pixels import Array, lab, luma

_EPS = 0.01
"""Added to both sides of a ratio: a share of clipped pixels that grows from 0 to 1 % counts as little."""


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


def burn_ratio(now: Mapping[str, float], before: Mapping[str, float]) -> float:
    """How burnt a picture is against the same picture at strength 0: mean positive log-ratio of ``burn_features``.

    0 = not at all; 0.3 is where it begins to count, if the median over seeds says so.
    """
    ratios = [np.log((now[name] + _EPS) / (before[name] + _EPS)) for name in now]
    return float(np.mean(np.maximum(ratios, 0)))
