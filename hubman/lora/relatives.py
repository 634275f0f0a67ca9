"""Where a LoRA comes from, found among all fingerprints of the library.

A merge lies in the span of its parents, and fingerprints are linear in the change: the coefficients of a least-squares
fit are the recipe, whatever rank, dtype or names it was written in. Parents are picked one after the other, each time
the one nearest to what is left (orthogonal matching pursuit).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hubman.lora.arrays import Array
from hubman.lora.fingerprints import SIZE, Fingerprint, Layout, decoded
from hubman.lora.inner import laid_out
from hubman.lora.kinship import CUT, EPOCH, SAME, Kin, Size, kin_of_two
from registry.fingerprints import StoredNorms

EXACT, LIKELY, TIGHT = 0.05, 0.5, 0.01
"""Residuals, relative to the norm, below which a fit is a merge, may be one that was cut down, and is one even of
epochs, which nearly lie in each other's span anyway."""
MOST_PARENTS = 5
_SMALLEST_SHARE = 0.05
_LIKELY_COSINE = 0.2

Stored = tuple[StoredNorms, bytes, Layout]


@dataclass(frozen=True)
class Relative:
    """Another file of the library. ``is_turned``: it comes from the one that was asked about, not the other way."""

    sha256: str
    kin: Kin
    is_turned: bool


@dataclass(frozen=True)
class Recipe:
    """``parts`` are SHA-256s with their coefficients, the largest share first; ``residual`` is what they leave."""

    parts: tuple[tuple[str, float], ...]
    residual: float
    is_exact: bool


@dataclass(frozen=True)
class Origin:
    """What is known of a file's origin; ``nearest`` are the files of the library by cosine, with it."""

    relatives: tuple[Relative, ...]
    recipe: Recipe | None
    nearest: tuple[tuple[str, float], ...]
    compared: int


@dataclass(frozen=True)
class _Candidate:
    sha256: str
    cosine: float
    stored: Stored

    @property
    def size(self) -> Size:
        return size_of(self.stored[0], self.stored[2])


def size_of(norms: StoredNorms, layout: Layout) -> Size:
    return Size(norms.norm, len(layout.names), norms.ranks)


def origin(target: Fingerprint, library: Iterable[Stored], *, own: str = "", nearest: int = 5) -> Origin:
    """Compare with every fingerprint of ``library`` but that of ``own``."""
    found: list[_Candidate] = []
    compared = 0
    measure = _Comparison(target)
    for stored in library:
        if stored[0].sha256 == own:
            continue
        compared += 1
        cosine = measure.cosine(stored)
        if cosine:
            found.append(_Candidate(stored[0].sha256, cosine, stored))
            if len(found) > 512:
                found = _best(found, 256)
    found = _best(found, 256)
    relatives = _relatives(target, found)
    return Origin(
        relatives=relatives,
        recipe=_recipe(target, found, relatives),
        nearest=tuple((one.sha256, one.cosine) for one in found[:nearest]),
        compared=compared,
    )


def _best(found: list[_Candidate], count: int) -> list[_Candidate]:
    return sorted(found, key=lambda one: -abs(one.cosine))[:count]


class _Comparison:
    """The target in the order of each layout that it meets, and room for one fingerprint at a time."""

    def __init__(self, target: Fingerprint) -> None:
        self._target = target
        self._norm = target.norm
        self._flat: dict[tuple[str, ...], Array] = {}
        self._room = np.empty(0, np.float32)

    def cosine(self, stored: Stored) -> float:
        norms, content, layout = stored
        if not norms.norm or not self._norm:
            return 0.0
        numbers = np.frombuffer(content, np.float16, offset=4)
        if self._room.size < numbers.size:
            self._room = np.empty(numbers.size, np.float32)
        room = self._room[: numbers.size]
        room[:] = numbers
        scale = float(np.frombuffer(content, np.float32, 1)[0])
        return float(np.dot(room, self._in_order_of(layout))) * scale / (norms.norm * self._norm)

    def _in_order_of(self, layout: Layout) -> Array:
        if layout.names not in self._flat:
            index = {name: i for i, name in enumerate(self._target.layout.names)}
            rows = np.zeros((len(layout.names), SIZE), np.float32)
            for to, name in enumerate(layout.names):
                if name in index:
                    rows[to] = self._target.rows[index[name]]
            self._flat[layout.names] = rows.reshape(-1)
        return self._flat[layout.names]


