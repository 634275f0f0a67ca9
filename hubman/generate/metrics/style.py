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
"""Mean gradient, in luma a pixel, at which a texture begins to count."""
_FLOOR = 0.05
"""Of a feature's spread: what differs by less tells pictures apart no better."""
_DISTINCT, _CLEAREST = 1.0, 4
"""How many spreads apart the base's pictures and the training images must be to speak of a way between, in the mean of the
four features that tell them apart best."""


def style_features(pixels: Array) -> Array:
    """What a picture's style is told by, whatever it shows: directions of the texture within each scale [24], how much of it
    there is at each [3], mean and spread of Lab [6], mean chroma.
    """
    gradients = texture(pixels)
    amounts = gradients.mean(axis=1, keepdims=True)
    directions = np.log((gradients + _SMOOTH / 4) / (amounts + _SMOOTH / 4)) / 4
    colours = lab(pixels).reshape(-1, 3) / 100
    chroma = np.hypot(colours[:, 1], colours[:, 2])
    tones = [*colours.mean(axis=0), *colours.std(axis=0), chroma.mean()]
    return np.concatenate([directions.ravel(), (np.log1p(amounts / _SMOOTH) / 4).ravel(), np.array(tones)])


@dataclass(frozen=True)
class StyleWay:
    """The way from the base's own pictures to the training images, in the features that tell the two apart.

    It is a linear discriminant with a diagonal covariance: each feature counts by the difference of the means over the
    training images' variance, so that what these have in common counts most.
    """

    direction: Array

    @classmethod
    def between(cls, plain: Sequence[Array], training: Sequence[Array]) -> StyleWay | None:
        """From the features of pictures at strength 0 and of training images; None where they are hardly apart."""
        if len(training) < LEAST or not plain:
            return None
        images = np.stack(training)
        apart = images.mean(axis=0) - np.stack(plain).mean(axis=0)
        spread = images.std(axis=0) + _FLOOR
        if np.sort(np.abs(apart / spread))[-_CLEAREST:].mean() < _DISTINCT:
            return None
        direction = apart / spread**2
        return cls(direction / float(direction @ apart))

    def gone(self, features: Array, before: Array) -> float:
        """How far a picture has gone since strength 0: 0 = not at all … 1 = all the way; beyond both ends too."""
        return float((features - before) @ self.direction)
