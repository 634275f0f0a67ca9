"""The curve of a strength sweep, and the strength that it suggests. Plain records: no numpy, no torch."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import msgspec

from hubman.generate.files import replace_file
from hubman.generate.prompt_tags import format_number

BURNT = 0.3
RESPONSIVE = 0.8
"""Starting values of generation-design section 8."""
NOTHING = 1e-4
"""A change below this is the noise floor of batching, not a LoRA at work."""


class CurvePoint(msgspec.Struct, frozen=True, kw_only=True):
    """Medians over the seeds at one strength; spreads are the distance between the quartiles."""

    strength: float
    change: float
    """Distance to the pictures at strength 0, 0..1: mean of 1-SSIM and colour distance."""
    change_spread: float
    burn: float
    burn_spread: float
    response: float | None = None
    """How much two prompts still differ, against strength 0: 1 = as before, 0 = the LoRA has taken over."""
    clip: float | None = None
    """Cosine of picture and prompt in CLIP."""


class Curve(msgspec.Struct, frozen=True, kw_only=True):
    """Points by rising strength, 0 among them. ``burn_floor`` is how far the seeds at strength 0 differ in burn."""

    lora: str
    points: tuple[CurvePoint, ...]
    burn_floor: float
    seeds: int

    def is_burnt(self, number: int) -> bool:
        """Whether the seeds together say so: over 0.3, over what seeds differ by anyway, and rising over two steps."""
        burns = [point.burn for point in self.points if point.strength >= 0]
        place = number - (len(self.points) - len(burns))
        if place < 2:
            return False
        rising = burns[place] > burns[place - 1] > burns[place - 2]
        return rising and burns[place] > max(BURNT, self.burn_floor)


class Suggestion(msgspec.Struct, frozen=True, kw_only=True):
    """``strength`` is None where the curve supports none; ``reason`` says why in one line."""

    strength: float | None
    reason: str


def suggest_strength(curve: Curve) -> Suggestion:
    """The largest measured strength in 0..1 that is not burnt and still follows the prompt (response 0.8 or more).

    Nothing beyond the first burnt strength counts: where burning has reached its ceiling it rises no more. Without a
    contrast prompt there is no response, and only burning limits it. CLIP values never decide.
    """
    candidates = [(i, point) for i, point in enumerate(curve.points) if 0 < point.strength <= 1]
    if not candidates:
        return Suggestion(strength=None, reason="no strength between 0 and 1 was drawn")
    if all(point.change < NOTHING for _, point in candidates):
        return Suggestion(strength=None, reason="the pictures do not change: this LoRA does nothing with this prompt")
    first_burnt = next((i for i, _ in candidates if curve.is_burnt(i)), None)
    sound = [
        point
        for i, point in candidates
        if (first_burnt is None or i < first_burnt) and (point.response is None or point.response >= RESPONSIVE)
    ]
    limits = _limits(curve, candidates, first_burnt)
    if not sound:
        return Suggestion(strength=None, reason=f"no strength is sound: {limits}")
    best = max(sound, key=lambda point: point.strength)
    return Suggestion(strength=best.strength, reason=limits or "nothing speaks against it up to here")


def _limits(curve: Curve, candidates: list[tuple[int, CurvePoint]], first_burnt: int | None) -> str:
    said = []
    if first_burnt is not None:
        point = curve.points[first_burnt]
        said.append(f"pictures burn from {format_number(point.strength)} on ({point.burn:.2f})")
    deaf = next((p for _, p in candidates if p.response is not None and p.response < RESPONSIVE), None)
    if deaf is not None:
        said.append(f"the prompt is followed less from {format_number(deaf.strength)} on ({deaf.response:.2f})")
    if all(point.response is None for _, point in candidates):
        said.append("without a contrast prompt, obedience to the prompt was not measured")
    return "; ".join(said)


def write_csv(curve: Curve, path: Path) -> None:
    """One line a strength, a column for each number; empty where nothing was measured."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow([*CurvePoint.__struct_fields__, "burnt"])
    for number, point in enumerate(curve.points):
        values = msgspec.structs.astuple(point)
        row = ["" if value is None else f"{value:.6g}" for value in values]
        writer.writerow([*row, "yes" if curve.is_burnt(number) else "no"])
    replace_file(path, lambda file: file.write(text.getvalue().encode()))
