"""One training in memory: the model, the data and the optimizer, and how a step is taken."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from hubman.progress import Progress, Report, never, stoppable
from hubman.train import architectures
from hubman.train.adapters.network import Target
from hubman.train.adapters.network_plan import make_network
from hubman.train.architectures.base import Architecture
from hubman.train.capacity import ladder
from hubman.train.capacity.compiling import compile_blocks, is_compiler_missing, pays, uncompile
from hubman.train.capacity.forecast import moved
from hubman.train.capacity.held_weights import hold
from hubman.train.capacity.ladder import Rung
from hubman.train.capacity.machine import expect, pick_device, workload_of
from hubman.train.capacity.memory import Memory, give_back
from hubman.train.capacity.team import Team
from hubman.train.clashes import refuse_clashes
from hubman.train.clock import Clock
from hubman.train.data.dataset import Dataset
from hubman.train.encoding import held_out
from hubman.train.encoding.encoded import Encoded
from hubman.train.encoding.material import TextStates, encode_items
from hubman.train.learning.checkpoint import Checkpoint, State, check_same, last_checkpoint, save_checkpoint
from hubman.train.learning.course import Course
from hubman.train.learning.learner import Learner
from hubman.train.loss.objective import Objective
from hubman.train.recipe import Recipe
from registry.errors import UsageError

T = TypeVar("T")

MOST_READINGS = 4096
"""Captions that are encoded before the first step; with more, the text encoder stays to read them as they come."""


class Training:
    """A recipe on its base and its dataset, from the first step or from a checkpoint."""

    def __init__(
        self,
        recipe: Recipe,
        dataset: Dataset,
        checkpoints: Path,
        cache: Path,
        report: Report,
        team: Team | None = None,
        should_stop: Callable[[], bool] = never,
        *,
        resume: bool = False,
    ) -> None:
        """``resume`` goes on from the last of the ``checkpoints``, if there is one.

        The denoiser waits in main memory until the encoders have left the device and it is known what has to be saved.
        Raises CancelledError between two items once ``should_stop`` says so.
        """
        self.recipe, self.dataset, self._checkpoints, self._report = recipe, dataset, checkpoints, report
        self.team = team or Team()
        device = self.team.device or pick_device()
        # What was encoded until then is kept for the next time.
        loading = stoppable(report, should_stop)
        loading(Progress(stage="load base"))
        self.architecture: Architecture = architectures.load(recipe, device)
        refuse_clashes(recipe, self.architecture.process.prediction)
        checkpoint = self._checkpoint() if resume else None
        targets = self._targets()
        encoded = Encoded(self.architecture, cache, recipe.machine.dtype)
        every = encode_items(dataset, encoded, recipe, loading)
        watch = recipe.watch
        self.items, self.followed = held_out.split(every, watch.validation_images, held_out=watch.held_out)
        self.architecture.release("image")
        captions, self._trained_text = recipe.captions, recipe.optimizer.trained_text
        texts = TextStates(encoded, captions.clip_skip, device, captions.max_tokens // 75, self._trained_text)
        # A checkpoint holds all that the network has become, so the file it began from may be gone.
        self.network = make_network(targets, recipe, begin=checkpoint is None)
        del targets  # they would hold encoders that learn nothing
        self.objective = Objective(self.architecture, self.network, recipe, texts)
        self.course = Course(recipe, self.items, self.team)
        if self.architecture.readers - self._trained_text:
            self._read_captions(texts, loading)
        encoded.trim()
        if encoded.problem:
            report(Progress(stage="encode images", message=f"nothing is kept for the next run: {encoded.problem}"))
        give_back(device)
        self.memory = Memory(device)
        self.clock = Clock()
        self.validation: list[float] = []
        self.started_at = time.time()
        sizes = [item.size for item in self.items]
        self._work = workload_of(recipe, self.architecture, self.network, sizes)
        free = self.memory.free
        self.ladder, self._rung, self.forecast = expect(recipe, self._work, device, free, team=self.team.size)
        if checkpoint is not None:
            self._take_up(checkpoint.state)
        self._apply(self.rung)
        self.architecture.place()
        self.learner = Learner(recipe, self.network, self.objective, self.course, device, self.team)
        self._compiled = self._out_of_memory = False
        self.done = 0
        """Steps that were taken before."""
        if checkpoint is None:
            self._compile(pays(recipe.machine.compile, device.type, self.forecast))
        else:
            self._restore(checkpoint)

    @property
    def rung(self) -> Rung:
        """What is given up for memory at present."""
        return self.ladder[self._rung]

    def step(self, step: int) -> Tensor:
        """One optimizer step (``step`` counts from 0); its loss, still on the device.

        Where memory runs out, the step is done again one rung lower. Raises HubError below the last rung.
        """
        return self._within_memory(step, lambda: self._one_step(step))

    def release_encoders(self) -> None:
        """Give back what drawing loaded and steps do not need."""
        self.architecture.release("image")
        self.architecture.release("text", self._trained_text)
        give_back(self.architecture.device)

    def validate(self, step: int) -> float | None:
        """The loss at fixed noise of the followed images after ``step`` steps, which is kept; None where none are followed.

        Where memory runs out, it is measured again one rung lower, as in :meth:`step`.
        """
        if not self.followed:
            return None
        self.validation.append(self._within_memory(step, lambda: self.objective.validate(self.followed)))
        return self.validation[-1]

    def save(self, step: int) -> None:
        """Write a checkpoint to resume from."""
        if not self.team.leads:
            return
        state = State(
            step=step,
            seconds=self.clock.seconds,
            started_at=self.started_at,
            learning_digest=self.recipe.learning_digest,
            dataset_fingerprint=self.dataset.fingerprint,
            base_digest=self.architecture.identity.weights_digest,
            validation=tuple(self.validation),
            rung=self.rung,
            compiled=self._compiled,
        )
        save_checkpoint(self._checkpoints, state, self.learner.parts())

    def _targets(self) -> list[Target]:
        """The modules that are trained. Raises UsageError if every rate is 0."""
        recipe, rates = self.recipe, self.recipe.optimizer.rates
        targets = self.architecture.targets(conv=recipe.network.conv_rank > 0, text=recipe.optimizer.trains_text)
        trained = [target for target in targets if rates[target.part]]
        if not trained:
            raise UsageError("recipe: nothing is trained at rates of 0", "raise optimizer.unet_lr or text_lr")
        return trained

    def _checkpoint(self) -> Checkpoint | None:
        """The last one. Raises HubError if it is of another training."""
        checkpoint = last_checkpoint(self._checkpoints)
        if checkpoint is not None:
            check_same(
                checkpoint.state,
                learning_digest=self.recipe.learning_digest,
                dataset_fingerprint=self.dataset.fingerprint,
                base_digest=self.architecture.identity.weights_digest,
            )
        return checkpoint

    def _take_up(self, state: State) -> None:
        """Go on with a checkpoint's rung: what memory ran out with is not tried again, and the steps stay the same."""
        if state.rung in self.ladder:
            self._move_to(self.ladder.index(state.rung))
            return
        message = (
            f"the checkpoint is of a run with {state.rung}, which is not to be had here: it goes on with {self.rung}"
        )
        self._report(Progress(stage="resume", done=state.step, message=message))

    def _restore(self, checkpoint: Checkpoint) -> None:
        state = checkpoint.state
        self.learner.restore(checkpoint)
        self.started_at = state.started_at
        self.clock.set(state.seconds, state.step)
        self.validation = list(state.validation)
        self.done = state.step
        self._compile(state.compiled)
        self._report(Progress(stage="resume", done=state.step, total=self.recipe.length.steps, unit="steps"))

    def _read_captions(self, texts: TextStates, report: Report) -> None:
        """Encode what the steps will read, so that they need no frozen text encoder, unless it is too much."""
        readings = self.course.readings(self.objective, MOST_READINGS)
        if readings is None:
            # The encoder stays, so it is there before it is asked what fits.
            with torch.no_grad():
                self.architecture.encode_text([""], self.recipe.captions.clip_skip)
        else:
            readings |= set(self.objective.fixed_readings(self.followed))
            texts.prepare(sorted(readings), report)
            self.architecture.release("text", self._trained_text)

    def _one_step(self, step: int) -> Tensor:
        loss = self.learner.gradients(step, self.rung.split)
        self.learner.update(step)
        return loss

    def _within_memory(self, step: int, work: Callable[[], T]) -> T:
        """What ``work`` answers, on a rung where it fits."""
        while (answer := self._tried(step, work)) is None:
            self.learner.forget()
            if self._out_of_memory:
                self._descend(step)
        return answer

    def _tried(self, step: int, work: Callable[[], T]) -> T | None:
        """What ``work`` answers; None if memory ran out, or if it has to be done again without compiled blocks."""
        try:
            return work()
        except Exception as error:
            if self._compiled and is_compiler_missing(error):
                self._compile(wanted=False)
                self._report(
                    Progress(stage="train", done=step, message="the blocks can't be compiled here: plain ones")
                )
            elif self.team.size > 1 or not ladder.is_out_of_memory(error):
                raise
            else:
                self._out_of_memory = True
            return None

    def _descend(self, step: int) -> None:
        self._out_of_memory = False
        gc.collect()
        give_back(self.architecture.device)
        self._move_to(ladder.lower(self.ladder, self._rung))
        self._apply(self.rung)
        self.memory.forget_peak()
        message = f"memory ran out at step {step + 1}: it goes on with {self.rung}"
        self._report(Progress(stage="train", done=step, total=self.recipe.length.steps, unit="steps", message=message))

    def _move_to(self, index: int) -> None:
        if index != self._rung:
            self._rung = index
            self.forecast = moved(self.forecast, self._work, self.rung)

    def _compile(self, wanted: bool) -> None:
        if wanted != self._compiled:
            self._compiled = wanted and compile_blocks(self.architecture.denoiser)
            if not wanted:
                uncompile(self.architecture.denoiser)

    def _apply(self, rung: Rung) -> None:
        if rung.checkpointing:
            self.architecture.denoiser.enable_gradient_checkpointing()
        if rung.int8 or rung.offload:
            hold(self.architecture.denoiser, self.architecture.device, int8=rung.int8, offload=rung.offload)
