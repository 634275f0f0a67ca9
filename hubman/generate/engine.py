"""Draw requests in batches with a loaded base: which go together, which LoRAs are in the bank, pictures to disk."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path

import msgspec
import torch

from hubman import __version__
from hubman.generate.hanging import Hanging, plan_of_loras
from hubman.generate.infotext import infotext_of
from hubman.generate.pictures import Chunk, EngineNote, public, save_png
from hubman.generate.pipeline import Base, load_base
from hubman.generate.request import DrawRequest, LoraUse, check
from hubman.generate.sampling import plan_of, sample
from hubman.lora.load import LoraWeights, load_lora
from hubman.progress import Progress, Report, silent
from registry.errors import CancelledError

KEPT_LORAS = 12
"""Loaded LoRA files kept in memory; a rank-32 SDXL LoRA is 0.35 GB in fp32."""

Cancelled = Callable[[], bool]


class Drawn(msgspec.Struct, frozen=True, kw_only=True):
    """A finished picture on disk. ``seconds`` is its share of its batch's time."""

    key: str
    path: str
    seconds: float


def never() -> bool:
    """Nobody stops it."""
    return False


class LocalEngine:
    """A base model and its LoRA bank in this process. Draws whatever base a request names, keeping the last one."""

    def __init__(self, *, device: torch.device | None = None, dtype: torch.dtype | None = None) -> None:
        self._device, self._dtype = device, dtype
        self._base: Base | None = None
        self._hanging: Hanging | None = None
        self._shelf: OrderedDict[tuple[str, int, int], LoraWeights] = OrderedDict()

    def load(self, path: str) -> Base:
        """Load the base at ``path`` unless it is the one already loaded."""
        if self._base is None or self._base.path != Path(path):
            self._base = self._hanging = None
            self._shelf.clear()
            base = load_base(Path(path), device=self._device, dtype=self._dtype)
            self._hanging = Hanging(base)
            self._base = base
        return self._base

    def draw(
        self,
        requests: Sequence[DrawRequest],
        out: Path,
        *,
        batch: int = 4,
        report: Report = silent,
        cancelled: Cancelled = never,
    ) -> Iterator[Drawn]:
        """Draw each distinct request once to ``out/<key>.png``, yielding each picture when it is on disk.

        At most ``batch`` cells go through the UNet together (halved when the GPU's memory does not hold them); only
        cells that share base, LoRAs, steps, sampler, size and number of text chunks do. Raises ``UsageError`` for a
        request that cannot be drawn before drawing any, and ``CancelledError`` between two steps once ``cancelled()``
        is true; pictures already yielded stay.
        """
        distinct = list({request.key(): request for request in requests}.values())
        for request in distinct:
            check(request)
        done = 0
        for group in _groups(distinct, self._plan):
            pending = list(group)
            while pending:
                cells, pending = pending[:batch], pending[batch:]
                told = _Told(report, cancelled, done, len(distinct), len(cells))
                try:
                    yield from self._draw_batch(cells, out, told)
                except torch.cuda.OutOfMemoryError:
                    if len(cells) == 1:
                        raise
                    torch.cuda.empty_cache()
                    batch = len(cells) // 2
                    pending = cells + pending
                    continue
                done += len(cells)
        report(Progress(stage="draw", done=done, total=len(distinct), unit="picture"))

    def _plan(self, request: DrawRequest) -> tuple[object, ...]:
        model = self.load(request.base).model
        return *plan_of_loras(request), *plan_of(request, model)

    def _draw_batch(self, cells: Sequence[DrawRequest], out: Path, told: _Told) -> Iterator[Drawn]:
        base = self.load(cells[0].base)
        hanging = self._hanging
        assert hanging is not None  # noqa: S101 - load() made it
        hashes = hanging.hang(cells[0], lambda use: self._weights(base, use, told.report))
        started = time.monotonic()
        images = list(
            sample(
                cells,
                model=base.model,
                bank=hanging.bank,
                encoder=hanging.encoder,
                hashes=hashes,
                on_step=told.step,
            )
        )
        seconds = (time.monotonic() - started) / len(cells)
        note = EngineNote(
            path=hanging.path,
            dtype=str(base.model.dtype).removeprefix("torch."),
            device=base.model.device.type,
            batch=len(cells),
            versions={name: version(name) for name in ("torch", "diffusers", "transformers")},
        )
        for request, image in zip(cells, images, strict=True):
            key = request.key()
            info = infotext_of(
                request, size=image.size, model=base.name, model_hash=request.base_sha256, version=__version__
            )
            path = out / f"{key}.png"
            save_png(image, path, info, Chunk(key=key, request=public(request), engine=note))
            yield Drawn(key=key, path=str(path), seconds=seconds)

    def _weights(self, base: Base, use: LoraUse, report: Report) -> LoraWeights:
        file = Path(use.path)
        stat = file.stat() if file.is_file() else None
        place = (use.path, stat.st_size if stat else 0, stat.st_mtime_ns if stat else 0)
        if place not in self._shelf:
            self._shelf[place] = load_lora(file, base.table, base=base.name, weight_of=base.weight_of)
        self._shelf.move_to_end(place)
        while len(self._shelf) > KEPT_LORAS:
            self._shelf.popitem(last=False)
        _remark(use, self._shelf[place], report)
        return self._shelf[place]


class _Told:
    """Tells of each step and stops between two."""

    def __init__(self, report: Report, cancelled: Cancelled, done: int, total: int, cells: int) -> None:
        self.report, self._cancelled = report, cancelled
        self._done, self._total, self._cells = done, total, cells

    def step(self, step: int, steps: int, _latents: torch.Tensor) -> None:
        if self._cancelled():
            raise CancelledError(f"drawing was stopped after {self._done} of {self._total} pictures")
        done = self._done + self._cells * step / steps
        data = {"step": step, "steps": steps, "cells": self._cells}
        self.report(Progress(stage="draw", done=round(done, 3), total=self._total, unit="picture", data=data))


def _remark(use: LoraUse, lora: LoraWeights, report: Report) -> None:
    """Say what about a LoRA file will not act as the request seems to mean."""
    if not lora.coverage.complete:
        report(Progress(stage="load", message=f"{use.name}: only {lora.coverage}"))
    if use.te_strength and not lora.touches("text_encoder"):
        report(
            Progress(stage="load", message=f"{use.name} has no text-encoder part: te={use.te_strength:g} does nothing")
        )


def _groups(
    requests: Sequence[DrawRequest], plan: Callable[[DrawRequest], tuple[object, ...]]
) -> Iterator[list[DrawRequest]]:
    """Requests that may share a batch, base by base so that each base is loaded once; the given order otherwise."""
    by_base: dict[str, list[DrawRequest]] = {}
    for request in requests:
        by_base.setdefault(request.base, []).append(request)
    for mine in by_base.values():
        groups: dict[tuple[object, ...], list[DrawRequest]] = {}
        for request in mine:
            groups.setdefault(plan(request), []).append(request)
        yield from groups.values()
