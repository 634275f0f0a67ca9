"""What changes at each step: the network, its optimizer, and the running mean of its weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

from hubman.train.batches import BatchPlan, keyed_seed
from hubman.train.checkpoint import Checkpoint, network_part, restore
from hubman.train.ema import Ema
from hubman.train.material import Item
from hubman.train.network import Network
from hubman.train.objective import Objective
from hubman.train.optimizers import estimate, is_stuck
from hubman.train.rates import optimizer_for, rate_at
from hubman.train.recipe import Recipe
from hubman.train.team import Team

_PART = 1 << 40
"""Parts of a batch draw their noise as batches far behind the last one."""

MOST_STEPS = 50_000


class Learner:
    """Takes the steps of a recipe. All that is random in one follows from the seed and its number."""

    def __init__(
        self,
        recipe: Recipe,
        network: Network,
        objective: Objective,
        items: Sequence[Item],
        device: torch.device,
        team: Team | None = None,
    ) -> None:
        self._recipe, self._network, self._objective, self._items = recipe, network, objective, items
        self._device, self._team = device, team or Team()
        sizes, repeats = [item.size for item in items], [item.repeats for item in items]
        self.plan = BatchPlan(sizes, recipe.length.batch, recipe.seed, repeats)
        self._optimizer = optimizer_for(network, recipe, device)
        self._ema = Ema(network.parameters(), recipe.network.ema) if recipe.network.ema else None

    def batches(self, step: int) -> Iterator[tuple[Sequence[Item], int, int]]:
        """The batches of a step: their images, their number in the run, and the pass over the data set.

        In a team each process has its share of them.
        """
        count = self._recipe.length.accumulate * self._team.size
        for batch in range(step * count + self._team.rank, (step + 1) * count, self._team.size):
            yield [self._items[i] for i in self.plan.at(batch)], batch, batch // self.plan.batches_per_pass

    def readings(self, most: int) -> set[str] | None:
        """Every caption as it will be read in the run; None if there are more than ``most``.

        Of a very long run the first :data:`MOST_STEPS` steps are looked at: what comes up after them is rare.
        """
        found = set(self._objective.fixed_readings(self._items))
        for step in range(min(self._recipe.length.steps, MOST_STEPS)):
            for items, batch, pass_ in self.batches(step):
                found.update(self._objective.readings(items, batch, pass_))
            if len(found) > most:
                return None
        return found

    def gradients(self, step: int, split: int = 1) -> Tensor:
        """Put the gradients of a step (``step`` counts from 0) beside the weights; its mean loss, on the device.

        Each batch goes through the model in ``split`` parts, which draw noise of their own.
        """
        total = torch.zeros((), device=self._device)
        for items, batch, pass_ in self.batches(step):
            size = -(-len(items) // split)
            for part, start in enumerate(range(0, len(items), size)):
                some, number = items[start : start + size], batch + part * _PART
                share = len(some) / len(items) / (self._recipe.length.accumulate * self._team.size)
                with self._network.dropping(keyed_seed(self._recipe.seed, "dropout", number)):
                    loss = self._objective.loss(some, number, pass_) * share
                    loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
                total += loss.detach()
        return self._team.sum(self._network.parameters(), total)

    def forget(self) -> None:
        """Drop the gradients."""
        self._optimizer.zero_grad(set_to_none=True)

    def update(self, step: int) -> None:
        """Take the step that the gradients ask for, and drop them."""
        rate = rate_at(step, self._recipe)
        for group in self._optimizer.param_groups:
            group["lr"] = group["base_lr"] * rate
        if self._recipe.optimizer.max_grad_norm:
            torch.nn.utils.clip_grad_norm_(self._network.parameters(), self._recipe.optimizer.max_grad_norm)
        self._optimizer.step()
        self._network.limit_norms(self._recipe.network.max_norm)
        self.forget()
        if self._ema:
            self._ema.update(step)

    @property
    def rates(self) -> dict[str, float]:
        """The full rate of each group of parameters, by the group's name."""
        return {str(group["name"]): float(group["base_lr"]) for group in self._optimizer.param_groups}

    @property
    def step_size(self) -> float | None:
        """The ``d`` of Prodigy; None for an optimizer whose rate is the recipe's."""
        return estimate(self._optimizer)

    def is_stuck(self, step: int) -> bool:
        """Whether Prodigy should have found a step size after ``step`` steps and has not."""
        return is_stuck(self._optimizer, step, self._recipe.length.steps)

    def kept(self) -> AbstractContextManager[None]:
        """Within it the network has the weights that are kept: its running mean if the recipe wants that."""
        return self._ema.applied() if self._ema else nullcontext()

    def parts(self) -> dict[str, Any]:
        """What a checkpoint holds of it."""
        parts = {"network": network_part(self._network), "optimizer": self._optimizer.state_dict()}
        return {**parts, "ema": self._ema.state_dict()} if self._ema else parts

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go back to where the checkpoint was written. Raises HubError if it does not fit."""
        restore(checkpoint, self._network, self._optimizer, self._ema)
