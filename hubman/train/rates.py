"""The optimizer and its rate at each step."""

from __future__ import annotations

import math

import torch

from hubman.train.network import Network
from hubman.train.recipe import Recipe


def make_optimizer(network: Network, recipe: Recipe, device: torch.device) -> torch.optim.AdamW:
    """AdamW over the LoRA, one group for the UNet and one for text encoders, each with its full rate as ``base_lr``."""
    rates = ((False, recipe.optimizer.unet_lr), (True, recipe.optimizer.text_lr))
    groups = [{"params": network.parameters(text=text), "lr": rate, "base_lr": rate} for text, rate in rates]
    groups = [group for group in groups if group["params"]]
    return torch.optim.AdamW(groups, weight_decay=recipe.optimizer.weight_decay, fused=device.type in ("cpu", "cuda"))


def rate_at(step: int, recipe: Recipe) -> float:
    """The share of the full rate at ``step`` (from 0): linear warm-up, then the schedule."""
    warmup = round(recipe.schedule.warmup * recipe.length.steps)
    if step < warmup:
        return (step + 1) / warmup
    progress = (step - warmup) / max(1, recipe.length.steps - warmup)
    match recipe.schedule.shape:
        case "cosine":
            share = 0.5 * (1 + math.cos(math.pi * progress))
        case "cosine_restarts":
            share = 0.5 * (1 + math.cos(math.pi * (progress * recipe.schedule.restarts % 1)))
        case "linear":
            share = 1 - progress
        case "polynomial":
            share = (1 - progress) ** recipe.schedule.power
        case "constant":
            share = 1.0
    return max(share, recipe.schedule.floor)
