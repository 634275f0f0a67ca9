"""What is minimised: the error of the base model's answers, in training at random and in validation at fixed noise."""

from __future__ import annotations

import random
from collections.abc import Sequence

import torch
from torch import Tensor

from hubman.train.adapters.network import Network
from hubman.train.architectures.base import Architecture, Conditioning, stack
from hubman.train.encoding.material import Item, TextStates
from hubman.train.learning.batches import keyed_seed
from hubman.train.loss.caption_variation import variation_of
from hubman.train.loss.losses import elementwise, huber_c
from hubman.train.loss.masked_loss import masked
from hubman.train.loss.noise_schedule import NoiseSchedule
from hubman.train.loss.process import Process
from hubman.train.loss.questions import WHOLE, Question, ask, ask_again
from hubman.train.loss.snr import loss_weights
from hubman.train.recipe import Recipe
from registry.errors import UsageError

VALIDATION_TIMESTEPS = (0.2, 0.4, 0.6, 0.8)
"""As shares of the schedule."""


class Objective:
    """The loss of a recipe on an architecture whose modules hold ``network``."""

    def __init__(self, architecture: Architecture, network: Network, recipe: Recipe, texts: TextStates) -> None:
        """``texts`` tells of captions where the text encoders are frozen."""
        self._architecture, self._network, self._recipe, self._texts = architecture, network, recipe, texts
        self._process = trained_process(architecture.process, recipe)
        self._variation = variation_of(recipe.captions)

    def readings(self, items: Sequence[Item], batch: int, pass_: int) -> list[str]:
        """The captions of ``items`` as they are read in the ``batch``-th batch (see :meth:`loss`)."""
        rng = random.Random(keyed_seed(self._recipe.seed, "captions", batch))
        return [self._variation.apply(item.caption, rng, pass_) for item in items]

    def plain_captions(self, items: Sequence[Item]) -> list[str]:
        """The captions of ``items`` in the one reading that does not depend on the batch."""
        return [self._variation.plain(item.caption) for item in items]

    def fixed_readings(self, items: Sequence[Item]) -> list[str]:
        """What is read besides: in the validation, and of the class."""
        prior = self._recipe.prior
        return self.plain_captions(items) + ([prior.caption] if prior.weight else [])

    def loss(self, items: Sequence[Item], batch: int, pass_: int, part: slice = WHOLE) -> Tensor:
        """The loss of the ``batch``-th batch of the run, shown in pass ``pass_`` over the data set (both from 0).

        Everything random in it follows from the seed and ``batch``. Of ``part`` it is the mean over those rows alone, of
        the same noise and captions as in the whole.
        """
        recipe = self._recipe
        question = ask(items, self._process, recipe, batch, self._architecture.device, part)
        answer = self._answer(question, self._read(self.readings(items, batch, pass_)[part]))
        errors = self._errors(answer, question.target, question.timesteps)
        if recipe.loss.masked:
            errors = masked(errors, [item.mask for item in items[part]], recipe.loss.mask_floor)
        loss = self._weighted(errors, question.timesteps)
        return loss + recipe.prior.weight * self._prior(question) if recipe.prior.weight else loss

    @torch.no_grad()
    def validate(self, items: Sequence[Item]) -> float:
        """Mean square error at fixed noise (by image) and timesteps: comparable between all epochs of a run."""
        errors = []
        for item in sorted(items, key=lambda each: each.pixels)[: self._recipe.watch.validation_images]:
            question = ask_again(item, self._process, VALIDATION_TIMESTEPS, self._architecture.device)
            texts = self._read(self.plain_captions([item]) * len(VALIDATION_TIMESTEPS))
            errors.append((self._answer(question, texts) - question.target).square().mean())
        return float(torch.stack(errors).mean())

    def _prior(self, question: Question) -> Tensor:
        """How far the answers for the class alone have moved from those of the base model itself."""
        captions = [self._recipe.prior.caption] * len(question.framings)
        with torch.no_grad(), self._network.disabled():
            unmoved = self._answer(question, self._read(captions))
        moved = self._answer(question, self._read(captions))
        return self._weighted(self._errors(moved, unmoved, question.timesteps), question.timesteps)

    def _answer(self, question: Question, texts: Conditioning) -> Tensor:
        return self._architecture.predict(question.noisy, question.timesteps, texts, question.framings)

    def _errors(self, prediction: Tensor, target: Tensor, timesteps: Tensor) -> Tensor:
        """The error of each value ``[B, C, h, w]``."""
        loss = self._recipe.loss
        if loss.kind == "l2":
            return elementwise(prediction, target, "l2")
        signal, sigma = self._process.levels(timesteps)
        progress = self._process.progress(timesteps)
        c = huber_c(loss.huber_schedule, loss.huber_c, progress=progress, noise_to_signal=sigma / signal)
        return elementwise(prediction, target, loss.kind, c)

    def _weighted(self, errors: Tensor, timesteps: Tensor) -> Tensor:
        loss = self._recipe.loss
        weights = loss_weights(self._process, timesteps, gamma=loss.min_snr_gamma, debias=loss.debiased)
        return (errors.flatten(1).mean(dim=1) * weights).mean()

    def _read(self, captions: list[str]) -> Conditioning:
        """What the text encoders say now: with gradients those that are trained, the others from memory."""
        if not self._recipe.optimizer.trains_text:
            return self._texts.of(captions)
        settings = self._recipe.captions
        chunks, known = settings.max_tokens // 75, self._texts.each(captions)
        return stack(self._architecture.encode_text(captions, settings.clip_skip, chunks, known))


def trained_process(process: Process, recipe: Recipe) -> Process:
    """What is trained: the base's own process, its last timestep pure noise if the recipe wants that.

    Raises UsageError for zero-terminal SNR on a base that predicts no velocity: noise tells nothing of a picture that
    is not there.
    """
    if not recipe.noise.zero_terminal_snr:
        return process
    if not (isinstance(process, NoiseSchedule) and process.v_prediction):
        raise UsageError("zero-terminal SNR needs a base with v-prediction", "turn noise.zero_terminal_snr off")
    return process.with_zero_terminal_snr()
