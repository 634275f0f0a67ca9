"""What changes at each step: the network, its optimizer, and the running mean of its weights."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

from hubman.train.adapters.network import Network
from hubman.train.capacity.ladder import is_out_of_memory
from hubman.train.capacity.team import Team
from hubman.train.learning.batches import keyed_seed
from hubman.train.learning.checkpoint import Checkpoint, network_part, restore
from hubman.train.learning.course import Course
from hubman.train.learning.ema import Ema
from hubman.train.learning.optimizers import estimate, is_stuck
from hubman.train.learning.rates import optimizer_for, rate_at
from hubman.train.loss.objective import Objective
from hubman.train.recipe import Recipe
from registry.errors import HubError

_PART = 1 << 40
"""Parts of a batch draw their dropouts as batches far behind the last one."""


class Learner:
    """Takes the steps of a recipe. All that is random in one follows from the seed and its number."""

    def __init__(
        self,
        recipe: Recipe,
        network: Network,
        objective: Objective,
        course: Course,
        device: torch.device,
        team: Team | None = None,
    ) -> None:
        """The network is where it is trained already: its optimizer keeps what it finds."""
        self._recipe, self._network, self._objective, self._course = recipe, network, objective, course
        self._device, self._team = device, team or Team()
        self._optimizer = optimizer_for(network, recipe, device)
        self._ema = Ema(network.parameters(), recipe.network.ema) if recipe.network.ema else None

    def gradients(self, step: int, split: int = 1) -> Tensor:
        """Put the gradients of a step (``step`` counts from 0) beside the weights; its mean loss, on the device.

        Each batch goes through the model in ``split`` parts, which sum up to the same but for the network's dropouts.
        """
        total = torch.zeros((), device=self._device)
        for items, batch, pass_ in self._course.batches(step):
            size = -(-len(items) // split)
            for part, start in enumerate(range(0, len(items), size)):
                rows, number = slice(start, start + size), batch + part * _PART
                share = len(items[rows]) / len(items) / (self._recipe.length.accumulate * self._team.size)
                with self._network.dropping(keyed_seed(self._recipe.seed, "dropout", number)):
                    loss = self._objective.loss(items, batch, pass_, rows) * share
                    loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
                total += loss.detach()
        return self._team.sum(self._network.parameters(), total)

    def forget(self) -> None:
        """Drop the gradients."""
        self._optimizer.zero_grad(set_to_none=True)

    def update(self, step: int) -> None:
        """Take the step that the gradients ask for, and drop them.

        Raises what says that memory ran out with everything as before but the gradients, so that the step can be done
        again; HubError where some weights had moved already.
        """
        rate = rate_at(step, self._recipe)
        for group in self._optimizer.param_groups:
            group["lr"] = group["base_lr"] * rate
        if self._recipe.optimizer.max_grad_norm:
            torch.nn.utils.clip_grad_norm_(self._network.parameters(), self._recipe.optimizer.max_grad_norm)
        self._move()
        self._network.limit_norms(self._recipe.network.max_norm)
        self.forget()
        if self._ema:
            self._ema.update(step)

    def _move(self) -> None:
        """The optimizer's step; in the first one it allocates its whole state."""
        state, parameters = self._optimizer.state, self._network.parameters()
        known, before = set(state), [parameter._version for parameter in parameters]
        try:
            self._optimizer.step()
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            if [parameter._version for parameter in parameters] != before:
                hint = "resume from the last checkpoint, with machine.checkpointing on"
                raise HubError("memory ran out in the middle of an optimizer's step", hint) from error
            for half_made in state.keys() - known:
                del state[half_made]
            raise

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
