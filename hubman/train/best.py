"""Which epoch of a run to prefer, and why."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

CLOSE = 0.002
"""Losses this near to the lowest, as a share of it, are as good: the earlier epoch has learned less by heart."""


class Best(msgspec.Struct, frozen=True):
    """An epoch (from 1) that is proposed, with the reason in one line."""

    epoch: int
    reason: str


def best_epoch(validation: Sequence[float], epochs: int, held_out: bool) -> Best | None:
    """The best epoch so far by ``validation``, whose first value is that of the base; None before the first epoch.

    The lowest loss counts, of equals the earlier one. On trained images the loss falls as they are learned by heart, and
    the reason says so.
    """
    losses = list(validation[1:])
    if not losses:
        return None
    lowest = min(losses)
    epoch = next(i for i, loss in enumerate(losses, 1) if loss <= lowest * (1 + CLOSE))
    loss, start = losses[epoch - 1], validation[0]
    images = "held-out images" if held_out else "trained images"
    change = f"{(1 - loss / start):.1%} below the base" if start > 0 and loss < start else "not below the base"
    reason = f"epoch {epoch} of {epochs}: the lowest loss on {images}, {loss:.4f}, {change}"
    last = losses[-1]
    if len(losses) > epoch and last > loss * (1 + CLOSE):
        reason += f"; it rose to {last:.4f} since: more training only learns by heart"
    elif not held_out:
        reason += "; look at the samples too, since trained images get better even when new ones do not"
    return Best(epoch, reason)
