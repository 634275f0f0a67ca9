"""Measure a drawn strength sweep: each number against the same seed at strength 0, medians over the seeds."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from pathlib import Path

from hubman.generate.curve import Curve, CurvePoint
from hubman.generate.grids.cells import cell_path
from hubman.generate.metrics import Array, burn, distance, load_pixels
from hubman.generate.request import DrawRequest
from hubman.generate.sweep import StrengthSweep
from hubman.progress import Progress, Report, silent
from registry.errors import NotFoundError

ClipScore = Callable[[Sequence[Path], str], list[float]]
"""Cosine of each picture with a prompt (``clip.ClipScorer.score``)."""

_FLAT = 1e-6


def measure(sweep: StrengthSweep, folder: Path, *, clip: ClipScore | None = None, report: Report = silent) -> Curve:
    """The curve of a sweep whose pictures lie in ``folder``. ``NotFoundError`` names one that is not drawn yet."""
    zero = [_pixels(folder, sweep.at(0.0, seed)) for seed in sweep.seeds]
    contrast_zero = [_pixels(folder, sweep.at(0.0, seed, sweep.contrast)) for seed in sweep.seeds if sweep.contrast]
    points = []
    for number, strength in enumerate(sweep.strengths):
        pictures = [_pixels(folder, sweep.at(strength, seed)) for seed in sweep.seeds]
        contrast = [_pixels(folder, sweep.at(strength, seed, sweep.contrast)) for seed in sweep.seeds if sweep.contrast]
        changes = [distance(picture, before) for picture, before in zip(pictures, zero, strict=True)]
        burns = [burn(picture, before) for picture, before in zip(pictures, zero, strict=True)]
        paths = [cell_path(folder, sweep.at(strength, seed)) for seed in sweep.seeds]
        points.append(
            CurvePoint(
                strength=strength,
                change=statistics.median(changes),
                change_spread=_spread(changes),
                burn=statistics.median(burns),
                burn_spread=_spread(burns),
                response=_response(pictures, contrast, zero, contrast_zero) if sweep.contrast else None,
                clip=statistics.median(clip(paths, sweep.request.prompt)) if clip else None,
            )
        )
        report(Progress(stage="measure", done=number + 1, total=len(sweep.strengths), unit="strength"))
    return Curve(lora=sweep.lora, points=tuple(points), burn_floor=_burn_floor(zero), seeds=len(sweep.seeds))


def _pixels(folder: Path, request: DrawRequest) -> Array:
    path = cell_path(folder, request)
    if not path.is_file():
        raise NotFoundError(f"picture {path.name[:12]}… of the sweep is not drawn", "draw the sweep to its end first")
    return load_pixels(path)


def _response(
    pictures: Sequence[Array], contrast: Sequence[Array], zero: Sequence[Array], contrast_zero: Sequence[Array]
) -> float | None:
    """Median over seeds of D(prompt, contrast prompt) at this strength by the same at strength 0."""
    ratios = []
    for now, other, before, other_before in zip(pictures, contrast, zero, contrast_zero, strict=True):
        difference = distance(before, other_before)
        if difference > _FLAT:
            ratios.append(distance(now, other) / difference)
    return statistics.median(ratios) if ratios else None


def _burn_floor(zero: Sequence[Array]) -> float:
    """How much one seed looks burnt against another without the LoRA, in the median: no curve means more than this."""
    burns = [burn(a, b) for a in zero for b in zero if a is not b]
    return statistics.median(burns) if burns else 0.0


def _spread(values: Sequence[float]) -> float:
    if len(values) < 2:
        return 0.0
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return high - low
