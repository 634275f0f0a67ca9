"""Modules of a file as fused layers (kohya's names of transformers) or as their parts (diffusers' and PEFT's)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor

from hubman.lora.change import change_of
from hubman.lora.forms import Module, pair_of, scaled
from hubman.lora.keys import Site
from hubman.lora.split import joined
from registry.errors import HubError


def fused(modules: Sequence[Module]) -> Iterator[Module]:
    """Parts of one layer become one LoRA of it: equal down matrices stay one, others add up their ranks.

    Raises ``HubError`` for parts that are no plain LoRA.
    """
    parts: dict[Site, list[Module]] = {}
    for module in modules:
        if module.site.of is None:
            yield module
        else:
            parts.setdefault(module.site.of, []).append(module)
    for whole, mine in parts.items():
        _refuse_dora(mine, whole)
        kinds = {module.parts["up"].dtype for module in mine if "up" in module.parts}
        changes = {module.site: change_of(module.parts, module.site, alpha=module.alpha) for module in mine}
        factors = joined(changes)[whole].factors
        if factors is None:
            raise HubError(
                f"{whole.path} is changed in parts that are no LoRA", "convert it with the tool that made it"
            )
        dtype = next(iter(kinds)) if len(kinds) == 1 else torch.float32
        pair = {"down": _short(factors.down, dtype), "up": _short(factors.up, dtype)}
        yield Module(whole, {**pair, "alpha": torch.tensor(float(factors.rank))}, None)


def split(modules: Iterable[Module], parts: Sequence[Site], reordered: frozenset[str]) -> Iterator[Module]:
    """A LoRA of a fused layer becomes one of each part, with the same down matrix.

    Raises ``HubError`` for layers that diffusers has otherwise.
    """
    inside: dict[Site, list[Site]] = {}
    for part in parts:
        if part.of:
            inside.setdefault(part.of, []).append(part)
    for module in modules:
        if module.site.path in reordered:
            raise HubError(f"diffusers has the rows of {module.site.path} in another order", "leave it out of the file")
        if module.site not in inside:
            yield module
            continue
        _refuse_dora([module], module.site)
        down, up, scale = pair_of(module)
        for part in inside[module.site]:
            rows = up[part.first_row : part.first_row + part.shape[0]]
            yield Module(part, {"down": down.clone(), "up": scaled(rows, scale)}, None)


def _refuse_dora(modules: Iterable[Module], whole: Site) -> None:
    if any("dora_scale" in module.parts for module in modules):
        raise HubError(
            f"{whole.path} is a DoRA of a fused layer", "--bake RANK --base BASE makes it a plain LoRA, nearly"
        )


def _short(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    short = tensor.to(dtype)
    return short if torch.equal(short.float(), tensor) else tensor
