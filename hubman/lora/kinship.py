"""Whether two LoRAs have one origin, told from how their changes lie to each other.

Trainings of their own have cosines below 0.01. The same LoRA in another format, dtype or basis of its factors keeps
its direction; a built-in strength scales it. What is cut down from another (to a smaller rank, or with blocks left
out) is its projection, so the cosine is the ratio of norms. Epochs of one training lie close to each other.
"""

from __future__ import annotations

from dataclasses import dataclass

SAME, CUT, EPOCH, RELATED = "same", "cut", "epoch", "related"
"""Kinds of :class:`Kin`: the same LoRA, cut down from it, another epoch of one training, something in common."""

SAME_FROM, EPOCH_FROM, RELATED_FROM = 0.999, 0.95, 0.1
_CUT_FROM, _CUT_APART = 0.1, 0.01


@dataclass(frozen=True)
class Size:
    """``ranks`` is the sum of the ranks of all modules."""

    norm: float
    modules: int
    ranks: int

    def is_less_than(self, other: Size) -> bool:
        return self.ranks < other.ranks or self.modules < other.modules


@dataclass(frozen=True)
class Kin:
    """How ``one`` comes from ``other``. ``ratio`` is the least-squares share of ``other`` in ``one``."""

    kind: str
    cosine: float
    ratio: float

    @property
    def words(self) -> str:
        """Ends a sentence that begins with the name of ``one``; ``{}`` stands for that of ``other``."""
        match self.kind:
            case "same":
                built_in = (
                    ""
                    if abs(abs(self.ratio) - 1) < 0.005 and self.ratio > 0
                    else f" at {self.ratio:.3g} of its strength"
                )
                return f"is {{}}{built_in}"
            case "cut":
                return f"is cut down from {{}}, with {self.cosine**2:.0%} of its change"
            case "epoch":
                return f"is of the same training as {{}}, another epoch (cosine {self.cosine:.3f})"
        return f"has something of {{}} (cosine {self.cosine:+.2f})"


def kin(inner: float, one: Size, other: Size) -> Kin | None:
    """How ``one`` comes from ``other``, from their inner product; None if they are strangers."""
    if one.norm <= 0 or other.norm <= 0:
        return None
    cosine = max(-1.0, min(1.0, inner / (one.norm * other.norm)))
    ratio = inner / other.norm**2
    if abs(cosine) >= SAME_FROM:
        return Kin(SAME, cosine, ratio)
    if cosine >= _CUT_FROM and abs(cosine - one.norm / other.norm) <= _CUT_APART and one.is_less_than(other):
        return Kin(CUT, cosine, ratio)
    if cosine >= EPOCH_FROM:
        return Kin(EPOCH, cosine, ratio)
    return Kin(RELATED, cosine, ratio) if abs(cosine) >= RELATED_FROM else None


def kin_of_two(inner: float, one: Size, other: Size) -> tuple[bool, Kin | None]:
    """As :func:`kin`, whichever of the two comes from the other: (whether it is the second from the first, how)."""
    found = kin(inner, one, other)
    if found is None or found.kind in {RELATED, EPOCH}:
        turned = kin(inner, other, one)
        if turned is not None and turned.kind == CUT:
            return True, turned
    return False, found
