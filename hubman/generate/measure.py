"""Measure a drawn strength sweep: each number against the same seed at strength 0, medians over the seeds."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from hubman.generate.curve import Curve, CurvePoint
from hubman.generate.grids.cells import cell_path
from hubman.generate.measure_clip import ClipLook, Embedder
from hubman.generate.metrics.burn import burn_features, burn_ratio
from hubman.generate.metrics.distance import content_distance, distances
from hubman.generate.metrics.pixels import Array, load_pixels
from hubman.generate.metrics.spread import spread
from hubman.generate.metrics.style import StyleWay, style_features
from hubman.generate.sweep import StrengthSweep
from hubman.progress import Progress, Report, silent
from registry.errors import DamagedFileError, NotFoundError

_FLAT = 1e-6


@dataclass(frozen=True)
class _Look:
    """The pictures at one strength, by prompt (the sweep's own, and the contrast if there is one) and seed."""

    paths: tuple[tuple[Path, ...], ...]
    pictures: tuple[tuple[Array, ...], ...]

    @property
    def every(self) -> list[Array]:
        return list(chain.from_iterable(self.pictures))


def measure(
    sweep: StrengthSweep,
    folder: Path,
    *,
    clip: Embedder | None = None,
    training: Sequence[Path] = (),
    report: Report = silent,
) -> Curve:
    """The curve of a sweep whose pictures lie in ``folder``. ``NotFoundError`` names one that is not drawn yet.

    ``training`` are images that the LoRA was trained on: with them the curve tells how near the pictures come to these.
    """
    zero = _look(sweep, folder, 0.0)
    images = _training(training, zero)
    judges = _Judges(zero, list(images.values()))
    before = ClipLook.of(clip, zero.paths) if clip else None
    likes = clip.images(list(images)) if clip and images else None
    texts = [clip.text(prompt) for prompt in _prompts(sweep)] if clip else []
    points = []
    for number, strength in enumerate(sweep.strengths):
        now = zero if strength == 0 else _look(sweep, folder, strength)
        point = judges.point(strength, now)
        if clip is not None and before is not None:
            seen = before if now is zero else ClipLook.of(clip, now.paths)
            point = seen.added_to(point, before, texts, likes)
        points.append(point)
        report(Progress(stage="measure", done=number + 1, total=len(sweep.strengths), unit="strength"))
    return Curve(
        lora=sweep.lora,
        points=tuple(points),
        burn_floor=_burn_floor(zero),
        seeds=len(set(sweep.seeds)),
        training_images=len(images),
    )


def _prompts(sweep: StrengthSweep) -> list[str]:
    return [sweep.request.prompt, sweep.contrast] if sweep.contrast else [sweep.request.prompt]


def _look(sweep: StrengthSweep, folder: Path, strength: float) -> _Look:
    paths = []
    for prompt in _prompts(sweep):
        row = tuple(cell_path(folder, sweep.at(strength, seed, prompt)) for seed in sweep.seeds)
        for path in row:
            if not path.is_file():
                raise NotFoundError(
                    f"picture {path.name[:12]}… of the sweep is not drawn", "draw the sweep to its end first"
                )
        paths.append(row)
    return _Look(tuple(paths), tuple(tuple(load_pixels(path) for path in row) for row in paths))


def _training(paths: Sequence[Path], zero: _Look) -> dict[Path, Array]:
    """The images that can be read, in the size of the pictures: a texture's scale is told in pixels."""
    side, found = max(zero.every[0].shape), {}
    for path in paths:
        try:
            found[path] = style_features(load_pixels(path, side))
        except DamagedFileError:
            continue
    return found


class _Judges:
    """What is known of the pictures at strength 0, to compare those of every strength with."""

    def __init__(self, zero: _Look, training: Sequence[Array]) -> None:
        self._zero = zero
        self._burns = [burn_features(picture) for picture in zero.every]
        self._variety = _variety(zero)
        self._styles = [style_features(picture) for picture in zero.every]
        self._way = StyleWay.between(self._styles, training)

    def point(self, strength: float, now: _Look) -> CurvePoint:
        apart = [distances(picture, before) for picture, before in zip(now.every, self._zero.every, strict=True)]
        burns = [
            burn_ratio(burn_features(picture), before) for picture, before in zip(now.every, self._burns, strict=True)
        ]
        changes = [each.overall for each in apart]
        responses, kept = _responses(now, self._zero), _kept(now, self._zero)
        variety = _variety(now)
        ways = self._ways(now)
        return CurvePoint(
            strength=strength,
            change=statistics.median(changes),
            change_spread=spread(changes),
            burn=statistics.median(burns),
            burn_spread=spread(burns),
            structure=statistics.median(each.structure for each in apart),
            colour=statistics.median(each.colour for each in apart),
            layout=statistics.median(each.layout for each in apart),
            texture=statistics.median(each.texture for each in apart),
            response=statistics.median(responses) if responses else None,
            response_spread=spread(responses),
            kept=statistics.median(kept) if kept else None,
            kept_spread=spread(kept),
            variety=variety / self._variety if variety is not None and self._variety else None,
            style=statistics.median(ways) if ways else None,
            style_spread=spread(ways),
        )

    def _ways(self, now: _Look) -> list[float]:
        if self._way is None:
            return []
        pairs = zip(now.every, self._styles, strict=True)
        return [self._way.gone(style_features(picture), before) for picture, before in pairs]


def _responses(now: _Look, zero: _Look) -> list[float]:
    """How differently prompt and contrast prompt are drawn, by the same at strength 0, for each seed."""
    if len(now.pictures) < 2:
        return []
    found = []
    for one, other, before, other_before in zip(*now.pictures, *zero.pictures, strict=True):
        difference = content_distance(before, other_before)
        if difference > _FLAT:
            found.append(content_distance(one, other) / difference)
    return found


def _kept(now: _Look, zero: _Look) -> list[float]:
    """How much nearer each picture is to its own at strength 0 than to the other prompt's of its seed, by their distance."""
    if len(now.pictures) < 2:
        return []
    found = []
    for pictures, own, others in zip(now.pictures, zero.pictures, reversed(zero.pictures), strict=True):
        for picture, before, other in zip(pictures, own, others, strict=True):
            apart = content_distance(before, other)
            if apart > _FLAT:
                found.append((content_distance(picture, other) - content_distance(picture, before)) / apart)
    return found


def _variety(look: _Look) -> float | None:
    """How different seeds are, each against the next of the same prompt: the median."""
    found = [
        content_distance(one, other)
        for row in look.pictures
        if len(row) > 1
        for one, other in zip(row, (*row[1:], row[0]), strict=True)
    ]
    return statistics.median(found) if found else None


def _burn_floor(zero: _Look) -> float:
    """How much one seed looks burnt against another without the LoRA, in the median: no curve means more than this."""
    rows = [[burn_features(picture) for picture in row] for row in zero.pictures]
    burns = [burn_ratio(one, other) for row in rows for one in row for other in row if one is not other]
    return statistics.median(burns) if burns else 0.0
