"""What CLIP adds to the curve: the effect and its consistency, obedience to the prompt, likeness to the training images."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import msgspec
import numpy as np

from hubman.generate.curve import CurvePoint
from hubman.generate.metrics.effect import effect, likeness, mean_cosine, obedience
from hubman.generate.metrics.pixels import Array
from hubman.generate.metrics.spread import spread

_TOLD_APART = 0.02
"""Obedience at strength 0 below which CLIP cannot tell the two prompts apart, so that nothing follows from it."""


class Embedder(Protocol):
    """What makes unit vectors of pictures and prompts: :class:`hubman.generate.clip.ClipEmbedder`."""

    def images(self, pictures: Sequence[Path]) -> Array: ...

    def text(self, prompt: str) -> Array: ...


@dataclass(frozen=True)
class ClipLook:
    """Unit vectors ``[seeds, width]`` of the pictures at one strength, for each prompt."""

    rows: tuple[Array, ...]

    @classmethod
    def of(cls, clip: Embedder, paths: Sequence[Sequence[Path]]) -> ClipLook:
        """Embed the pictures of each prompt."""
        return cls(tuple(clip.images(row) for row in paths))

    def added_to(self, point: CurvePoint, zero: ClipLook, texts: Sequence[Array], training: Array | None) -> CurvePoint:
        """``point`` with CLIP's numbers, against the look at strength 0; ``training`` are vectors of training images."""
        every = np.concatenate(self.rows)
        suits = mean_cosine(every, [text for row, text in zip(self.rows, texts, strict=True) for _ in row])
        length, consistency = effect(every, np.concatenate(zero.rows))
        return msgspec.structs.replace(
            point,
            clip=statistics.median(suits),
            clip_spread=spread(suits),
            effect=length,
            consistency=consistency,
            clip_response=self._response(zero, texts),
            clip_style=statistics.median(likeness(every, training)) if training is not None else None,
        )

    def _response(self, zero: ClipLook, texts: Sequence[Array]) -> float | None:
        if len(self.rows) < 2:
            return None
        now, before = (statistics.median(obedience(*look.rows, *texts)) for look in (self, zero))
        return now / before if before > _TOLD_APART else None
