"""A measure beside its reference, and whether its bar holds."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

TIMES, SHARE, OVER, AT_MOST = "times", "share", "over", "at most"
"""How a budget is meant: at most so many times the reference, at least that share of it, at most so much over it, or at
most so much whatever the reference; there the reference only tells how fast the machine is."""


@dataclass(frozen=True)
class Measure:
    """``figure`` and ``reference`` are in ``unit``; a ``budget`` of None belongs to another size of library."""

    name: str
    figure: float
    reference: float
    unit: str
    kind: str
    budget: float | None
    note: str = ""

    @property
    def holds(self) -> bool:
        if self.budget is None:
            return True
        if self.kind == SHARE:
            return self.figure >= self.budget * self.reference
        limit = {TIMES: self.budget * self.reference, OVER: self.reference + self.budget, AT_MOST: self.budget}
        return self.figure <= limit[self.kind]

    @property
    def said_budget(self) -> str:
        if self.budget is None:
            return "(no bar)"
        return {
            TIMES: f"<= {self.budget:g} x", SHARE: f">= {self.budget:.0%}", OVER: f"<= +{self.budget:g} {self.unit}",
            AT_MOST: f"<= {self.budget:g} {self.unit}",
        }[self.kind]  # fmt: skip

    def line(self) -> str:
        verdict = "-" if self.budget is None else "holds" if self.holds else "FAILS"
        ratio = self.figure / self.reference if self.reference else 0.0
        return (
            f"{self.name:<34} {self.figure:>9,.2f} {self.reference:>9,.2f} {self.unit:<4} {ratio:>6.2f}  "
            f"{self.said_budget:<12} {verdict:<6} {self.note}"
        ).rstrip()


HEADER = f"{'bar':<34} {'measured':>9} {'reference':>9} {'':<4} {'ratio':>6}  {'budget':<12} verdict"


def report(measures: Sequence[Measure]) -> NoReturn:
    """Print the bars and end the process: with 0 where all hold."""
    print(HEADER)
    for measure in measures:
        print(measure.line())
    sys.exit(not all(measure.holds for measure in measures))
