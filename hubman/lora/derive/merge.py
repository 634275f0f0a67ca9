"""Several LoRAs as one file that does what they do together, each at its ratio."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from hubman.lora.derive.entries import entries, parent_words
from hubman.lora.derive.layers import OpenParent, in_file_order, opened
from hubman.lora.derive.methods import Term, summed, thinned
from hubman.lora.derive.name_blocks import weight_of
from hubman.lora.derive.produce import Made, Tally, Wanted, produce
from hubman.lora.derive.rank_rule import RankRule
from hubman.lora.derive.request import DENSE, MergeRequest
from hubman.lora.factors import Factors, dense
from hubman.lora.keys import Site
from hubman.lora.names import Names
from hubman.progress import Report, silent


@dataclass
class Change:
    """How far a method is from the plain sum, so far."""

    apart: float = 0.0
    whole: float = 0.0

    @property
    def share(self) -> float:
        """‖merge - sum‖ / ‖sum‖ over all modules; 0 for methods that are the sum."""
        return (self.apart / self.whole) ** 0.5 if self.whole else 0.0


@dataclass(frozen=True)
class Merged:
    """A merge that was written."""

    made: Made
    changes_sum: float
    """How far what was asked for is from the plain sum, as a share of it: TIES, DARE and pruning change it."""
    parents: tuple[str, ...]
    """What each parent is and whether it is taken over exactly."""


def merge(request: MergeRequest, names: Names, *, report: Report = silent) -> Merged:
    """Write the merge that ``request`` asks for; the same request and files give the same bytes.

    Raises ``UsageError`` for wrong block weights, ``HubError`` and ``DamagedFileError`` as :func:`produce` and
    :func:`hubman.lora.derive.layers.opened` do; then nothing is written.
    """
    change = Change()
    with opened([(one, weight_of(one.blocks)) for one in request.parents], names) as parents:
        ordered = in_file_order(parents, names)

        def headed(tally: Tally) -> dict[str, str]:
            headers = [one.opened.metadata for one in parents]
            recipe = {request.entry: request.recipe()}
            return entries(
                headers, names, [site for _, site in ordered], tally,
                recipe=recipe, title=request.title or Path(request.out).stem, parents=[one.parent.name for one in parents],
                trigger_words=request.trigger_words,
            )  # fmt: skip

        tensors = {name: suffixes(layer, parents) for name, layer in ordered}
        wanted = (_wanted(name, layer, parents, request, change) for name, layer in ordered)
        made = produce(Path(request.out), request.dtype, tensors, wanted, headed, report=report)
        return Merged(made, change.share, tuple(parent_words(one) for one in parents))


def suffixes(layer: Site, parents: Sequence[OpenParent]) -> tuple[str, ...]:
    """What the layer may have in the file."""
    if layer.is_norm:
        return ("b_norm", "w_norm")
    sites = [(one, site) for one in parents for site in one.layers.get(layer, ())]
    biased = any("diff_b" in one.opened.resolved.modules[site].parts for one, site in sites)
    return (*(("diff_b",) if biased else ()), "alpha", "lora_down.weight", "lora_up.weight")


def _wanted(name: str, layer: Site, parents: Sequence[OpenParent], request: MergeRequest, change: Change) -> Wanted:
    terms, norms, biases = [], [], []
    for number, parent in enumerate(parents):
        ratio = parent.parent.ratio * parent.weight(name)
        found = parent.change(layer) if ratio else None
        if found is None:
            continue
        if found.factors is not None:
            terms.append(Term(number, ratio, found.factors))
        norms += [found.norm * ratio] if found.norm is not None else []
        biases += [found.bias * ratio] if found.bias is not None else []
    return Wanted(
        name,
        factors=_combined(terms, layer, request, change) if terms else None,
        norm=_sum(norms),
        bias=_sum(biases),
        rule=RankRule(most=request.rank) if request.rank else None,
    )


def _combined(terms: Sequence[Term], layer: Site, request: MergeRequest, change: Change) -> Factors:
    total = summed(terms, layer)
    if request.method not in DENSE:
        return total
    thin = thinned(terms, layer, request.method, request.density, request.seed)
    whole = total.delta()
    change.apart += float((thin - whole).double().square().sum())
    change.whole += float(whole.double().square().sum())
    return dense(thin, layer)


def _sum(tensors: Sequence[Tensor]) -> Tensor | None:
    return torch.stack(list(tensors)).sum(0) if tensors else None
