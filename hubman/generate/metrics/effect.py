"""What embeddings of pictures say: how far a LoRA moves them, and whether always the same way."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hubman.generate.metrics.pixels import Array

_STILL = 1e-6


def effect(now: Array, before: Array) -> tuple[float, float | None]:
    """(strength, consistency) of unit vectors ``[pictures, width]`` against the same pictures at strength 0.

    Strength is the mean length of the effect vectors, 0..2. Consistency is their mean pairwise cosine: 1 = the same change
    in every picture, 0 = any; None for fewer than two that moved.
    """
    vectors = now - before
    lengths = np.linalg.norm(vectors, axis=1)
    moved = lengths > _STILL
    if moved.sum() < 2:
        return float(lengths.mean()), None
    unit = vectors[moved] / lengths[moved, None]
    count = len(unit)
    return float(lengths.mean()), float((np.square(unit.sum(axis=0)).sum() - count) / (count * (count - 1)))


def obedience(pictures: Array, others: Array, prompt: Array, contrast: Array) -> list[float]:
    """By how much each pair of pictures (of the prompt, of the contrast prompt) suits its own prompt better, -2..2."""
    way = prompt - contrast
    return list(((pictures - others) @ way).tolist())


def likeness(pictures: Array, training: Array) -> list[float]:
    """The mean cosine of each picture ``[width]`` with the training images, all unit vectors."""
    found: list[float] = (pictures @ training.mean(axis=0)).tolist()
    return found


def mean_cosine(pictures: Array, prompts: Sequence[Array]) -> list[float]:
    """The cosine of each picture with its own prompt."""
    return [float(picture @ prompt) for picture, prompt in zip(pictures, prompts, strict=True)]
