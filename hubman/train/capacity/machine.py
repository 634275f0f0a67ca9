"""The machine that trains: its device, how fast it is, and what a recipe may expect of it."""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch

from hubman.train.adapters.network import Network
from hubman.train.architectures.base import Architecture
from hubman.train.capacity import ladder
from hubman.train.capacity.forecast import Forecast, Workload, need, step_seconds
from hubman.train.capacity.ladder import Rung
from hubman.train.data.buckets import Size
from hubman.train.recipe import Recipe

_SIDE = {"cpu": 768, "cuda": 4096, "mps": 2048}
_ROUNDS = 3
_STATES = {"adamw": 8, "adamw8bit": 2, "prodigy": 16, "lion": 4, "adafactor": 1}
"""Bytes that an optimizer keeps for each trained parameter; a class by path counts as AdamW."""


def pick_device() -> torch.device:
    """The accelerator of this machine if there is one, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def speed(device: torch.device, dtype: torch.dtype) -> float:
    """Floating-point operations a second of a plain matrix product; takes a few hundredths of a second."""
    side = _SIDE.get(device.type, 1024)
    a = torch.ones(side, side, device=device, dtype=dtype)
    best = float("inf")
    for _ in range(_ROUNDS + 1):
        began = time.perf_counter()
        product = a @ a
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        best = min(best, time.perf_counter() - began)
    del product
    return 2 * side**3 / best


def workload_of(recipe: Recipe, architecture: Architecture, network: Network, sizes: Sequence[Size]) -> Workload:
    """What ``recipe`` trains, counted on the loaded model."""
    own = {id(parameter) for parameter in network.parameters()}
    frozen = [each for each in architecture.denoiser.parameters() if id(each) not in own]
    return Workload(
        family=recipe.family,
        parameters=sum(each.numel() for each in frozen),
        trained=sum(each.numel() for each in network.parameters()),
        reading=architecture.loaded("text"),
        pixels=max(width * height for width, height in sizes),
        batch=recipe.length.batch,
        batches=recipe.length.accumulate,
        weight_bytes=weight_bytes(recipe),
        state_bytes=state_bytes(recipe),
    )


def weight_bytes(recipe: Recipe) -> int:
    return 4 if recipe.machine.dtype == "fp32" else 2


def state_bytes(recipe: Recipe) -> int:
    """What the optimizer, and a running mean, keep for one trained parameter."""
    return _STATES.get(recipe.optimizer.name, 8) + (4 if recipe.network.ema else 0)


def expect(
    recipe: Recipe, workload: Workload, device: torch.device, free: int, *, team: int = 1
) -> tuple[tuple[Rung, ...], int, Forecast]:
    """The rungs that the recipe allows, the index of the one to begin with, and what that is going to take."""
    machine = recipe.machine
    rungs = ladder.rungs(
        workload.batch,
        checkpointing=machine.checkpointing,
        offload=machine.offload,
        quantize=machine.quantize,
        host=device.type == "cpu",
    )
    index = ladder.choose(rungs, lambda rung: need(workload, rung).total, free)
    dtype = torch.float32 if machine.dtype == "fp32" else torch.bfloat16
    forecast = Forecast(
        rung=rungs[index],
        need=need(workload, rungs[index]),
        free=free,
        step_seconds=step_seconds(workload, rungs[index], speed(device, dtype)),
        steps=recipe.length.steps,
        effective_batch=workload.batch * workload.batches * team,
    )
    return rungs, index, forecast
