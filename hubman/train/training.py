"""One training in memory: the model, the data and the optimizer, and how a step is taken."""

from __future__ import annotations

import gc
import time
from pathlib import Path

from torch import Tensor

from hubman.progress import Progress, Report
from hubman.train import architectures, held_out, ladder
from hubman.train.architectures.base import Architecture
from hubman.train.checkpoint import State, check_same, last_checkpoint, save_checkpoint
from hubman.train.clashes import refuse_clashes
from hubman.train.clock import Clock
from hubman.train.compiling import compile_blocks, is_compiler_missing, pays, uncompile
from hubman.train.dataset import Dataset
from hubman.train.encoded import Encoded
from hubman.train.held_weights import hold
from hubman.train.ladder import Rung
from hubman.train.learner import Learner
from hubman.train.machine import expect, pick_device, workload_of
from hubman.train.material import TextStates, encode_items
from hubman.train.memory import Memory, give_back
from hubman.train.network_plan import make_network
from hubman.train.objective import Objective
from hubman.train.recipe import Recipe
from hubman.train.team import Team

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
    ) -> None:
        self.recipe, self.dataset, self._checkpoints, self._report = recipe, dataset, checkpoints, report
        self.team = team or Team()
        device = self.team.device or pick_device()
        report(Progress(stage="load base"))
        self.architecture: Architecture = architectures.load(recipe, device)
        refuse_clashes(recipe, self.architecture.process.prediction)
        encoded = Encoded(self.architecture, cache, recipe.machine.dtype)
        every = encode_items(dataset, encoded, recipe, report)
        watch = recipe.watch
        self.items, self.followed = held_out.split(every, watch.validation_images, held_out=watch.held_out)
        self.architecture.release("image")
        captions, rates, self._trained_text = recipe.captions, recipe.optimizer.rates, recipe.optimizer.trained_text
        texts = TextStates(encoded, captions.clip_skip, device, captions.max_tokens // 75, self._trained_text)
        targets = self.architecture.targets(conv=recipe.network.conv_rank > 0, text=recipe.optimizer.trains_text)
        targets = [target for target in targets if not target.text or rates[target.part]]
        self.network = make_network(targets, recipe)
        del targets  # they would hold encoders that learn nothing
        self.objective = Objective(self.architecture, self.network, recipe, texts)
        self.learner = Learner(recipe, self.network, self.objective, self.items, device, self.team)
        if self.architecture.readers - self._trained_text:
            self._read_captions(texts)
        encoded.trim()
        if encoded.problem:
            report(Progress(stage="encode images", message=f"nothing is kept for the next run: {encoded.problem}"))
        give_back(device)
        self.memory = Memory(device)
        self.clock = Clock()
        self.validation: list[float] = []
        self.started_at = time.time()
        work = workload_of(recipe, self.architecture, self.network, [item.size for item in self.items])
        self.ladder, self._rung, self.forecast = expect(recipe, work, device, self.memory.free, team=self.team.size)
        self._apply(self.rung)
        self._compiled = self._out_of_memory = False
        self._compile(pays(recipe.machine.compile, device.type, self.forecast))

    @property
    def rung(self) -> Rung:
        """What is given up for memory at present."""
        return self.ladder[self._rung]

    def resume(self) -> int:
        """Go back to the last checkpoint; the steps done, 0 if there is none."""
        checkpoint = last_checkpoint(self._checkpoints)
        if checkpoint is None:
            return 0
        state = checkpoint.state
        check_same(
            state,
            learning_digest=self.recipe.learning_digest,
            dataset_fingerprint=self.dataset.fingerprint,
            base_digest=self.architecture.identity.weights_digest,
        )
        self.learner.restore(checkpoint)
        self.started_at = state.started_at
        self.clock.set(state.seconds, state.step)
        self.validation = list(state.validation)
        while state.rung != self.rung and self._rung + 1 < len(self.ladder):
            # What memory once ran out with is not tried again, and the steps stay the same to the last bit.
            self._rung += 1
        self._apply(self.rung)
        self._compile(state.compiled)
        self._report(Progress(stage="resume", done=state.step, total=self.recipe.length.steps, unit="steps"))
        return state.step

    def step(self, step: int) -> Tensor:
        """One optimizer step (``step`` counts from 0); its loss, still on the device.

        Where memory runs out, the step is done again one rung lower. Raises HubError below the last rung.
        """
        while (loss := self._gradients(step)) is None:
            self.learner.forget()
            if self._out_of_memory:
                self._descend(step)
        self.learner.update(step)
        return loss

    def release_encoders(self) -> None:
        """Give back what drawing loaded and steps do not need."""
        self.architecture.release("image")
        self.architecture.release("text", self._trained_text)
        give_back(self.architecture.device)

    def validate(self) -> float | None:
        """The loss at fixed noise of the followed images, which is kept; None where none are followed."""
        if not self.followed:
            return None
        self.validation.append(self.objective.validate(self.followed))
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

    def _read_captions(self, texts: TextStates) -> None:
        """Encode what the steps will read, so that they need no frozen text encoder, unless it is too much."""
        readings = self.learner.readings(MOST_READINGS)
        if readings is not None:
            readings |= set(self.objective.fixed_readings(self.followed))
            texts.prepare(sorted(readings), self._report)
            self.architecture.release("text", self._trained_text)

    def _gradients(self, step: int) -> Tensor | None:
        """The loss of a step whose gradients stand beside the weights; None if memory ran out."""
        try:
            return self.learner.gradients(step, self.rung.split)
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
        self._rung = ladder.lower(self.ladder, self._rung)
        self._apply(self.rung)
        message = f"memory ran out at step {step + 1}: it goes on with {self.rung}"
        self._report(Progress(stage="train", done=step, total=self.recipe.length.steps, unit="steps", message=message))

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
