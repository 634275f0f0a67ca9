"""How near pictures come to the training images, by texture and colour alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hubman.generate.metrics.pixels import Array, lab
from hubman.generate.metrics.texture import texture

LEAST = 4
"""Training images below which nothing is said of a style."""
_SMOOTH = 0.002
_FLOOR = 0.05
"""Of a feature's spread: what differs by less tells pictures apart no better."""
_DISTINCT = 0.35
"""How many spreads apart the base's pictures and the training images must be, in the mean, to speak of a way between."""


def style_features(pixels: Array) -> Array:
    """What a picture's style is told by, whatever it shows: log textures [24], mean and spread of Lab, mean chroma."""
    colours = lab(pixels).reshape(-1, 3) / 100
    chroma = np.hypot(colours[:, 1], colours[:, 2])
    tones = [*colours.mean(axis=0), *colours.std(axis=0), chroma.mean()]
    textures = np.log((texture(pixels) + _SMOOTH) / _SMOOTH) / 4
    return np.concatenate([textures.ravel(), np.array(tones)])


@dataclass(frozen=True)
class StyleWay:
    """The way from the base's own pictures to the training images, in the features that tell the two apart.

    It is the discriminant of Fisher with a diagonal covariance: each feature counts by the difference of the means over
    the two sets' variances.
    """

    start: Array
    direction: Array

    @classmethod
    def between(cls, plain: Sequence[Array], training: Sequence[Array]) -> StyleWay | None:
        """From the features of pictures at strength 0 and of training images; None where they are hardly apart."""
        if len(training) < LEAST or not plain:
            return None
        first, last = np.stack(plain), np.stack(training)
        apart = last.mean(axis=0) - first.mean(axis=0)
        spread = np.sqrt(first.var(axis=0) + last.var(axis=0)) + _FLOOR
        if np.abs(apart / spread).mean() < _DISTINCT:
            return None
        direction = apart / spread**2
        return cls(start=first.mean(axis=0), direction=direction / float(direction @ apart))

    def place(self, features: Array) -> float:
        """0 = as the base draws … 1 = as the training images; beyond both ends too."""
        return float((features - self.start) @ self.direction)
