"""Which epoch of a training to take, and why: a proposal for a person who then looks at the samples."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

ALIKE = 0.005
"""Losses at fixed noise that differ by less than this share tell nothing apart."""


class Proposal(msgspec.Struct, frozen=True):
    """An epoch and the reason for it."""

    epoch: int
    reason: str


def best_epoch(validations: Sequence[tuple[int, float]], *, held_out: bool = True) -> Proposal | None:
    """The epoch to propose from (epoch, validation loss) pairs in their order; None where none is known yet.

    It is the earliest one whose loss is not clearly above the lowest: what comes later learned more by heart for nothing.
    Epoch 0 is the base alone and only serves to compare with. Of images that are trained themselves (not ``held_out``)
    the loss falls also while they are learned by heart, and the reason says so.
    """
    trained = [(epoch, loss) for epoch, loss in validations if epoch > 0]
    if not trained:
        return None
    lowest = min(loss for _, loss in trained)
    epoch, loss = next((epoch, loss) for epoch, loss in trained if loss <= lowest * (1 + ALIKE))
    reason = _reason(epoch, loss, trained, dict(validations).get(0))
    return Proposal(epoch, reason if held_out else f"{reason}; these images are trained, so look at the samples too")


def _reason(epoch: int, loss: float, trained: list[tuple[int, float]], base: float | None) -> str:
    later = [each for number, each in trained if number > epoch]
    if base is not None and loss >= base:
        return "no epoch predicts the held images better than the base alone: train longer or at a higher rate"
    if not later:
        return f"validation is lowest here ({loss:.4g}) and was still falling: more steps may help"
    rise = (max(later) - loss) / loss if loss else 0.0
    if rise > ALIKE:
        return f"validation is lowest here ({loss:.4g}) and rises by {rise:.1%} later: it begins to learn by heart"
    return f"validation is as low as it gets ({loss:.4g}): later epochs gain nothing"
