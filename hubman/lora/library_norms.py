"""How far the LoRAs of the library move the weights, sorted: what a stack's budget is compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from hubman.lora.fingerprints import VERSION
from registry import fingerprints as kept
from registry.database import Registry


@dataclass(frozen=True)
class LibraryNorms:
    """Norms at strength 1, ascending, of the whole and by block."""

    total: Sequence[float] = ()
    blocks: Mapping[str, Sequence[float]] = field(default_factory=dict)


_known: dict[tuple[str, str], tuple[str, LibraryNorms]] = {}
"""By folder and architecture: of which state of the library, and what."""


def of_architecture(registry: Registry, sha256: str) -> LibraryNorms:
    """Of all LoRAs of the same architecture as the file with that SHA-256, itself among them."""
    key = (str(registry.home), kept.architecture(registry, sha256))
    state = kept.state(registry)
    if key not in _known or _known[key][0] != state:
        _known[key] = (state, _read(registry, sha256))
    return _known[key][1]


def _read(registry: Registry, sha256: str) -> LibraryNorms:
    total: list[float] = []
    blocks: dict[str, list[float]] = {}
    for one in kept.all_norms(registry, VERSION, sha256):
        total.append(one.norm)
        for block, norm in one.blocks.items():
            blocks.setdefault(block, []).append(norm)
    return LibraryNorms(sorted(total), {block: sorted(norms) for block, norms in blocks.items()})
