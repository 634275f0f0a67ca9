"""A LoRA at another rank: fixed, or for each module as many singular values as its own spectrum asks for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from hubman.lora.decomposition import of_factors
from hubman.lora.derive.entries import entries
from hubman.lora.derive.layers import OpenParent, in_file_order, opened
from hubman.lora.derive.merge import suffixes
from hubman.lora.derive.name_blocks import weight_of
from hubman.lora.derive.produce import Made, Tally, Wanted, produce
from hubman.lora.derive.rank_rule import RankRule
from hubman.lora.derive.request import ResizeRequest
from hubman.lora.keys import Site
from hubman.lora.names import Names
from hubman.progress import Progress, Report, silent


def resize(request: ResizeRequest, names: Names, *, report: Report = silent) -> Made:
    """Write ``request.parent`` at another rank; norms and biases stay as they are.

    Raises what :func:`hubman.lora.derive.produce.produce` and :func:`hubman.lora.derive.layers.opened` raise; then
    nothing is written.
    """
    out = Path(request.out)
    with opened([(request.parent, weight_of(""))], names) as (parent,):
        ordered = in_file_order([parent], names)
        rule = RankRule(request.rank, request.keep, request.sv_ratio)
        if request.count is not None:
            rule = replace(rule, floor=_floor(parent, ordered, request.count, report))

        def headed(tally: Tally) -> dict[str, str]:
            return entries(
                [parent.opened.metadata], names, [site for _, site in ordered], tally,
                recipe={request.entry: request.recipe()}, title=out.stem, parents=[request.parent.name],
                trigger_words=request.trigger_words,
            )  # fmt: skip

        tensors = {name: suffixes(layer, [parent]) for name, layer in ordered}
        return produce(out, request.dtype, tensors, _wanted(parent, ordered, rule), headed, report=report)


def _wanted(parent: OpenParent, ordered: Sequence[tuple[str, Site]], rule: RankRule) -> Iterator[Wanted]:
    for name, layer in ordered:
        change = parent.change(layer)
        if change is not None:
            yield Wanted(name, change.factors, change.norm, change.bias, rule)


def _floor(parent: OpenParent, ordered: Sequence[tuple[str, Site]], count: int, report: Report) -> float:
    """The value that the ``count`` largest singular values of the whole file reach; each module keeps one anyway."""
    found = []
    for number, (_, layer) in enumerate(ordered, 1):
        change = parent.change(layer)
        if change is not None and change.factors is not None:
            found.append(of_factors(change.factors).values)
        report(Progress(stage="singular values", done=number, total=len(ordered), unit="modules"))
    values = torch.cat(found) if found else torch.zeros(1)
    return float(values.sort(descending=True).values[min(count, values.shape[0]) - 1])
