"""One training in memory: the model, the data and the optimizer, and how a step is taken."""

from __future__ import annotations

import gc
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from hubman.progress import Progress, Report
from hubman.train import architectures, held_out, ladder
from hubman.train.architectures.base import Architecture
from hubman.train.batches import BatchPlan, keyed_seed
from hubman.train.checkpoint import State, check_same, last_checkpoint, network_part, restore, save_checkpoint
from hubman.train.clock import Clock
from hubman.train.dataset import Dataset
from hubman.train.encoded import Encoded
from hubman.train.held_weights import hold
from hubman.train.ladder import Rung
from hubman.train.machine import expect, pick_device, workload_of
from hubman.train.material import Item, TextStates, encode_items
from hubman.train.memory import Memory
from hubman.train.network import Network
from hubman.train.objective import Objective
from hubman.train.rates import make_optimizer, rate_at
from hubman.train.recipe import Recipe
from hubman.train.team import Team

_PART = 1 << 40
"""Parts of a batch draw their noise as batches far behind the last one."""


class Training:
    """A recipe on its base and its dataset, from the first step or from a checkpoint."""

    def __init__(self, recipe: Recipe, dataset: Dataset, checkpoints: Path, cache: Path, report: Report) -> None:
        self.recipe, self.dataset, self._checkpoints, self._report = recipe, dataset, checkpoints, report
        self.team = Team()
        device = self.team.device or pick_device()
        report(Progress(stage="load base"))
        self.architecture: Architecture = architectures.load(recipe, device)
        self._encode(cache, device)
        sizes, repeats = zip(*((item.size, item.repeats) for item in self.items), strict=True)
        self.plan = BatchPlan(sizes, recipe.length.batch, recipe.seed, repeats)
        self.network = _network(self.architecture, recipe)
        self.optimizer = make_optimizer(self.network, recipe, device)
        self.objective = Objective(self.architecture, recipe, self._texts)
        self.memory = Memory(device)
        self.clock = Clock()
        self.validation: list[float] = []
        self.started_at = time.time()
        work = workload_of(recipe, self.architecture, self.network, sizes)
        self.ladder, self._rung, self.forecast = expect(recipe, work, device, self.memory.free, team=self.team.size)
        self._apply(self.rung)

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
        restore(checkpoint, self.network, self.optimizer)
        self.started_at = state.started_at
        self.clock.set(state.seconds, state.step)
        self.validation = list(state.validation)
        while state.rung != self.rung and self._rung + 1 < len(self.ladder):
            # What memory once ran out with is not tried again, and the steps stay the same to the last bit.
            self._rung += 1
        self._apply(self.rung)
        self._report(Progress(stage="resume", done=state.step, total=self.recipe.length.steps, unit="steps"))
        return state.step

    def step(self, step: int) -> Tensor:
        """One optimizer step (``step`` counts from 0); its loss, still on the device.

        Where memory runs out, the step is done again one rung lower. Raises HubError below the last rung.
        """
        while (loss := self._gradients(step)) is None:
            self._descend(step)
        loss = self.team.sum(self.network.parameters(), loss)
        rate = rate_at(step, self.recipe)
        for group in self.optimizer.param_groups:
            group["lr"] = group["base_lr"] * rate
        if self.recipe.optimizer.max_grad_norm:
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.optimizer.max_grad_norm)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return loss

    def rates(self) -> dict[str, float]:
        """The full rate of each group of parameters, by the group's name."""
        groups = enumerate(self.optimizer.param_groups)
        return {str(group.get("name", i)): float(group["base_lr"]) for i, group in groups}

    def release_encoders(self) -> None:
        """Give back what drawing loaded and steps do not need."""
        self.architecture.release("image")
        if not self.recipe.optimizer.text_lr:
            self.architecture.release("text")

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
        )
        parts = {"network": network_part(self.network), "optimizer": self.optimizer.state_dict()}
        save_checkpoint(self._checkpoints, state, parts)

    def _encode(self, cache: Path, device: torch.device) -> None:
        recipe, report = self.recipe, self._report
        encoded = Encoded(self.architecture, cache, recipe.machine.dtype)
        every = encode_items(self.dataset, encoded, recipe, report)
        watch = recipe.watch
        self.items, self.followed = held_out.split(every, watch.validation_images, held_out=watch.held_out)
        self.architecture.release("image")
        self._texts = TextStates(encoded, recipe.captions.clip_skip, device)
        if not recipe.optimizer.text_lr:
            self._texts.prepare([*(item.caption for item in every), *([""] if recipe.captions.dropout else [])], report)
            self.architecture.release("text")
        encoded.trim()
        if encoded.problem:
            report(Progress(stage="encode images", message=f"nothing is kept for the next run: {encoded.problem}"))

    def _gradients(self, step: int) -> Tensor | None:
        """The summed loss of the step's batches, their gradients beside the weights; None if memory ran out."""
        try:
            losses = [self._backward(step, which) for which in range(self.recipe.length.accumulate)]
        except Exception as error:
            if self.team.size > 1 or not ladder.is_out_of_memory(error):
                raise
            return None
        return torch.stack(losses).sum()

    def _backward(self, step: int, which: int) -> Tensor:
        number = (step * self.recipe.length.accumulate + which) * self.team.size + self.team.rank
        items = [self.items[i] for i in self.plan.at(number)]
        share = 1 / (self.recipe.length.accumulate * self.team.size)
        total = torch.zeros((), device=self.architecture.device)
        for part, some in enumerate(_parts(items, self.rung.split)):
            loss = self.objective.loss(some, number + part * _PART) * (share * len(some) / len(items))
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            total += loss.detach()
        return total

    def _descend(self, step: int) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        gc.collect()
        if self.architecture.device.type == "cuda":
            torch.cuda.empty_cache()
        self._rung = ladder.lower(self.ladder, self._rung)
        self._apply(self.rung)
        message = f"memory ran out at step {step + 1}: it goes on with {self.rung}"
        self._report(Progress(stage="train", done=step, total=self.recipe.length.steps, unit="steps", message=message))

    def _apply(self, rung: Rung) -> None:
        if rung.checkpointing:
            self.architecture.denoiser.enable_gradient_checkpointing()
        if rung.int8 or rung.offload:
            hold(self.architecture.denoiser, int8=rung.int8, offload=rung.offload)


def _parts(items: Sequence[Item], count: int) -> list[Sequence[Item]]:
    size = -(-len(items) // count)
    return [items[i : i + size] for i in range(0, len(items), size)]


def _network(architecture: Architecture, recipe: Recipe) -> Network:
    return Network(
        architecture.targets(conv=recipe.network.conv_rank > 0, text=recipe.optimizer.text_lr > 0),
        rank=recipe.network.rank,
        alpha=recipe.network.alpha,
        conv_rank=recipe.network.conv_rank,
        conv_alpha=recipe.network.conv_alpha,
        seed=keyed_seed(recipe.seed, "network"),
    )
