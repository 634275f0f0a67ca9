"""The optimizer of a recipe and its rate at each step."""

from __future__ import annotations

import torch

from hubman.train.adapters.network import Network
from hubman.train.learning.optimizers import Group, make_optimizer
from hubman.train.learning.schedules import rate_share
from hubman.train.recipe import Recipe


def optimizer_for(network: Network, recipe: Recipe, device: torch.device) -> torch.optim.Optimizer:
    """The recipe's optimizer over the LoRA: a group for the model and one for each text encoder, with LoRA+ two of each."""
    settings = recipe.optimizer
    ups = (False, True) if settings.lora_plus != 1 else (None,)
    groups = [
        Group(f"{part}{' up' if up else ''}", parameters, rate * (settings.lora_plus if up else 1))
        for part, rate in settings.rates.items()
        for up in ups
        if (parameters := network.parameters(part=part, up=up))
    ]
    arguments = settings.args
    if settings.name == "prodigy" and recipe.schedule.warmup:
        # The small rates of a warm-up would make it overestimate d.
        arguments = {"safeguard_warmup": True, **arguments}
    return make_optimizer(settings.name, groups, device, weight_decay=settings.weight_decay, arguments=arguments)


def rate_at(step: int, recipe: Recipe) -> float:
    """The share of the full rate at ``step`` (from 0)."""
    schedule, steps = recipe.schedule, recipe.length.steps
    return rate_share(
        step,
        steps,
        schedule.shape,
        warmup=round(schedule.warmup * steps),
        restarts=schedule.restarts,
        power=schedule.power,
        floor=schedule.floor,
    )
