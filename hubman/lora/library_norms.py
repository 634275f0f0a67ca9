"""How far the LoRAs of the library move the weights, sorted: what a stack's budget is compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from registry import fingerprints as kept
from registry.database import Registry


@dataclass(frozen=True)
class LibraryNorms:
    """Norms at strength 1, ascending, of the whole and by block."""

    total: Sequence[float] = ()
    blocks: Mapping[str, Sequence[float]] = field(default_factory=dict)


_FEW = 1.05
"""So much may the library grow before it is looked at again: while fingerprints are made, one comes every moment."""

_known: dict[tuple[str, str], tuple[int, LibraryNorms]] = {}
"""By folder and architecture: of a library of how many, and what."""


def of_architecture(registry: Registry, sha256: str) -> LibraryNorms:
    """Of all LoRAs of the same architecture as the file with that SHA-256, itself among them."""
    architecture = kept.architecture(registry, sha256)
    key, count = (str(registry.home), architecture), kept.count(registry)
    before, known = _known.get(key, (0, LibraryNorms()))
    if not before <= count <= before * _FEW:
        known = _read(registry, architecture)
        _known[key] = (count, known)
    return known


def _read(registry: Registry, architecture: str) -> LibraryNorms:
    total: list[float] = []
    blocks: dict[str, list[float]] = {}
    for norm, by_block in kept.norms_of_architecture(registry, architecture):
        total.append(norm)
        for block, own in by_block.items():
            blocks.setdefault(block, []).append(own)
    return LibraryNorms(sorted(total), {block: sorted(norms) for block, norms in blocks.items()})
