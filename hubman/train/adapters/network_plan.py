"""Which adapter each target gets: the recipe's network, with ranks by pattern."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hubman.train.adapters.forms import Form
from hubman.train.adapters.network import FormOf, Network, Target
from hubman.train.adapters.network_start import start_from
from hubman.train.learning.batches import keyed_seed
from hubman.train.recipe import Recipe
from hubman.train.settings.network import NetworkSettings
from registry.errors import UsageError


def make_network(targets: Sequence[Target], recipe: Recipe, *, begin: bool = True) -> Network:
    """The recipe's network in place at ``targets``; with ``begin`` as it is before the first step.

    Raises UsageError for a pattern that finds no module, for a network without modules, for what cannot be combined,
    and for a file to start from that does not fit.
    """
    found = form_of(recipe.network)
    network = Network(targets, found, seed=keyed_seed(recipe.seed, "network"))
    for pattern in recipe.network.patterns:
        if not any(re.search(pattern.match, target.key) for target in targets):
            raise UsageError(
                f"network.patterns: {pattern.match!r} finds no module",
                "correct it; convolutions need network.conv_rank",
            )
    if not network.layers:
        raise UsageError("the network has no modules: each has rank 0", "give network.patterns a rank above 0")
    if begin and recipe.network.start_from:
        start_from(network, Path(recipe.network.start_from))
    return network


def form_of(settings: NetworkSettings) -> FormOf:
    """The form of each target: wide convolutions have a rank of their own, then the first pattern found decides."""
    form = Form(
        kind="lora" if settings.type == "dora" else settings.type,
        rank=settings.rank,
        alpha=settings.alpha,
        rank_stabilised=settings.rank_stabilized,
        dora=settings.dora_axis if settings.type == "dora" else "none",
        tucker=settings.tucker,
        factor=settings.factor,
        both=settings.decompose_both,
        dropout=settings.dropout,
        rank_dropout=settings.rank_dropout,
        module_dropout=settings.module_dropout,
    )
    ratio = settings.alpha / settings.rank
    patterns = [(re.compile(each.match), each.rank, each.alpha) for each in settings.patterns]

    def chosen(target: Target) -> Form | None:
        rank, alpha = (settings.conv_rank, settings.conv_alpha) if target.wide else (settings.rank, settings.alpha)
        for pattern, own_rank, own_alpha in patterns:
            if pattern.search(target.key):
                rank, alpha = own_rank, own_alpha or 0.0
                break
        return replace(form, rank=rank, alpha=alpha or rank * ratio) if rank else None

    return chosen
