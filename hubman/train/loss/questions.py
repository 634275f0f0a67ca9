"""What the base model is asked about a batch, decided by seed and step alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hubman.train.architectures.base import Framing
from hubman.train.encoding.material import Item
from hubman.train.learning.batches import keyed_seed
from hubman.train.loss.noise import add_multires, add_offset, perturbed
from hubman.train.loss.process import Process
from hubman.train.loss.sending import sent
from hubman.train.loss.timesteps import draw_shares, resolution_shift
from hubman.train.recipe import Recipe
from hubman.train.settings.noise import NoiseSettings, TimestepSettings


@dataclass(frozen=True)
class Question:
    """Noisy latents and the right answer, ``[B, C, h, w]`` on the device that trains."""

    noisy: Tensor
    timesteps: Tensor
    """``[B]``, in the process's unit."""
    target: Tensor
    framings: Sequence[Framing]


WHOLE = slice(None)


def ask(
    items: Sequence[Item], process: Process, recipe: Recipe, batch: int, device: torch.device, part: slice = WHOLE
) -> Question:
    """The question of the ``batch``-th batch of a run (from 0), or of some of its rows.

    All of the batch is drawn in either case, so that parts are asked what the whole would be.
    """
    generator = torch.Generator().manual_seed(keyed_seed(recipe.seed, "step", batch))
    latents = _sample_latents(items, generator)
    noise = _noise(latents, recipe.noise, generator)
    shares = _shares(latents.shape, recipe.timesteps, generator)
    added = perturbed(noise, recipe.noise.perturbation, generator) if recipe.noise.perturbation else noise
    timesteps = process.at(shares)
    latents, noise, added, timesteps = (sent(each[part], device) for each in (latents, noise, added, timesteps))
    return Question(
        process.add_noise(latents, added, timesteps),
        timesteps,
        process.target(latents, noise, timesteps),
        [item.framing for item in items[part]],
    )


def ask_again(item: Item, process: Process, shares: Sequence[float], device: torch.device) -> Question:
    """The same question about ``item`` at any time of any run: its mean latents, and noise that follows from its pixels."""
    generator = torch.Generator().manual_seed(keyed_seed(0, "validation", item.pixels))
    latents = item.latent.mean.expand(len(shares), *item.latent.mean.shape).to(device)
    noise = torch.randn(latents.shape, generator=generator).to(device)
    timesteps = process.at(shares).to(device)
    noisy, target = process.add_noise(latents, noise, timesteps), process.target(latents, noise, timesteps)
    return Question(noisy, timesteps, target, [item.framing] * len(shares))


def _sample_latents(items: Sequence[Item], generator: torch.Generator) -> Tensor:
    mean = torch.stack([item.latent.mean for item in items])
    std = torch.stack([item.latent.std for item in items])
    return mean + std * torch.randn(mean.shape, generator=generator)


def _noise(latents: Tensor, settings: NoiseSettings, generator: torch.Generator) -> Tensor:
    noise = torch.randn(latents.shape, generator=generator)
    if settings.offset or settings.adaptive:
        noise = add_offset(noise, latents, settings.offset, generator, adaptive=settings.adaptive)
    if settings.multires_iterations:
        noise = add_multires(noise, settings.multires_iterations, settings.multires_discount, generator)
    return noise


def _shares(shape: torch.Size, settings: TimestepSettings, generator: torch.Generator) -> Tensor:
    return draw_shares(
        shape[0],
        generator,
        sampling=settings.sampling,
        mean=settings.mean,
        spread=settings.spread,
        shift=settings.shift or resolution_shift(*shape[-2:]),
        low=settings.low,
        high=settings.high,
    )
