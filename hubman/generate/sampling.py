"""The sampling loop: a batch of pictures, each with its own noise, prompt, guidance and LoRA strengths."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec
import torch
from PIL import Image

from hubman.generate.bank import Bank
from hubman.generate.cell_rows import Row, Rows, block_weights, strengths_at, text_strengths_at, view_count
from hubman.generate.encode import Encoder, chunks_of
from hubman.generate.passes import Walk, passes_of, picture_size, read_init
from hubman.generate.prompt_parts import parts
from hubman.generate.prompt_schedule import Stretch, schedule
from hubman.generate.request import DrawRequest
from hubman.generate.upscaling import upscale
from hubman.lora.blocks import read_blocks
from hubman.train.architectures.base import Conditioning, Framing, stack
from hubman.train.architectures.model import Model
from registry.errors import UsageError

OnStep = Callable[[int, int, torch.Tensor], None]
"""(steps done, steps in all, the latents of all cells now); raises to stop."""

__all__ = ["chunk_count", "draw_adapted", "is_guided", "picture_size", "plan_of", "row_count", "sample"]


def chunk_count(requests: Iterable[DrawRequest], model: Model) -> int:
    """How many chunks of 75 tokens the longest text of these requests needs."""
    if not model.clips:
        return 1
    # Those of a sweep mostly say the same, and reading texts takes longer than all else before the first step.
    asked = {(each.prompt, each.negative, one.steps) for each in requests for one in passes_of(each, model)}
    texts = {
        stretch.text
        for prompt, negative, steps in asked
        for text in (negative, *(part.text for part in parts(prompt)))
        for stretch in schedule(text, steps)
    }
    return max(len(chunks_of(text, model.clips[0])) for text in texts)


def is_guided(request: DrawRequest, model: Model) -> bool:
    """Whether a picture needs a second, negative prediction."""
    return request.cfg != 1 and not model.guidance_is_input


def row_count(request: DrawRequest, model: Model) -> int:
    """Rows of the denoiser's batch that a picture takes: one for each AND part, and one for the negative prompt."""
    return (len(parts(request.prompt)) + is_guided(request, model)) * view_count(request)


def plan_of(request: DrawRequest, model: Model) -> tuple[object, ...]:
    """What cells of a batch must have in common, their LoRAs aside.

    Raises ``UsageError`` for what this base cannot draw: a size, a sampler, block weights of another kind of base.
    """
    passes = passes_of(request, model)
    for each in passes:
        if any(side % model.step for side in each.size):
            raise UsageError(f"size is {each.size[0]}x{each.size[1]}", f"this base needs multiples of {model.step}")
        model.check_sampler(request.sampler, each.steps, each.size, request.schedule)
    for use in request.loras:
        weights = read_blocks(use.blocks)
        if weights and not weights.fits("flux" if model.guidance_is_input else model.denoiser_name):
            raise UsageError(f"the block weights of {use.name} are not of this kind of base", "leave them out, or ALL")
    hires = request.hires.upscaler if request.hires else ""
    sampler, guided, chunks = (
        (request.sampler, request.schedule),
        is_guided(request, model),
        chunk_count([request], model),
    )
    return tuple(passes), bool(request.init), hires, request.vae, sampler, guided, chunks


@torch.inference_mode()
def sample(
    cells: Sequence[DrawRequest],
    *,
    model: Model,
    bank: Bank,
    encoder: Encoder,
    hashes: Sequence[str],
    on_step: OnStep,
    on_read: Callable[[], None] | None = None,
) -> Iterator[Image.Image]:
    """Draw ``cells``, whose :func:`plan_of` must be the same.

    They are decoded one by one, as they are taken. ``hashes`` are the SHA-256 of the LoRAs in ``bank``, in its order.
    Where ``on_read`` is given all texts are encoded first, and it is called then.
    """
    first = cells[0]
    model.choose_vae(first.vae)
    walks = [Walk(each, model, first.sampler, first.schedule) for each in passes_of(first, model)]
    generators = [torch.Generator("cpu").manual_seed(cell.seed) for cell in cells]
    chunks = chunk_count(cells, model)
    tellers = [_Told(model, bank, encoder, cells, hashes, walk, chunks) for walk in walks]
    if on_read is not None:
        for told in tellers:
            told.read_ahead()
        on_read()
    total, done = sum(len(walk) for walk in walks), 0

    def tell(latents: torch.Tensor) -> None:
        nonlocal done
        done += 1
        on_step(done, total, latents)

    latents = torch.stack([read_init(cell, model) for cell in cells]).to(model.device) if first.init else None
    for number, walk in enumerate(walks):
        if number and first.hires and latents is not None:
            latents = upscale(latents, first.hires.upscaler, walk.each.size, model)
        noisy = walk.begin(latents, _noise(model, walk.each.size, generators))
        latents = walk.run(noisy, generators, tellers[number].predict, tell)
    for latent in latents if latents is not None else ():
        yield model.decode(latent)


