"""What the demo found: one record, printed as text, as JSON and as a page."""

from __future__ import annotations

from typing import Any

import msgspec


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that had to hold. ``facts`` are what was seen, in plain values."""

    name: str
    held: bool
    seconds: float
    summary: str
    facts: dict[str, Any] = {}


class Trained(msgspec.Struct, frozen=True, kw_only=True):
    """One LoRA of the demo with everything that was measured of it."""

    name: str
    style: str
    version_id: str
    path: str
    sha256: str
    losses: list[tuple[int, float]]
    seconds: float
    grid_path: str
    curve: list[dict[str, float | None]]
    detected: dict[str, float]
    """Strength to the mean of a rule-based detector of the style, over all seeds: 1 is as drawn by hand; without the style
    it is near 0, or below (see :mod:`hubman.tinybase.checker`)."""
    shapes: dict[str, float]
    """Strength to the share of pictures whose shape a rule-based checker recognises."""
    suggested: float | None
    chosen: float
    reason: str
    samples: list[str]
    sweep_id: str = ""


class DemoReport(msgspec.Struct, frozen=True, kw_only=True):
    """``held`` says whether every step did."""

    held: bool
    seconds: float
    peak_memory_mb: float
    home: str
    second_home: str
    html: str
    page: str
    """Address of the published model in the sandbox, while that ran."""
    steps: list[Step]
    loras: list[Trained]
    combination_grid: str
