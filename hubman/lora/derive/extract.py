"""What a tuned checkpoint has beyond its base, as a LoRA: both are read layer by layer and never lie in memory in whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import torch

from hubman.lora.derive.checkpoint import Checkpoint, common, open_checkpoint
from hubman.lora.derive.entries import entries
from hubman.lora.derive.produce import Made, Tally, Wanted, produce
from hubman.lora.derive.rank_rule import RankRule
from hubman.lora.derive.request import ExtractRequest
from hubman.lora.factors import dense
from hubman.lora.keys import TEXT_ENCODERS, Site
from hubman.progress import Report, silent
from registry.errors import DamagedFileError

_TENSORS = ("alpha", "lora_down.weight", "lora_up.weight")


def extract(
    request: ExtractRequest,
    *,
    hashes: Mapping[str, str] | None = None,
    base_entries: Mapping[str, str] | None = None,
    report: Report = silent,
) -> Made:
    """Write the difference of two checkpoints as a LoRA.

    ``hashes`` are the SHA-256 of ``tuned`` and ``base`` where they are single files, ``base_entries`` what the header
    says of the base besides. Raises ``HubError`` for checkpoints of different architectures or without a difference,
    ``DamagedFileError`` for one that can't be read or has no numbers; then nothing is written.
    """
    out = Path(request.out)
    with open_checkpoint(Path(request.tuned)) as tuned, open_checkpoint(Path(request.base)) as base:
        places = {name: site for name, site in common(tuned, base).items() if _is_wanted(site, request)}
        recipe = {**request.recipe(), **(hashes or {})}
        if tuned_hash := (hashes or {}).get("tuned"):
            recipe["parents"] = [{"sha256": tuned_hash}]

        def headed(tally: Tally) -> dict[str, str]:
            return entries(
                [base_entries or {}], tuned.names, places.values(), tally,
                recipe={request.entry: recipe}, title=out.stem, parents=[tuned.path.stem],
            )  # fmt: skip

        tensors = dict.fromkeys(places, _TENSORS)
        return produce(out, request.dtype, tensors, _wanted(tuned, base, places, request), headed, report=report)


def _is_wanted(site: Site, request: ExtractRequest) -> bool:
    if site.component in TEXT_ENCODERS:
        return request.text
    return not (_is_wide(site) and request.conv_rank == 0)


def _is_wide(site: Site) -> bool:
    """A convolution that sees more than one place."""
    return site.is_conv and site.shape[2:] != (1, 1)


def _wanted(
    tuned: Checkpoint, base: Checkpoint, places: Mapping[str, Site], request: ExtractRequest
) -> Iterator[Wanted]:
    plain = RankRule(request.rank, request.keep)
    wide = RankRule(request.rank if request.conv_rank is None else request.conv_rank, request.keep)
    for name, site in places.items():
        delta = _difference(tuned.weight(site), base.weight(site))
        if not bool(torch.isfinite(delta).all()):
            raise DamagedFileError(f"{site.path} holds NaN or infinity in one of the checkpoints", "download it again")
        yield Wanted(name, dense(delta, site) if bool(delta.any()) else None, rule=wide if _is_wide(site) else plain)


def _difference(tuned: torch.Tensor, base: torch.Tensor) -> torch.Tensor:
    """In float32. What differs only by the rounding of a shorter precision does not differ."""
    if tuned.element_size() < base.element_size():
        base = base.to(tuned.dtype)
    elif base.element_size() < tuned.element_size():
        tuned = tuned.to(base.dtype)
    return tuned.float() - base.float()