def _relatives(target: Fingerprint, found: Sequence[_Candidate]) -> tuple[Relative, ...]:
    relatives = []
    for one in found:
        inner = one.cosine * target.norm * one.size.norm
        is_turned, kin = kin_of_two(inner, target.size, one.size)
        if kin:
            relatives.append(Relative(one.sha256, kin, is_turned))
    return tuple(relatives)


def _recipe(target: Fingerprint, found: Sequence[_Candidate], relatives: Sequence[Relative]) -> Recipe | None:
    """The merge that the target is, if it is one."""
    kinds = {one.sha256: one.kin.kind for one in relatives}
    if SAME in kinds.values() or any(one.kin.kind == CUT and not one.is_turned for one in relatives):
        return None
    chosen, coefficients, residual = _pursue(target, found)
    parts = sorted(zip(chosen, coefficients, strict=True), key=lambda part: -abs(part[1]) * part[0].size.norm)
    shares = [abs(coefficient) * one.size.norm / target.norm for one, coefficient in parts]
    if len(parts) < 2 or min(shares) < _SMALLEST_SHARE:
        return None
    has_epochs = EPOCH in kinds.values()
    named = tuple((one.sha256, float(coefficient)) for one, coefficient in parts)
    if residual < (TIGHT if has_epochs else EXACT):
        return Recipe(named, residual, is_exact=True)
    # A cut-down merge keeps most of each parent; neighbours of one training would fit as well.
    if not has_epochs and residual < LIKELY and min(abs(one.cosine) for one in chosen) >= _LIKELY_COSINE:
        return Recipe(named, residual, is_exact=False)
    return None


def _pursue(target: Fingerprint, found: Sequence[_Candidate]) -> tuple[list[_Candidate], NDArray[np.float64], float]:
    """(parents, their coefficients, what is left relative to the norm)."""
    pool = list(found[:64])
    chosen: list[_Candidate] = []
    best: tuple[list[_Candidate], NDArray[np.float64], float] = ([], np.empty(0), 1.0)
    if not pool or not target.norm:
        return best
    names = tuple(sorted({name for one in pool for name in one.stored[2].names} | set(target.layout.names)))
    wanted = laid_out(target, names).reshape(-1)
    vectors = {one.sha256: _vector(one.stored, names) for one in pool}
    left = wanted
    while pool and len(chosen) < MOST_PARENTS:
        nearest = max(pool, key=lambda one: abs(float(np.dot(vectors[one.sha256], left))) / one.size.norm)
        pool.remove(nearest)
        matrix = np.stack([vectors[one.sha256] for one in [*chosen, nearest]])
        coefficients = np.linalg.lstsq(
            (matrix @ matrix.T).astype(np.float64), (matrix @ wanted).astype(np.float64), rcond=1e-9
        )[0]
        left = wanted - coefficients.astype(np.float32) @ matrix
        residual = float(np.linalg.norm(left)) / float(np.linalg.norm(wanted))
        # What explains next to nothing more is no parent.
        if residual > best[2] * 0.98 or (best[2] - residual) < 0.005:
            break
        chosen = [*chosen, nearest]
        best = (chosen, coefficients, residual)
        if residual < TIGHT / 2:
            break
    return best


def _vector(stored: Stored, names: tuple[str, ...]) -> Array:
    _, content, layout = stored
    return laid_out(decoded(layout, content), names).reshape(-1)
