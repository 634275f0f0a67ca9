"""Requests of one client, drawn a batch at a turn: base by base, and cells together that may share one."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from torch import Tensor

from hubman.generate.request import DrawRequest, check
from hubman.progress import Progress, Report
from registry.errors import CancelledError

if TYPE_CHECKING:
    from hubman.generate.engine import LocalEngine

OnPreview = Callable[[int, int, Iterator[tuple[str, bytes]]], None]
"""(steps done, steps in all, key and PNG of each picture of the batch, made as they are taken)."""


class Drawn(msgspec.Struct, frozen=True, kw_only=True):
    """A finished picture on disk. ``seconds`` is its share of its batch's time."""

    key: str
    path: str
    seconds: float


class Told:
    """Tells of each step of a batch and stops between two."""

    def __init__(self, report: Report, cancelled: Callable[[], bool], preview: OnPreview | None, total: int) -> None:
        self.report, self._cancelled, self._preview, self._total = report, cancelled, preview, total
        self.done = 0
        self.cells: Sequence[DrawRequest] = ()
        self.picture: Callable[[Tensor], bytes] | None = None

    def step(self, step: int, steps: int, latents: Tensor) -> None:
        if self._cancelled():
            raise CancelledError(f"drawing was stopped after {self.done} of {self._total} pictures")
        done = self.done + len(self.cells) * step / steps
        data = {"step": step, "steps": steps, "cells": len(self.cells)}
        self.report(Progress(stage="draw", done=round(done, 3), total=self._total, unit="picture", data=data))
        if self._preview is not None and (picture := self.picture) is not None:
            each = zip(self.cells, latents, strict=False)
            self._preview(step, steps, ((cell.key(), picture(latent)) for cell, latent in each))


class Drawing:
    """What is left of some requests. Between two turns the engine may draw for others."""

    def __init__(
        self,
        engine: LocalEngine,
        requests: Sequence[DrawRequest],
        out: Path,
        *,
        batch: int,
        report: Report,
        cancelled: Callable[[], bool],
        preview: OnPreview | None,
    ) -> None:
        """Raises ``UsageError`` for a request that cannot be drawn. The bases that are loaded come first."""
        distinct = list({request.key(): request for request in requests}.values())
        for request in distinct:
            check(request)
        by_base: dict[str, list[DrawRequest]] = {}
        for request in distinct:
            by_base.setdefault(request.base, []).append(request)
        self._bases = deque(sorted(by_base.items(), key=lambda each: not engine.has(each[0])))
        self._groups: deque[deque[DrawRequest]] = deque()
        self._engine, self._out, self._batch = engine, out, batch
        self._told = Told(report, cancelled, preview, len(distinct))

    @property
    def is_finished(self) -> bool:
        return not self._groups and not self._bases

    @property
    def base(self) -> str:
        """Of the next batch."""
        if self._groups:
            return self._groups[0][0].base
        return self._bases[0][0] if self._bases else ""

    def turn(self) -> Iterator[Drawn]:
        """Draw the next batch, yielding each picture once it is on disk; what memory ran out for is left for the next."""
        if not self._groups and self._bases:
            self._groups = self._grouped(self._bases.popleft()[1])
        if self._groups:
            group = self._groups[0]
            room = self._engine.room_for(group[0])
            count = _even(len(group), min(room.most, self._batch) if self._batch else room.most)
            self._told.cells = [group[number] for number in range(count)]
            for drawn in self._engine.draw_batch(self._told.cells, room, self._out, self._told):
                group.popleft()
                self._told.done += 1
                yield drawn
            if not group:
                self._groups.popleft()
        if self.is_finished:
            total = self._told.done
            self._told.report(Progress(stage="draw", done=total, total=total, unit="picture"))

    def _grouped(self, requests: Sequence[DrawRequest]) -> deque[deque[DrawRequest]]:
        groups: dict[tuple[object, ...], deque[DrawRequest]] = {}
        for request in requests:
            groups.setdefault(self._engine.plan(request), deque()).append(request)
        return deque(groups.values())


def _even(count: int, most: int) -> int:
    """How many of ``count`` go first such that no batch is much smaller than the others."""
    return math.ceil(count / math.ceil(count / most))
