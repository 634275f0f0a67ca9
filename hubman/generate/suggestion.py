"""The strengths that a curve supports: from where to where a LoRA works, which to recommend, and why. No numpy, no torch."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from hubman.generate.curve import SEEDS, Curve, CurvePoint
from hubman.generate.prompt_tags import format_number

RESPONSIVE = 0.8
"""Response from which on a prompt counts as followed: a starting value of practice."""
KEPT, LOST = 0.4, 0.2
"""What is kept of the prompt below which CLIP may agree that it is lost, and below which it is lost whatever CLIP says."""
VARIED = 0.5
"""Variety of seeds below which a LoRA has taken over, where no contrast prompt tells it better."""
USUAL = 1.0
"""Strengths above it are recommended only where the style needs them: people stack LoRAs, and expect 1 to be all of one."""
NOTHING = 1e-4
"""A change below this is the noise floor of batching, not a LoRA at work."""
SHOWN = 0.7
"""Share of the most of a style, at any strength drawn, from which on it shows: where rules find it in most pictures."""
STYLED = 0.4
"""A way to the training images below it may be chance."""
_HALF = 0.5


class Suggestion(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """``strength`` is None where the curve supports none, and so is the range; ``reason`` says why in one line."""

    strength: float | None
    reason: str
    minimum: float | None = None
    """The weakest strength drawn that does half of what the recommended one does."""
    maximum: float | None = None
    """The strongest one drawn that nothing speaks against."""

    def words(self) -> str:
        """All of it in one line."""
        if self.strength is None:
            return f"no strength is suggested: {self.reason}"
        low, high = self.minimum, self.maximum
        span = f" (works from {low:g} to {high:g})" if low is not None and high is not None and low < high else ""
        return f"suggested strength {self.strength:g}{span}: {self.reason}"


def suggest_strength(curve: Curve) -> Suggestion:
    """The largest strength up to 1 that is not burnt and still follows the prompt, and the range around it.

    Above 1 it goes only where the training images are known and their style needs it.

    What is beyond the first strength that is burnt or no longer follows the prompt does not count: where burning has reached
    its ceiling it rises no more, and noise answers to nothing. CLIP never decides alone: it vouches for pictures whose pixels
    answer less to the prompt, and agrees that a prompt is lost of which pixels keep little.
    """
    candidates = [(i, point) for i, point in enumerate(curve.points) if point.strength > 0]
    if not candidates:
        return Suggestion(strength=None, reason="no strength above 0 was drawn")
    if all(point.change < NOTHING for _, point in candidates):
        return Suggestion(strength=None, reason="the pictures do not change: this LoRA does nothing with this prompt")
    sound: list[CurvePoint] = []
    limit = ""
    for number, point in candidates:
        limit = _limit(curve, number, point)
        if limit:
            break
        sound.append(point)
    said = [*([limit] if limit else []), *_remarks(curve, [point for _, point in candidates])]
    if not sound:
        return Suggestion(strength=None, reason="; ".join(said))
    shown = _where_it_shows(sound, [point for _, point in candidates])
    if not shown:
        late = f"the style of the training images shows only beyond {format_number(sound[-1].strength)}"
        return Suggestion(strength=None, reason="; ".join([late, *said]))
    usual = [point for point in shown if point.strength <= USUAL]
    if not usual and shown == sound:
        least = format_number(sound[0].strength)
        return Suggestion(strength=None, reason=f"nothing up to 1 was drawn; from {least} on it works")
    best = usual[-1] if usual else shown[0]
    if best.strength > USUAL:
        said.insert(0, "below it little of the style shows")
    return Suggestion(
        strength=best.strength,
        minimum=_weakest(sound, best).strength,
        maximum=sound[-1].strength,
        reason="; ".join(said) or "nothing speaks against it up to here",
    )


def _limit(curve: Curve, number: int, point: CurvePoint) -> str:
    """Why a strength is too much, if it is."""
    here = format_number(point.strength)
    if curve.is_burnt(number):
        return f"pictures burn from {here} on ({point.burn:.2f})"
    if _is_deaf(point):
        return f"the prompt is followed less from {here} on ({point.response:.2f})"
    if _is_lost(point):
        return f"the prompt is lost from {here} on ({point.kept:.2f})"
    if point.response is None and point.variety is not None and point.variety < VARIED:
        return f"seeds look alike from {here} on ({point.variety:.2f})"
    return ""


def _is_deaf(point: CurvePoint) -> bool:
    """Whether two prompts differ too little at this strength, and CLIP, if it was asked, does not see them otherwise."""
    vouched = point.clip_response is not None and point.clip_response >= RESPONSIVE
    return point.response is not None and point.response < RESPONSIVE and not vouched


def _is_lost(point: CurvePoint) -> bool:
    """Whether pictures are no longer what the prompt made of them: they differ from the other prompt's, but by chance."""
    agreed = point.clip_response is not None and point.clip_response < RESPONSIVE
    return point.kept is not None and point.kept < (KEPT if agreed else LOST)


def _where_it_shows(sound: Sequence[CurvePoint], points: Sequence[CurvePoint]) -> Sequence[CurvePoint]:
    """Those of ``sound`` at which the style shows; all of them where nothing is known of it."""
    fullest = max(point.style or 0.0 for point in points)
    if fullest < STYLED:
        return sound
    return [point for point in sound if (point.style or 0.0) >= SHOWN * fullest]


def _weakest(sound: Sequence[CurvePoint], best: CurvePoint) -> CurvePoint:
    """The first that comes half the way of the recommended one: towards the training images if known, else away from 0."""
    if best.style is not None and best.style > 0:
        wanted = _HALF * best.style
        return next(point for point in sound if point.style is not None and point.style >= wanted)
    return next(point for point in sound if point.change >= _HALF * best.change)


def _remarks(curve: Curve, points: Sequence[CurvePoint]) -> list[str]:
    said = []
    if all(point.response is None for point in points):
        said.append("without a contrast prompt, obedience to the prompt was not measured")
    if curve.seeds < SEEDS:
        said.append(f"{curve.seeds} seed{'s' if curve.seeds > 1 else ''} cannot tell what burns: sweep {SEEDS} or more")
    return said
