"""Epochs of one training, or of several, side by side: what they reached, and how their recipes differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tui import formats
from tui.run_record import RunRecord, smoothed, smoothing

if TYPE_CHECKING:
    from hubman.train.recipe import Recipe

Subject = tuple[RunRecord, int]
"""A training and one of its epochs."""
_LEFT_OUT = frozenset(("output", "dataset", "base"))


@dataclass(frozen=True)
class FactRow:
    """One fact of every subject; ``best`` is the column to be coloured, ``group`` a heading without values."""

    name: str
    values: tuple[str, ...] = ()
    best: int | None = None
    heading: bool = False


def name_of(subject: Subject) -> str:
    """``ink · epoch 3``."""
    record, epoch = subject
    title = formats.one_line(record.job.title.removeprefix("train "))
    return f"{title} · {f'epoch {epoch}' if epoch else 'base'}"


def fact_rows(subjects: Sequence[Subject]) -> list[FactRow]:
    """What was reached, then the values in which the recipes differ."""
    epochs = [record.epoch(number) for record, number in subjects]
    validations = [epoch.validation if epoch else None for epoch in epochs]
    known = [value for value in validations if value is not None]
    lowest = validations.index(min(known)) if len(known) > 1 else None
    rows = [
        FactRow("step", tuple(f"{epoch.step:,}" if epoch and epoch.step is not None else "?" for epoch in epochs)),
        FactRow("validation", tuple("" if value is None else f"{value:.4f}" for value in validations), lowest),
        FactRow("loss, smoothed", tuple(_loss(subject) for subject in subjects)),
        FactRow("proposed", tuple("best so far" if _is_best(subject) else "" for subject in subjects)),
    ]
    return rows + _differences([record.recipe for record, _ in subjects])


def _is_best(subject: Subject) -> bool:
    record, epoch = subject
    return record.best is not None and record.best.epoch == epoch


def _loss(subject: Subject) -> str:
    record, number = subject
    epoch, points = record.epoch(number), record.events.losses
    if epoch is None or epoch.step is None:
        return ""
    curve = smoothed(points, smoothing(len(points)))
    before = [loss for step, loss in curve if step <= epoch.step]
    return f"{before[-1]:.4f}" if before else ""


def _differences(recipes: Sequence[Recipe | None]) -> list[FactRow]:
    from hubman.train.recipe_fields import fields, text_of

    if len({id(recipe) for recipe in recipes}) < 2:
        return []
    known = [{path: text_of(recipe, path) for path in fields()} if recipe is not None else {} for recipe in recipes]
    rows = [
        FactRow(path, tuple(values.get(path, "?") for values in known))
        for path in fields()
        if path not in _LEFT_OUT and len({values.get(path) for values in known}) > 1
    ]
    return [FactRow("in the recipe" if rows else "the recipes are the same", heading=True), *rows]


def prompts_of(subjects: Sequence[Subject]) -> tuple[str, ...]:
    """The prompts of all subjects; what only one drew is shown too."""
    return tuple(dict.fromkeys(prompt for record, _ in subjects for prompt in record.prompts))


def samples_of(subjects: Sequence[Subject]) -> dict[tuple[int, int], Path]:
    """The samples by (prompt, subject)."""
    return {
        (row, column): record.sample_at[epoch, prompt]
        for column, (record, epoch) in enumerate(subjects)
        for row, prompt in enumerate(prompts_of(subjects))
        if (epoch, prompt) in record.sample_at
    }
