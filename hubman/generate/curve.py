"""The curve of a strength sweep: what the pictures say at each strength. Plain records: no numpy, no torch."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import msgspec

from hubman.generate.files import replace_file

BURNT = 0.3
"""Burn that counts as burnt, if the seeds together say so: a starting value of practice."""
SEEDS = 4
"""Seeds from which on medians mean something; with fewer no strength is called burnt."""


class CurvePoint(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Medians over the seeds at one strength; spreads are the distance between the quartiles.

    Pictures of both prompts count together where each is compared with its own at strength 0. None = not measured.
    """

    strength: float
    change: float
    """Distance to the pictures at strength 0, 0..1: mean of ``structure`` and ``colour``."""
    change_spread: float
    burn: float
    burn_spread: float
    structure: float | None = None
    """1-SSIM to strength 0."""
    colour: float | None = None
    """Jensen-Shannon divergence of the Lab histograms, bits."""
    layout: float | None = None
    """Share of differing bits of the pHash."""
    texture: float | None = None
    """Distance of the oriented gradients at three scales, 0..1."""
    response: float | None = None
    """How much two prompts still differ, against strength 0: 1 = as before, 0 = the LoRA has taken over."""
    response_spread: float = 0.0
    kept: float | None = None
    """How much nearer pictures are to their own at strength 0 than to the other prompt's: 1 = as before, 0 = no nearer."""
    kept_spread: float = 0.0
    variety: float | None = None
    """How much the seeds still differ from each other, against strength 0."""
    style: float | None = None
    """How far the pictures have gone from strength 0 (0) to the training images (1), by texture and colour."""
    style_spread: float = 0.0
    clip: float | None = None
    """Cosine of picture and prompt in CLIP."""
    clip_spread: float = 0.0
    effect: float | None = None
    """Mean length of CLIP's effect vectors e(s) - e(0), 0..2."""
    consistency: float | None = None
    """Mean pairwise cosine of the effect vectors over seeds and prompts: 1 = the same change everywhere."""
    clip_response: float | None = None
    """As ``response``: how much better the pictures suit their own of the two prompts, against strength 0, in CLIP."""
    clip_style: float | None = None
    """Mean cosine to the training images in CLIP."""


class Curve(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Points by rising strength, 0 among them. ``burn_floor`` is how far the seeds at strength 0 differ in burn."""

    lora: str
    points: tuple[CurvePoint, ...]
    burn_floor: float
    seeds: int
    training_images: int = 0
    """How many of them the style was compared with."""

    def is_burnt(self, number: int) -> bool:
        """Whether the seeds together say so: over 0.3, over what seeds differ by anyway, and rising over two steps.

        Steps go from strength 0 outwards, on either side. One picture never says it.
        """
        if self.seeds < SEEDS:
            return False
        here = self.points[number].strength
        outwards = sorted(
            (point for point in self.points if point.strength * here >= 0 and abs(point.strength) <= abs(here)),
            key=lambda point: abs(point.strength),
        )
        burns = [point.burn for point in outwards[-3:]]
        if len(burns) < 3:
            return False
        return burns[0] < burns[1] < burns[2] and burns[2] > max(BURNT, self.burn_floor)


def as_rows(curve: Curve) -> list[dict[str, float | None]]:
    """Each point as a mapping, by the names that jobs and reports use: the medians, None where nothing was measured."""
    return [{_NAMES.get(name, name): getattr(point, name) for name in _MEDIANS} for point in curve.points]


_NAMES = {"change": "distance"}
_MEDIANS = tuple(name for name in CurvePoint.__struct_fields__ if not name.endswith("_spread"))


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
