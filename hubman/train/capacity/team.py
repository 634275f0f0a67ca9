"""Several processes that train one LoRA: each takes its share of the batches, and the gradients are summed.

Started by ``accelerate launch``, which says in the environment who is who; alone, a team of one.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor


class Team:
    """The place of this process among those that train together."""

    def __init__(self) -> None:
        self.rank, self.size = 0, 1
        self.device: torch.device | None = None
        """Where this process trains; None leaves the choice to the trainer."""
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            from accelerate import PartialState

            state = PartialState(cpu=not torch.cuda.is_available())
            self.rank, self.size, self.device = state.process_index, state.num_processes, state.device

    @property
    def leads(self) -> bool:
        """Whether this is the one process that writes and reports."""
        return self.rank == 0

    @contextmanager
    def folder(self, run_dir: Path) -> Iterator[Path]:
        """Where this process writes: the run's folder if it leads, else one that is gone afterwards."""
        if self.leads:
            yield run_dir
            return
        with tempfile.TemporaryDirectory() as temporary:
            yield Path(temporary)

    def sum(self, parameters: Sequence[Tensor], loss: Tensor) -> Tensor:
        """Sum the gradients of ``parameters`` over the team, in place; returns the summed ``loss``.

        One message for all of them: a LoRA's gradients are few.
        """
        if self.size == 1:
            return loss
        import torch.distributed as dist

        grads = [each.grad if each.grad is not None else torch.zeros_like(each) for each in parameters]
        flat = torch.cat([*(grad.flatten() for grad in grads), loss.reshape(1).to(grads[0].dtype)])
        dist.all_reduce(flat)
        summed = torch.split(flat[:-1], [each.numel() for each in grads])
        for parameter, grad, values in zip(parameters, grads, summed, strict=True):
            parameter.grad = values.view_as(grad)
        return flat[-1]

    def agree(self, wish: bool) -> bool:
        """Whether any of the team wishes so: what one stops for, all stop for."""
        if self.size == 1:
            return wish
        import torch.distributed as dist

        flag = torch.tensor([float(wish)], device=self.device)
        dist.all_reduce(flag, op=dist.ReduceOp.MAX)
        return bool(flag.item())
