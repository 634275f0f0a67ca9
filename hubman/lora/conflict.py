"""What several LoRAs do together at chosen strengths, told from their stored fingerprints: the conflict meter."""

from __future__ import annotations

from dataclasses import dataclass

SAME, EPOCH, CUT, MERGED = "same", "epoch", "cut", "merged"
"""Kinds of :class:`Kinship`: the same LoRA, another epoch of one training, cut down from it, merged of it."""


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
    """Two of the stack have a common origin; ``one`` and ``other`` are SHA-256s, ``words`` say it without names."""

    one: str
    other: str
    kind: str
    ratio: float
    """Strength of ``one`` in units of ``other`` (the least-squares share of it)."""
    words: str


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