def draw_adapted(model: Model, request: DrawRequest) -> Image.Image:
    """One picture by ``model`` with whatever hangs in its modules; the request's base and LoRAs are ignored."""
    bank = Bank({}, {})
    alone = msgspec.structs.replace(request, loras=())
    encoder = Encoder(model, bank)
    return next(sample([alone], model=model, bank=bank, encoder=encoder, hashes=(), on_step=lambda *_: None))


def _noise(model: Model, size: tuple[int, int], generators: Sequence[torch.Generator]) -> torch.Tensor:
    """Always drawn in fp32: in another dtype the same seed would give another picture."""
    width, height = size
    shape = (1, model.latent_channels, height // model.vae_scale, width // model.vae_scale)
    return torch.cat([torch.randn(shape, generator=generator) for generator in generators]).to(model.device)


class _Told:
    """What the rows of a batch are told at each step of a pass; stacked anew only when a prompt or its LoRAs change."""

    def __init__(
        self,
        model: Model,
        bank: Bank,
        encoder: Encoder,
        cells: Sequence[DrawRequest],
        hashes: Sequence[str],
        walk: Walk,
        chunks: int,
    ) -> None:
        self._model, self._bank, self._encoder = model, bank, encoder
        self._cells, self._hashes, self._chunks = cells, hashes, chunks
        self._batch = Rows.of(cells, walk.each.steps, guided=is_guided(cells[0], model))
        self._framings = [Framing.whole(walk.each.size)] * len(self._batch.rows)
        self._weights = [block_weights(cells[row.cell], hashes) for row in self._batch.rows]
        self._cell_of = [row.cell for row in self._batch.rows]
        self._steps = walk.each.steps
        self._now: list[tuple[str, tuple[float, ...]]] = []
        self._stacked: Conditioning = {}

    def predict(self, latents: torch.Tensor, t: torch.Tensor, step: int) -> torch.Tensor:
        """One guided prediction for each cell."""
        rows, model = self._batch.rows, self._model
        told = self._texts_at(step)
        strengths = [strengths_at(self._cells[row.cell], row, self._hashes, step) for row in rows]
        self._bank.set_strengths(model.denoiser_name, strengths, self._weights)
        answer = model.predict(latents[self._cell_of], model.time(t, len(rows)), told, self._framings)
        return self._batch.predict(answer, self._cells)

    def read_ahead(self) -> None:
        """Let the encoder know the texts of all steps."""
        for step in range(self._steps):
            self._texts_at(step)

    def _texts_at(self, step: int) -> Conditioning:
        now = [(_text_at(row.stretches, step), self._text_strengths(row, step)) for row in self._batch.rows]
        if now != self._now:
            self._now = now
            rows = zip(self._batch.rows, now, strict=True)
            self._stacked = stack([self._one(row, text, strengths) for row, (text, strengths) in rows])
        return self._stacked

    def _text_strengths(self, row: Row, step: int) -> tuple[float, ...]:
        return tuple(text_strengths_at(self._cells[row.cell], row, self._hashes, step))

    def _one(self, row: Row, text: str, strengths: Sequence[float]) -> Conditioning:
        cell = self._cells[row.cell]
        told = self._encoder.encode(
            text, strengths, clip_skip=cell.clip_skip, emphasis=cell.emphasis, chunks=self._chunks
        )
        if not self._model.guidance_is_input:
            return told
        return {**told, "guidance": torch.tensor(cell.cfg, device=self._model.device)}


def _text_at(stretches: Sequence[Stretch], step: int) -> str:
    return next((stretch.text for stretch in stretches if step < stretch.until), stretches[-1].text)
