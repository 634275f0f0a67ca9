"""Optimizers: the known ones and any class learn, and go on from a checkpoint as if there had been no stop."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from hubman.train.learning.optimizers import Group, class_path, estimate, is_stuck, make_optimizer
from hubman.train.learning.state_tree import flatten, restore_tree
from registry.errors import HubError, MissingExtraError, UsageError

CPU = torch.device("cpu")
ANY = "torch.optim.NAdam"


class Problem:
    """A small least-squares problem with two groups of parameters."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        self.inputs = torch.randn(64, 8, generator=generator)
        self.answers = self.inputs @ torch.randn(8, 3, generator=generator)
        self.down = torch.nn.Parameter(torch.randn(8, 4, generator=generator))
        self.up = torch.nn.Parameter(torch.zeros(4, 3))

    def optimizer(self, name: str, rate: float, up: float | None = None, **arguments: Any) -> torch.optim.Optimizer:
        groups = [Group("down", [self.down], rate), Group("up", [self.up], rate if up is None else up)]
        return make_optimizer(name, groups, CPU, weight_decay=0.01, arguments=arguments)

    def loss(self) -> torch.Tensor:
        return (self.inputs @ self.down @ self.up - self.answers).square().mean()

    def train(self, optimizer: torch.optim.Optimizer, steps: int) -> list[float]:
        losses = []
        for _ in range(steps):
            loss = self.loss()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            losses.append(loss.item())
        return losses


@pytest.mark.parametrize(
    ("name", "rate"), [("adamw", 0.03), ("prodigy", 1.0), ("adafactor", 0.03), ("lion", 0.02), (ANY, 0.03)]
)
def test_an_optimizer_learns_and_its_checkpoint_goes_on_exactly(name: str, rate: float) -> None:
    whole = Problem()
    losses = whole.train(whole.optimizer(name, rate), 120)
    assert losses[-1] < losses[0] / 2

    stopped = Problem()
    optimizer = stopped.optimizer(name, rate)
    stopped.train(optimizer, 50)
    parts = {"weights": {"down": stopped.down.detach(), "up": stopped.up.detach()}, "optimizer": optimizer.state_dict()}
    parts = restore_tree(*flatten(parts))
    resumed = Problem()
    with torch.no_grad():
        resumed.down.copy_(parts["weights"]["down"])
        resumed.up.copy_(parts["weights"]["up"])
    optimizer = resumed.optimizer(name, rate)
    optimizer.load_state_dict(parts["optimizer"])
    assert resumed.train(optimizer, 70) == losses[50:]
    assert torch.equal(resumed.up, whole.up)
    assert torch.equal(resumed.down, whole.down)


def test_groups_learn_at_their_own_rates() -> None:
    problem = Problem()
    start = problem.down.detach().clone()
    optimizer = problem.optimizer("adamw", 0.0, up=0.01)
    problem.train(optimizer, 3)
    assert torch.equal(problem.down, start)
    assert float(problem.up.detach().abs().max()) > 0.02
    assert [group["base_lr"] for group in optimizer.param_groups] == [0.0, 0.01]


def test_arguments_reach_the_class_and_replace_what_the_name_sets() -> None:
    optimizer = Problem().optimizer("prodigy", 1.0, d_coef=2.0, betas=(0.5, 0.6))
    group = optimizer.param_groups[0]
    assert (group["d_coef"], group["betas"]) == (2.0, (0.5, 0.6))
    assert Problem().optimizer("prodigy", 1.0).param_groups[0]["betas"] == (0.9, 0.99)
    assert Problem().optimizer("adamw", 0.1).defaults["fused"]
    assert not Problem().optimizer("adamw", 0.1, fused=False).defaults["fused"]
    assert not Problem().optimizer("adafactor", 0.1).defaults["relative_step"]


def test_prodigy_tells_its_step_and_whether_it_is_stuck() -> None:
    problem = Problem()
    optimizer = problem.optimizer("prodigy", 1.0)
    assert estimate(optimizer) == pytest.approx(1e-6)
    assert is_stuck(optimizer, step=50, steps=1000)
    assert not is_stuck(optimizer, step=49, steps=1000)
    assert not is_stuck(optimizer, step=19, steps=100)
    problem.train(optimizer, 20)
    found = estimate(optimizer)
    assert found is not None
    assert found > 1e-5
    assert not is_stuck(optimizer, step=50, steps=1000)
    others = [Problem().optimizer(name, 0.1) for name in ("adamw", "adafactor", "torch.optim.Adafactor")]
    assert [estimate(other) for other in others] == [None] * 3
    assert not any(is_stuck(other, step=50, steps=50) for other in others)


@pytest.mark.parametrize(
    ("name", "arguments", "error", "said"),
    [
        ("adam", {}, UsageError, "no optimizer 'adam'"),
        ("nowhere.Optimizer", {}, MissingExtraError, "nowhere.Optimizer is not installed"),
        ("torch.optim.Nothing", {}, UsageError, "no torch optimizer"),
        ("os.system", {}, UsageError, "no torch optimizer"),
        ("adamw", {"momentum": 1}, UsageError, "momentum"),
        ("adamw", {"betas": (2.0, 0.9)}, UsageError, "beta"),
        ("adamw8bit", {}, UsageError, "CUDA"),
    ],
)
def test_what_cannot_be_used_is_said_in_one_line(
    name: str, arguments: dict[str, Any], error: type[HubError], said: str
) -> None:
    with pytest.raises(error, match=said) as raised:
        Problem().optimizer(name, 0.1, **arguments)
    assert "\n" not in str(raised.value)


def test_a_name_stands_for_a_class() -> None:
    assert class_path("adamw") == "torch.optim.adamw.AdamW"
    assert class_path("lion") == "pytorch_optimizer.optimizer.lion.Lion"
    assert class_path("torch.optim.NAdam") == "torch.optim.nadam.NAdam"
