"""Checkpoints: any optimizer's state comes back exactly, and what can't be read is passed over."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hubman.train.learning.checkpoint import State, last_checkpoint, save_checkpoint
from hubman.train.learning.state_tree import flatten, restore_tree
from registry.errors import HubError

OPTIMIZERS: dict[str, Callable[[list[torch.nn.Parameter]], torch.optim.Optimizer]] = {
    "adamw": lambda parameters: torch.optim.AdamW(parameters, lr=0.1, fused=True),
    "sgd": lambda parameters: torch.optim.SGD(parameters, lr=0.1, momentum=0.9, nesterov=True),
    "adafactor": lambda parameters: torch.optim.Adafactor(parameters, lr=0.1),
    "nadam": lambda parameters: torch.optim.NAdam(parameters, lr=0.1),
    "rprop": lambda parameters: torch.optim.Rprop(parameters, lr=0.1),
}

leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
trees = st.recursive(
    leaves,
    lambda below: (
        st.lists(below, max_size=3)
        | st.lists(below, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=4) | st.integers(), below, max_size=3)
    ),
    max_leaves=8,
)


@given(trees)
def test_a_nested_state_comes_back_as_it_was(tree: Any) -> None:
    tensors, text = flatten(tree)
    assert restore_tree(tensors, text) == tree


def test_tensors_come_back_with_their_type_also_shared_ones(tmp_path: Path) -> None:
    shared = torch.arange(6, dtype=torch.uint8).reshape(2, 3).t()
    parts = {"a": {0: shared, "rate": math.inf}, "b": (shared, torch.tensor(1.5, dtype=torch.bfloat16))}
    save_checkpoint(tmp_path, _state(1), parts)
    found = last_checkpoint(tmp_path)
    assert found is not None
    assert found.parts["a"][0].dtype == torch.uint8
    assert torch.equal(found.parts["a"][0], shared)
    assert found.parts["a"]["rate"] == math.inf
    assert found.parts["b"][1].dtype == torch.bfloat16


def test_what_cannot_be_written_down_is_refused() -> None:
    with pytest.raises(TypeError, match=r"optimizer\.hook"):
        flatten({"optimizer": {"hook": object()}})


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_goes_on_exactly(name: str, tmp_path: Path) -> None:
    def step(parameters: list[torch.nn.Parameter], optimizer: torch.optim.Optimizer, number: int) -> None:
        for parameter in parameters:
            parameter.grad = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(number))
        optimizer.step()

    whole = [torch.nn.Parameter(torch.ones(3, 4)), torch.nn.Parameter(torch.ones(2))]
    optimizer = OPTIMIZERS[name](whole)
    for number in range(4):
        step(whole, optimizer, number)
        if number == 1:
            parts = {"weights": [each.detach() for each in whole], "optimizer": optimizer.state_dict()}
            save_checkpoint(tmp_path, _state(2), parts)
    found = last_checkpoint(tmp_path)
    assert found is not None
    again = [torch.nn.Parameter(weight) for weight in found.parts["weights"]]
    resumed = OPTIMIZERS[name](again)
    resumed.load_state_dict(found.parts["optimizer"])
    for number in (2, 3):
        step(again, resumed, number)
    assert all(torch.equal(one, other) for one, other in zip(whole, again, strict=True))


@pytest.mark.parametrize("spoilt", [math.nan, math.inf])
def test_weights_that_are_not_finite_spoil_no_checkpoint(spoilt: float, tmp_path: Path) -> None:
    network = {"a": torch.ones(2), "b": torch.zeros(3)}
    save_checkpoint(tmp_path, _state(4), {"network": network})
    network["b"][1] = spoilt
    with pytest.raises(HubError, match="not finite after step 5") as refused:
        save_checkpoint(tmp_path, _state(5), {"network": network})
    assert "\n" not in str(refused.value)
    found = last_checkpoint(tmp_path)
    assert found is not None
    assert found.state.step == 4


def _state(step: int) -> State:
    return State(step=step, seconds=0.0, started_at=0.0, learning_digest="r", dataset_fingerprint="d", base_digest="b")
