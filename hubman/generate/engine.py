"""Draw requests in batches with loaded bases: what may go together, which LoRAs are in the bank, pictures to disk."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import torch
from PIL import Image

from hubman import __version__, bases
from hubman.generate import device as devices
from hubman.generate.batching import MOST, Case, Figures
from hubman.generate.drawing import Drawing, Drawn, OnPreview, Told
from hubman.generate.hanging import plan_of_loras
from hubman.generate.infotext import infotext_of
from hubman.generate.kept import Bases, Kept, Shelf
from hubman.generate.passes import passes_of
from hubman.generate.pictures import Chunk, EngineNote, public, save_png
from hubman.generate.pipeline import Base
from hubman.generate.request import DrawRequest, LoraUse
from hubman.generate.sampling import plan_of, row_count, sample
from hubman.lora.load import LoraWeights
from hubman.progress import Progress, Report, never, silent
from hubman.train.capacity.ladder import is_out_of_memory
from hubman.train.capacity.memory import Memory
from registry.errors import HubError

Cancelled = Callable[[], bool]


class Room(NamedTuple):
    """What there is for pictures of a case: ``free`` bytes, and the ``most`` that are planned to go together."""

    case: Case
    free: int
    most: int


class LocalEngine:
    """Bases with their LoRA banks in this process, kept as far as memory goes. Draws whatever base a request names."""

    def __init__(
        self,
        *,
        device: torch.device | None = None,
        dtype: torch.dtype | None = None,
        figures: Path | None = None,
        memory: Memory | None = None,
        compiled: bool = False,
    ) -> None:
        """By default the best device, the dtype that suits it and the device's memory; ``compiled`` compiles denoisers.

        ``figures`` is the file in which it is remembered what pictures took of that.
        """
        self._device = device or devices.choose()
        self._bases = Bases(memory or Memory(self._device), self._device, dtype, compiled=compiled)
        self._shelf = Shelf()
        self._figures = Figures(figures)

    def load(self, path: str) -> Base:
        """Load the base at ``path`` unless it is there already."""
        return self._bases.get(path).base

    def has(self, path: str) -> bool:
        """Whether the base at ``path`` is loaded."""
        return path in self._bases

    def unload(self) -> None:
        """Give all memory back."""
        self._shelf.clear()
        self._bases.clear()

    def told(self) -> dict[str, Any]:
        """Fields of :class:`protocol.State`: the device and what it holds. Any thread may ask."""
        return {
            "device": self._device.type,
            "device_name": devices.name_of(self._device),
            "note": devices.note_on(self._device),
            "threads": torch.get_num_threads(),
            "bases": self._bases.told(),
            "loras": len(self._shelf),
            "lora_bytes": self._shelf.bytes,
            "memory_used": self._bases.memory.used,
            "memory_free": self._bases.available,
        }

    def draw(
        self,
        requests: Sequence[DrawRequest],
        out: Path,
        *,
        batch: int = 0,
        report: Report = silent,
        cancelled: Cancelled = never,
        preview: OnPreview | None = None,
    ) -> Iterator[Drawn]:
        """Draw each distinct request once to ``out/<key>.png``, yielding each picture when it is on disk.

        As many cells go through the denoiser together as the memory takes, at most ``batch`` unless that is 0; only
        cells that share base, LoRAs, steps, sampler, size and number of text chunks do. Raises ``UsageError`` for a
        request that cannot be drawn before drawing any, and ``CancelledError`` between two steps once ``cancelled()``
        is true; pictures already yielded stay.
        """
        drawing = self.drawing(requests, out, batch=batch, report=report, cancelled=cancelled, preview=preview)
        while not drawing.is_finished:
            yield from drawing.turn()

    def drawing(
        self,
        requests: Sequence[DrawRequest],
        out: Path,
        *,
        batch: int = 0,
        report: Report = silent,
        cancelled: Cancelled = never,
        preview: OnPreview | None = None,
    ) -> Drawing:
        """As :meth:`draw`, a batch at a turn."""
        return Drawing(self, requests, out, batch=batch, report=report, cancelled=cancelled, preview=preview)

    def plan(self, request: DrawRequest) -> tuple[object, ...]:
        """Requests of one base with equal plans may share a batch. Raises ``UsageError`` for what it cannot draw."""
        return *plan_of_loras(request), *plan_of(request, self.load(request.base).model)

    def room_for(self, request: DrawRequest) -> Room:
        """How many pictures like this one the memory takes together now."""
        kept = self._bases.get(request.base)
        case, free = _case(kept, request), self._bases.available
        return Room(case, free, self._figures.plan(case, free, self._device.type))

    def draw_batch(self, cells: Sequence[DrawRequest], room: Room, out: Path, told: Told) -> Iterator[Drawn]:
        """Draw cells with equal plans together, yielding each once it is on disk; ``room`` is what there was for them.

        Where the memory does not suffice it ends early, with a smaller plan for the next; ``HubError`` for a picture
        that does not fit alone.
        """
        kept = self._bases.get(cells[0].base)
        # Whether it is the memory that decides how many pictures go together.
        short = kept.is_tight or room.most < min(len(cells) + 1, MOST.get(self._device.type, room.most))
        try:
            yield from self._draw_batch(kept, cells, out, told, room.case, short=short)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            self._make_room(kept, room, len(cells), error)

    def _draw_batch(
        self, kept: Kept, cells: Sequence[DrawRequest], out: Path, told: Told, case: Case, *, short: bool
    ) -> Iterator[Drawn]:
        hanging = kept.hanging
        hashes = hanging.hang(cells[0], lambda use: self._weights(kept.base, use, told.report))
        told.picture = kept.previewer.png
        memory, measures = self._bases.memory, self._device.type == "cuda"
        before = memory.used if measures else 0
        if measures:
            memory.forget_peak()
        started = time.monotonic()
        model = kept.base.model
        images = sample(
            cells, model=model, bank=hanging.bank, encoder=hanging.encoder, hashes=hashes, on_step=told.step,
            on_read=model.rest if short else None,
        )  # fmt: skip
        for number, (request, image) in enumerate(zip(cells, images, strict=True)):
            if number == 0 and measures:
                self._figures.measured(case, memory.peak - before, len(cells))
            seconds = (time.monotonic() - started) / (len(cells) if number == 0 else 1)
            yield self._save(request, image, kept, len(cells), out, seconds)
            started = time.monotonic()

    def _save(
        self, request: DrawRequest, image: Image.Image, kept: Kept, batch: int, out: Path, seconds: float
    ) -> Drawn:
        base = kept.base
        note = EngineNote(
            path=kept.hanging.path,
            dtype=str(base.model.dtype).removeprefix("torch."),
            device=base.model.device.type,
            batch=batch,
            versions={name: version(name) for name in ("torch", "diffusers", "transformers")},
        )
        key = request.key()
        info = infotext_of(
            request,
            size=image.size,
            model=bases.display_name(base.path),
            model_hash=request.base_sha256,
            version=__version__,
        )
        path = out / f"{key}.png"
        save_png(image, path, info, Chunk(key=key, request=public(request), engine=note))
        return Drawn(key=key, path=str(path), seconds=seconds)

    def _make_room(self, kept: Kept, room: Room, cells: int, error: Exception) -> None:
        """After memory ran out: drop what is not needed now, and plan with less."""
        self._bases.keep_only(str(kept.base.path))
        if cells > 1:
            self._figures.failed(room.case, room.free, cells)
        elif kept.is_tight:
            size = f"{room.case.size[0]}x{room.case.size[1]}"
            raise HubError(
                f"a picture of {size} does not fit into the memory", "draw a smaller one, or close what else uses it"
            ) from error
        kept.is_tight = kept.is_tight or cells == 1

    def _weights(self, base: Base, use: LoraUse, report: Report) -> LoraWeights:
        lora = self._shelf.get(base, use)
        _remark(use, lora, report)
        return lora


def _case(kept: Kept, request: DrawRequest) -> Case:
    model = kept.base.model
    return Case(
        kind=kept.detected.kind, family=kept.detected.family, dtype_bytes=model.dtype.itemsize,
        size=max(each.size for each in passes_of(request, model)), rows=row_count(request, model),
    )  # fmt: skip


def _remark(use: LoraUse, lora: LoraWeights, report: Report) -> None:
    """Say what about a LoRA file will not act as the request seems to mean."""
    if not lora.coverage.complete:
        report(Progress(stage="load", message=f"{use.name}: only {lora.coverage}"))
    if use.te_strength and not lora.touches("text_encoder"):
        report(
            Progress(stage="load", message=f"{use.name} has no text-encoder part: te={use.te_strength:g} does nothing")
        )
