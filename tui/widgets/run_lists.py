"""The lists of the screen of trainings: runs, and the epochs of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import ClassVar

from tui import formats, run_words
from tui.run_record import Epoch
from tui.services.watch import JobView
from tui.widgets.columns import Column
from tui.widgets.rows import Cell, RowList

Mark = tuple[str, int]
"""(job id, epoch): what is marked to be compared."""

_STATES = {"running": "accent", "done": "good", "failed": "bad", "cancelled": "warn"}


class RunList(RowList[JobView]):
    """Trainings, the newest first; what waits stands among them."""

    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("", 1),
        Column("Training", 10, grow=True),
        Column("State", 9),
        Column("Begun", 6, drop=1, right=True),
    )
    marks: frozenset[Mark] = frozenset()
    places: Mapping[str, int] = MappingProxyType({})
    """How many trainings each waiting one lets go first."""

    def cells(self, item: JobView) -> Sequence[Cell]:
        job = item.job
        marked = any(run == job.id for run, _ in self.marks)
        state = run_words.state_of(item)
        if job.state == "queued" and not item.paused and (before := self.places.get(job.id)):
            state = f"{before} before"
        return (
            ("●" if marked else "", "mark"),
            (formats.one_line(job.title.removeprefix("train ")), ""),
            (state, _STATES.get(job.state, "muted")),
            (formats.age(job.created_at), "muted"),
        )


class EpochList(RowList[Epoch]):
    """The epochs of a training with their validation, and which is proposed."""

    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("", 1),
        Column("Epoch", 7),
        Column("Step", 6, right=True, drop=2),
        Column("Validation", 10, right=True),
        Column("", 6, grow=True, drop=1),
    )
    run: str = ""
    best: int | None = None
    marks: frozenset[Mark] = frozenset()

    def cells(self, item: Epoch) -> Sequence[Cell]:
        name = str(item.number) if item.number else "base"
        loss = f"{item.validation:.4f}" if item.validation is not None else "" if item.is_there else "to come"
        is_best = item.number == self.best
        return (
            ("●" if (self.run, item.number) in self.marks else "", "mark"),
            (f"{name} ★" if is_best else name, "" if item.is_there else "muted"),
            (f"{item.step:,}" if item.step is not None else "", "muted"),
            (loss, "good" if is_best else "" if item.validation is not None else "muted"),
            ("best" if is_best else "", "good"),
        )
