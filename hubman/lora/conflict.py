"""What several LoRAs do together at chosen strengths, told from their stored fingerprints: the conflict meter.

No file is opened and no torch is loaded: it is quick enough to follow a slider.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

from registry.database import Registry

if TYPE_CHECKING:
    from hubman.lora.fingerprints import Fingerprint
    from hubman.lora.library_norms import LibraryNorms
    from hubman.lora.stack import Matrix, Products, Together

FEWEST = 10
"""LoRAs of one architecture that a library must have before percentiles mean something."""


@dataclass(frozen=True)
class Reading:
    """Of all modules, or of one block. Strengths count with their sign."""

    name: str
    """Empty for the whole, else the block: ``TE1``, ``IN04``, ``MID``, ``OUT07``, ``D03`` …"""
    budget: float
    """rho = ‖Σ sᵢΔWᵢ‖, in the unit of the weights: how far the stack moves them."""
    percentile: float | None
    """0..100: the share of the library's LoRAs of the same architecture that move them less at strength 1; None
    where there are too few to compare with."""
    interaction: float
    """I = 2Σ sᵢsⱼ⟨ΔWᵢ,ΔWⱼ⟩ / Σ(sᵢ‖ΔWᵢ‖)²: above 0 they reinforce each other, below 0 they cancel out."""
    overlap: float
    """0..1: the share of Σ(sᵢ‖ΔWᵢ‖)² in modules that two or more of them change."""


@dataclass(frozen=True)
class Kinship:
    """Two of the stack have a common origin; ``one`` and ``other`` are SHA-256s."""

    one: str
    other: str
    kind: str
    """``same``, ``cut`` (``one`` is cut down from ``other``), ``epoch`` or ``related``."""
    ratio: float
    """The least-squares share of ``other`` in ``one``."""
    words: str
    """Ends a sentence that begins with the name of ``one``; ``{}`` stands for that of ``other``."""


@dataclass(frozen=True)
class Meter:
    """The readings of a stack. ``missing`` are the SHA-256s without a stored fingerprint, which are left out."""

    total: Reading
    blocks: tuple[Reading, ...] = ()
    relations: tuple[Kinship, ...] = ()
    missing: tuple[str, ...] = ()
    partial: tuple[str, ...] = ()
    """SHA-256s of which some modules need the base to be told, such as DoRA's: the readings are too low there."""
    words: tuple[str, ...] = ()
    """What to tell a person, most important first; "may", never "will"."""


NOTHING = Meter(Reading("", 0.0, None, 0.0, 0.0))
"""Of a stack of which no fingerprint is stored."""


def is_available() -> bool:
    """Whether NumPy is here, which comes with ``hubman[ml]``."""
    from importlib.util import find_spec

    return find_spec("numpy") is not None


def meter(registry: Registry, uses: Sequence[tuple[str, float]]) -> Meter:
    """Read the stack of ``uses``: SHA-256 of a LoRA's file and its strength each. Opens no file and needs no torch.

    Without NumPy all are ``missing``.
    """
    hashes = tuple(dict.fromkeys(sha256.lower() for sha256, _ in uses))
    if not is_available():
        return Meter(NOTHING.total, missing=hashes)
    from hubman.lora import fingerprint_store, library_norms
    from hubman.lora.inner import inner_products

    found = {sha256: fingerprint_store.stored(registry, sha256) for sha256 in hashes}
    known = {sha256: one for sha256, one in found.items() if one is not None}
    missing = tuple(sha256 for sha256 in hashes if sha256 not in known)
    if not known:
        return Meter(NOTHING.total, missing=missing)
    strengths = [sum(strength for sha256, strength in uses if sha256.lower() == one) for one in known]
    products = inner_products(list(known.values()))
    total, blocks, words = read_stack(products, strengths, library_norms.of_architecture(registry, next(iter(known))))
    return Meter(
        total=total,
        blocks=blocks,
        relations=_relations(list(known.items()), products.total),
        missing=missing,
        partial=tuple(sha256 for sha256, one in known.items() if one.untold),
        words=words,
    )


def read_stack(
    products: Products, strengths: Sequence[float], others: LibraryNorms
) -> tuple[Reading, tuple[Reading, ...], tuple[str, ...]]:
    """The readings of the whole and of each block, and what to tell, of inner products by module."""
    from hubman.lora import stack

    whole = stack.together(products, strengths)
    blocks = {name: stack.together(block, strengths) for name, block in products.by_block().items()}
    total = _reading("", whole, others.total)
    each = tuple(_reading(name, block, others.blocks.get(name, ())) for name, block in blocks.items())
    return total, each, tuple(stack.said(whole, blocks, total.percentile))


def _reading(name: str, found: Together, others: Sequence[float]) -> Reading:
    from hubman.lora.stack import percentile

    share = percentile(found.budget, others) if len(others) >= FEWEST else None
    return Reading(name, found.budget, share, found.interaction, found.overlap)


def _relations(known: Sequence[tuple[str, Fingerprint]], inner: Matrix) -> tuple[Kinship, ...]:
    from hubman.lora.kinship import kin_of_two

    relations = []
    for (i, (one, first)), (j, (other, second)) in combinations(enumerate(known), 2):
        is_turned, kin = kin_of_two(float(inner[i, j]), first.size, second.size)
        if kin:
            ends = (other, one) if is_turned else (one, other)
            relations.append(Kinship(*ends, kin.kind, kin.ratio, kin.words))
    return tuple(relations)
