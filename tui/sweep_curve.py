"""The curve of a strength sweep as it is drawn: how far the style goes, how well the prompt is followed, what is suggested."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tui import formats
from tui.widgets.plot import Series

_STYLE = ("style", "change", "distance")
"""What a point calls how far it is from strength 0, the best known first."""
_ADHERENCE = (("response", "prompt followed"), ("clip_response", "prompt followed"), ("clip", "CLIP adherence"))


@dataclass(frozen=True)
class SweepCurve:
    """Points by rising strength as a job's result has them; ``suggested`` may be nothing."""

    points: Sequence[Mapping[str, Any]] = ()
    suggested: float | None = None
    low: float | None = None
    high: float | None = None
    """The suggested range, where there is one."""


def read(result: Mapping[str, Any]) -> SweepCurve:
    points = [point for point in result.get("curve") or [] if point.get("strength") is not None]
    span = result.get("range") or (result.get("suggested_min"), result.get("suggested_max"))
    low, high = (span[0], span[1]) if len(span) == 2 else (None, None)
    return SweepCurve(points, result.get("suggested"), low, high)


def series(curve: SweepCurve) -> list[Series]:
    """Style, adherence and burn over the strength, and a mark at what is suggested."""
    found = [_style(curve), *_adherence(curve)]
    burn = _values(curve, "burn")
    if any(value > 0 for _, value in burn):
        found.append(Series("burn", burn, "third"))
    marks = sorted({one for one in (curve.low, curve.suggested, curve.high) if one is not None})
    if marks and found[0].points:
        bottom = min(value for _, value in found[0].points)
        # The lowest line of the plot, where no curve hides them.
        found.append(
            Series(f"suggested {_span(marks)}", [(one, bottom) for one in marks], "third", mark="▲", over=True)
        )
    return [one for one in found if one.points]


def _span(marks: Sequence[float]) -> str:
    ends = dict.fromkeys((marks[0], marks[-1]))
    return " to ".join(map(formats.strength, ends))


def _style(curve: SweepCurve) -> Series:
    name = next((name for name in _STYLE if any(point.get(name) is not None for point in curve.points)), _STYLE[-1])
    return Series("style" if name == "style" else "style distance", _values(curve, name), "first")


def _adherence(curve: SweepCurve) -> list[Series]:
    for name, shown in _ADHERENCE:
        values = _values(curve, name)
        if values:
            low, high = min(y for _, y in values), max(y for _, y in values)
            return [Series(f"{shown} (own scale)", values, "second", scale=(low, high if high > low else low + 1))]
    return []


def _values(curve: SweepCurve, name: str) -> list[tuple[float, float]]:
    return [(float(point["strength"]), float(point[name])) for point in curve.points if point.get(name) is not None]


def words(result: Mapping[str, Any]) -> str:
    """The suggestion and its reason in a line; nothing where there is neither."""
    curve, reason = read(result), str(result.get("reason") or "")
    if curve.suggested is None:
        return formats.one_line(f"no strength is suggested: {reason}" if curve.points and reason else reason)
    span = ""
    if curve.low is not None and curve.high is not None and curve.high > curve.low:
        span = f" ({formats.strength(curve.low)} to {formats.strength(curve.high)})"
    reason = reason or "R on its column makes it the recommended one"
    return formats.one_line(f"suggested strength {formats.strength(curve.suggested)}{span}: {reason}")
