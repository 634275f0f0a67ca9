"""The sampling loop: a batch of pictures, each with its own noise, prompt, guidance and LoRA strengths."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image

from hubman.generate.bank import Bank
from hubman.generate.encode import Encoder, chunks_of
from hubman.generate.pipeline import Base
from hubman.generate.prompt_schedule import Stretch, parts, schedule
from hubman.generate.request import DrawRequest
from hubman.generate.samplers import make_scheduler

OnStep = Callable[[int, int], None]
"""(steps done, steps in all); raises to stop."""


@dataclass(frozen=True)
class _Row:
    """One row of the UNet's batch: a prompt over time, for which cell, with which guidance weight."""

    cell: int
    stretches: tuple[Stretch, ...]
    weight: float


def chunk_count(request: DrawRequest, base: Base) -> int:
    """How many chunks of 75 tokens the longest text of a request needs."""
    texts = [stretch.text for part in parts(request.prompt) for stretch in schedule(part.text, request.steps)]
    texts += [stretch.text for stretch in schedule(request.negative, request.steps)]
    return max(len(chunks_of(text, base)) for text in texts)


def picture_size(request: DrawRequest, base: Base) -> tuple[int, int]:
    """(width, height) in pixels: the request's, where it says nothing the base's."""
    width, height = base.default_size
    return request.width or width, request.height or height


@torch.inference_mode()
def sample(
    cells: Sequence[DrawRequest], *, base: Base, bank: Bank, encoder: Encoder, hashes: Sequence[str], on_step: OnStep
) -> list[Image.Image]:
    """Draw ``cells``, which must share steps, sampler, size, number of chunks, and whether there is guidance.

    ``hashes`` are the SHA-256 of the LoRAs in ``bank``, in its order.
    """
    first = cells[0]
    scheduler = make_scheduler(first.sampler, base.scheduler_config)
    scheduler.set_timesteps(first.steps, device=base.device)
    generators = [torch.Generator("cpu").manual_seed(cell.seed) for cell in cells]
    latents = _noise(base, first, generators) * scheduler.init_noise_sigma
    guided = first.cfg != 1
    rows = _rows(cells, guided)
    extra: dict[str, Any] = {"generator": generators} if _takes_generator(scheduler) else {}
    texts = _Texts(base, encoder, cells, rows, hashes)
    for step, t in enumerate(scheduler.timesteps):
        embeddings = texts.at(step)
        bank.set_strengths("unet", [_strengths(cells[row.cell], hashes, step) for row in rows])
        inputs = scheduler.scale_model_input(latents[[row.cell for row in rows]], t)
        noise = base.unet(inputs, t, encoder_hidden_states=embeddings, return_dict=False)[0]
        latents = scheduler.step(_guide(noise, cells, rows, guided), t, latents, **extra, return_dict=False)[0]
        on_step(step + 1, len(scheduler.timesteps))
    return [_decode(base, latent) for latent in latents]


def _noise(base: Base, request: DrawRequest, generators: Sequence[torch.Generator]) -> torch.Tensor:
    width, height = picture_size(request, base)
    shape = (1, base.unet.config.in_channels, height // base.vae_scale, width // base.vae_scale)
    drawn = [torch.randn(shape, generator=generator, dtype=base.dtype) for generator in generators]
    return torch.cat(drawn).to(base.device)


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
    """The embeddings of a batch's rows at each step; stacked anew only when a prompt changes."""

    def __init__(
        self, base: Base, encoder: Encoder, cells: Sequence[DrawRequest], rows: Sequence[_Row], hashes: Sequence[str]
    ) -> None:
        self._encoder, self._cells, self._rows = encoder, cells, rows
        self._chunks = max(chunk_count(cell, base) for cell in cells)
        own = [{use.sha256: use.text_strength for use in cell.loras} for cell in cells]
        self._strengths = [[mine.get(sha256, 0.0) for sha256 in hashes] for mine in own]
        self._now: list[str] = []
        self._stacked = torch.empty(0)

    def at(self, step: int) -> torch.Tensor:
        """[rows, tokens, width] for sampling step ``step`` (from 0)."""
        now = [_text_at(row.stretches, step) for row in self._rows]
        if now != self._now:
            self._now = now
            self._stacked = torch.stack([self._one(row, text) for row, text in zip(self._rows, now, strict=True)])
        return self._stacked

    def _one(self, row: _Row, text: str) -> torch.Tensor:
        cell = self._cells[row.cell]
        return self._encoder.encode(
            text, self._strengths[row.cell], clip_skip=cell.clip_skip, emphasis=cell.emphasis, chunks=self._chunks
        )


def _text_at(stretches: Sequence[Stretch], step: int) -> str:
    return next((stretch.text for stretch in stretches if step < stretch.until), stretches[-1].text)


def _decode(base: Base, latent: torch.Tensor) -> Image.Image:
    shift = getattr(base.vae.config, "shift_factor", None) or 0.0
    pixels = base.vae.decode(latent[None] / base.vae.config.scaling_factor + shift, return_dict=False)[0][0]
    scaled = (pixels.float() / 2 + 0.5).clamp(0, 1).permute(1, 2, 0).cpu().numpy()
    return Image.fromarray((scaled * 255).round().astype(np.uint8))
