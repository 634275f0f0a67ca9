"""The sampling loop: a batch of pictures, each with its own noise, prompt, guidance and LoRA strengths."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import torch
from PIL import Image

from hubman.generate.bank import Bank
from hubman.generate.encode import Encoder, chunks_of
from hubman.generate.prompt_parts import parts
from hubman.generate.prompt_schedule import Stretch, schedule
from hubman.generate.request import DrawRequest
from hubman.train.architectures.base import Conditioning, Framing, stack
from hubman.train.architectures.model import Model

OnStep = Callable[[int, int], None]
"""(steps done, steps in all); raises to stop."""


@dataclass(frozen=True)
class _Row:
    """One row of the UNet's batch: a prompt over time, for which cell, with which guidance weight."""

    cell: int
    stretches: tuple[Stretch, ...]
    weight: float


def chunk_count(request: DrawRequest, model: Model) -> int:
    """How many chunks of 75 tokens the longest text of a request needs."""
    if not model.clips:
        return 1
    texts = [stretch.text for part in parts(request.prompt) for stretch in schedule(part.text, request.steps)]
    texts += [stretch.text for stretch in schedule(request.negative, request.steps)]
    return max(len(chunks_of(text, model.clips[0])) for text in texts)


def picture_size(request: DrawRequest, model: Model) -> tuple[int, int]:
    """(width, height) in pixels: the request's, where it says nothing the base's."""
    width, height = model.default_size
    return request.width or width, request.height or height


@torch.inference_mode()
def sample(
    cells: Sequence[DrawRequest], *, model: Model, bank: Bank, encoder: Encoder, hashes: Sequence[str], on_step: OnStep
) -> list[Image.Image]:
    """Draw ``cells``, which must share steps, sampler, size, number of chunks, and whether there is guidance.

    ``hashes`` are the SHA-256 of the LoRAs in ``bank``, in its order.
    """
    first = cells[0]
    size = picture_size(first, model)
    scheduler = model.scheduler(first.sampler, first.steps, size)
    generators = [torch.Generator("cpu").manual_seed(cell.seed) for cell in cells]
    latents = _noise(model, size, generators) * getattr(scheduler, "init_noise_sigma", 1.0)
    guided = is_guided(first, model)
    rows = _rows(cells, guided)
    framings = [Framing.whole(size)] * len(rows)
    extra: dict[str, Any] = {"generator": generators} if _takes_generator(scheduler) else {}
    texts = _Texts(model, encoder, cells, rows, hashes)
    for step, t in enumerate(scheduler.timesteps):
        told = texts.at(step)
        bank.set_strengths(model.denoiser_name, [_strengths(cells[row.cell], hashes, step) for row in rows])
        inputs = latents[[row.cell for row in rows]]
        if hasattr(scheduler, "scale_model_input"):
            inputs = scheduler.scale_model_input(inputs, t)
        answer = model.predict(inputs, model.time(t, len(rows)), told, framings)
        latents = scheduler.step(_guide(answer, cells, rows, guided), t, latents, **extra, return_dict=False)[0]
        on_step(step + 1, len(scheduler.timesteps))
    return [model.decode(latent) for latent in latents]


def is_guided(request: DrawRequest, model: Model) -> bool:
    """Whether a picture needs a second, negative prediction."""
    return request.cfg != 1 and not model.guidance_is_input


def draw_adapted(model: Model, request: DrawRequest) -> Image.Image:
    """One picture by ``model`` with whatever hangs in its modules; the request's base and LoRAs are ignored."""
    bank = Bank({}, {})
    alone = msgspec.structs.replace(request, loras=())
    return sample(
        [alone], model=model, bank=bank, encoder=Encoder(model, bank), hashes=(), on_step=lambda _step, _steps: None
    )[0]


def _noise(model: Model, size: tuple[int, int], generators: Sequence[torch.Generator]) -> torch.Tensor:
    """Always drawn in fp32: in another dtype the same seed would give another picture."""
    width, height = size
    shape = (1, model.latent_channels, height // model.vae_scale, width // model.vae_scale)
    return torch.cat([torch.randn(shape, generator=generator) for generator in generators]).to(model.device)


def _takes_generator(scheduler: Any) -> bool:
    import inspect

    return "generator" in inspect.signature(scheduler.step).parameters


def _rows(cells: Sequence[DrawRequest], guided: bool) -> list[_Row]:
    negatives = [_Row(number, schedule(cell.negative, cell.steps), 0.0) for number, cell in enumerate(cells)]
    positives = [
        _Row(number, schedule(part.text, cell.steps), part.weight)
        for number, cell in enumerate(cells)
        for part in parts(cell.prompt)
    ]
    return [*negatives, *positives] if guided else positives


def _strengths(cell: DrawRequest, hashes: Sequence[str], step: int) -> list[float]:
    own = {use.sha256: use.strength_at(step) for use in cell.loras}
    return [own.get(sha256, 0.0) for sha256 in hashes]


def _guide(noise: torch.Tensor, cells: Sequence[DrawRequest], rows: Sequence[_Row], guided: bool) -> torch.Tensor:
    """Classifier-free guidance over any number of AND parts: u + cfg · Σ wᵢ (cᵢ - u)."""
    positives = rows[len(cells) :] if guided else rows
    owners = torch.tensor([row.cell for row in positives], device=noise.device)
    weights = [row.weight * (cells[row.cell].cfg if guided else 1.0) for row in positives]
    scale = torch.tensor(weights, device=noise.device, dtype=noise.dtype)[:, None, None, None]
    if not guided:
        return torch.zeros_like(noise[: len(cells)]).index_add(0, owners, noise * scale)
    away = noise[: len(cells)]
    return away.index_add(0, owners, (noise[len(cells) :] - away[owners]) * scale)


class _Texts:
    """What the batch's rows are told at each step; stacked anew only when a prompt changes."""

    def __init__(
        self, model: Model, encoder: Encoder, cells: Sequence[DrawRequest], rows: Sequence[_Row], hashes: Sequence[str]
    ) -> None:
        self._encoder, self._cells, self._rows = encoder, cells, rows
        self._device, self._guidance_is_input = model.device, model.guidance_is_input
        self._chunks = max(chunk_count(cell, model) for cell in cells)
        own = [{use.sha256: use.text_strength for use in cell.loras} for cell in cells]
        self._strengths = [[mine.get(sha256, 0.0) for sha256 in hashes] for mine in own]
        self._now: list[str] = []
        self._stacked: Conditioning = {}

    def at(self, step: int) -> Conditioning:
        """The conditioning of the rows for sampling step ``step`` (from 0)."""
        now = [_text_at(row.stretches, step) for row in self._rows]
        if now != self._now:
            self._now = now
            self._stacked = stack([self._one(row, text) for row, text in zip(self._rows, now, strict=True)])
        return self._stacked

    def _one(self, row: _Row, text: str) -> Conditioning:
        cell = self._cells[row.cell]
        told = self._encoder.encode(
            text, self._strengths[row.cell], clip_skip=cell.clip_skip, emphasis=cell.emphasis, chunks=self._chunks
        )
        return {**told, "guidance": torch.tensor(cell.cfg, device=self._device)} if self._guidance_is_input else told


def _text_at(stretches: Sequence[Stretch], step: int) -> str:
    return next((stretch.text for stretch in stretches if step < stretch.until), stretches[-1].text)
