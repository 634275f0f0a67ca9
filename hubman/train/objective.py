"""What is minimised: the error of the noise prediction, in training at random and in validation at fixed noise."""

from __future__ import annotations

import random
from collections.abc import Sequence

import torch
from torch import Tensor

from hubman.train.architectures.base import Architecture, Conditioning, Framing, stack
from hubman.train.batches import keyed_seed
from hubman.train.captions import vary
from hubman.train.material import Item, TextStates
from hubman.train.noise import offset_noise
from hubman.train.recipe import Recipe

VALIDATION_TIMESTEPS = (0.2, 0.4, 0.6, 0.8)
"""As shares of the schedule."""


class Objective:
    """The loss of a recipe on an architecture."""

    def __init__(self, architecture: Architecture, recipe: Recipe, texts: TextStates) -> None:
        """``texts`` tells of captions where the text encoder is frozen."""
        self._architecture = architecture
        self._recipe = recipe
        self._texts = texts

    def loss(self, items: Sequence[Item], step: int) -> Tensor:
        """The weighted mean loss of a batch; everything random in it follows from the seed and ``step``."""
        recipe = self._recipe
        generator = torch.Generator().manual_seed(keyed_seed(recipe.seed, "step", step))
        rng = random.Random(keyed_seed(recipe.seed, "captions", step))
        latents = _sample_latents(items, generator)
        noise = offset_noise(latents.shape, recipe.noise.offset, generator)
        process = self._architecture.process
        timesteps = process.sample(latents.shape, generator)
        texts = self._texts_of([self._vary(item.caption, rng) for item in items])
        errors = self._errors(latents, noise, timesteps, texts, [item.framing for item in items])
        return (errors * process.weights(timesteps.to(self._architecture.device), recipe.loss.min_snr_gamma)).mean()

    @torch.no_grad()
    def validate(self, items: Sequence[Item]) -> float:
        """Mean unweighted loss at fixed noise (by image) and timesteps: comparable between all epochs of a run."""
        timesteps = self._architecture.process.at(VALIDATION_TIMESTEPS)
        errors = []
        for item in sorted(items, key=lambda each: each.pixels)[: self._recipe.watch.validation_images]:
            generator = torch.Generator().manual_seed(keyed_seed(0, "validation", item.pixels))
            shape = torch.Size((len(timesteps), *item.latent.mean.shape))
            noise = torch.randn(shape, generator=generator)
            texts = self._texts_of([item.caption] * len(timesteps))
            framings = [item.framing] * len(timesteps)
            errors.append(self._errors(item.latent.mean.expand(shape), noise, timesteps, texts, framings))
        return float(torch.cat(errors).mean())

    def _errors(
        self, latents: Tensor, noise: Tensor, timesteps: Tensor, texts: Conditioning, framings: Sequence[Framing]
    ) -> Tensor:
        """Mean squared error of each sample ``[B]``."""
        process, device = self._architecture.process, self._architecture.device
        latents, noise, timesteps = (each.to(device, non_blocking=True) for each in (latents, noise, timesteps))
        noisy = process.add_noise(latents, noise, timesteps)
        prediction = self._architecture.predict(noisy, timesteps, texts, framings)
        return (prediction - process.target(latents, noise, timesteps)).square().mean(dim=(1, 2, 3))

    def _texts_of(self, captions: list[str]) -> Conditioning:
        if self._recipe.optimizer.text_lr:
            return stack(self._architecture.encode_text(captions, self._recipe.captions.clip_skip))
        return self._texts.of(captions)

    def _vary(self, caption: str, rng: random.Random) -> str:
        recipe = self._recipe
        return vary(
            caption,
            rng,
            shuffle=recipe.captions.shuffle,
            keep_tokens=recipe.captions.keep_tokens,
            dropout=recipe.captions.dropout,
        )


def _sample_latents(items: Sequence[Item], generator: torch.Generator) -> Tensor:
    mean = torch.stack([item.latent.mean for item in items])
    std = torch.stack([item.latent.std for item in items])
    return mean + std * torch.randn(mean.shape, generator=generator)
