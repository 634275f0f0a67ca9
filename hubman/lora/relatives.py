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

from hubman.lora.fingerprints import Fingerprint, Layout, decoded
from hubman.lora.halves import Array, widen_split
from hubman.lora.inner import laid_out
from hubman.lora.kinship import CUT, EPOCH, SAME, Kin, Size, kin_of_two
from registry.fingerprints import StoredNorms

EXACT, LIKELY, TIGHT = 0.05, 0.5, 0.01
"""Residuals, relative to the norm, below which a fit is a merge, may be one that was cut down, and is one even of
epochs, which nearly lie in each other's span anyway."""
MOST_PARENTS = 5
_SMALLEST_SHARE = 0.05
_NEAR = 0.02
"""Cosine from which on another LoRA may have a part in this one."""
_KEPT = 128
_MOST_LAYOUTS = 64
_PAIRS = 1 << 15
"""Of numbers, which stay in the processor's cache."""
_LIKELY_COSINE = 0.2

Stored = tuple[StoredNorms, bytes | memoryview, Layout]
"""A fingerprint of the library; its bytes may be overwritten by the next one's."""


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
    """``content`` is kept of those that are near enough to be related."""

    norms: StoredNorms
    layout: Layout
    cosine: float
    content: bytes | None

    @property
    def sha256(self) -> str:
        return self.norms.sha256

    @property
    def size(self) -> Size:
        return Size(self.norms.norm, len(self.layout.names), self.norms.ranks)

    def rows(self, names: tuple[str, ...]) -> Array:
        """Its numbers in one line, in the order of ``names``."""
        return laid_out(decoded(self.layout, self.content or b""), names).reshape(-1)


def origin(target: Fingerprint, library: Iterable[Stored], *, own: str = "", nearest: int = 5) -> Origin:
    """Compare with every fingerprint of ``library`` but that of ``own``."""
    found: list[_Candidate] = []
    compared = 0
    measure = _Comparison(target)
    for norms, content, layout in library:
        if norms.sha256 == own:
            continue
        compared += 1
        cosine = measure.cosine(norms, content, layout)
        found.append(_Candidate(norms, layout, cosine, bytes(content) if abs(cosine) >= _NEAR else None))
        if len(found) > 2 * _KEPT:
            found = _best(found)
    found = _best(found)
    relatives = _relatives(target, found)
    return Origin(
        relatives=relatives,
        recipe=_recipe(target, found, relatives),
        nearest=tuple((one.sha256, one.cosine) for one in found[:nearest]),
        compared=compared,
    )


def _best(found: list[_Candidate]) -> list[_Candidate]:
    return sorted(found, key=lambda one: -abs(one.cosine))[:_KEPT]


class _Comparison:
    """The target in the order of each layout that it meets, in pieces whose numbers stand as ``widen_split`` puts them."""

    def __init__(self, target: Fingerprint) -> None:
        self._target = target
        self._norm = target.norm
        self._names = set(target.layout.names)
        self._pieces: dict[tuple[str, ...], list[Array]] = {}
        self._room = np.empty((2, _PAIRS), np.float32)

    def cosine(self, norms: StoredNorms, content: bytes | memoryview, layout: Layout) -> float:
        if not norms.norm or not self._norm or self._names.isdisjoint(layout.names):
            return 0.0
        pairs = np.frombuffer(content, np.int32, offset=4)
        inner = 0.0
        for number, piece in enumerate(self._in_order_of(layout)):
            start, room = number * _PAIRS, self._room[:, : piece.shape[1]]
            widen_split(pairs[start : start + piece.shape[1]], room)
            inner += float(np.dot(room[0], piece[0]) + np.dot(room[1], piece[1]))
        scale = float(np.frombuffer(content, np.float32, 1)[0])
        return inner * scale / (norms.norm * self._norm)

    def _in_order_of(self, layout: Layout) -> list[Array]:
        if layout.names not in self._pieces:
            if len(self._pieces) >= _MOST_LAYOUTS:
                self._pieces.pop(next(iter(self._pieces)))
            split = np.ascontiguousarray(laid_out(self._target, layout.names).reshape(-1, 2).T)
            starts = range(0, split.shape[1], _PAIRS)
            self._pieces[layout.names] = [split[:, start : start + _PAIRS] for start in starts]
        return self._pieces[layout.names]


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
    pool = [one for one in found if one.content is not None][:64]
    chosen: list[_Candidate] = []
    best: tuple[list[_Candidate], NDArray[np.float64], float] = ([], np.empty(0), 1.0)
    if not pool or not target.norm:
        return best
    names = tuple(sorted({name for one in pool for name in one.layout.names} | set(target.layout.names)))
    wanted = laid_out(target, names).reshape(-1)
    vectors = {one.sha256: one.rows(names) for one in pool}
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
