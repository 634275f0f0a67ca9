"""What several changes at chosen strengths do together, from their inner products by module.

budget rho = ‖Σ sᵢΔWᵢ‖, interaction I = 2Σ sᵢsⱼ⟨ΔWᵢ,ΔWⱼ⟩ / Σ(sᵢ‖ΔWᵢ‖)². The change of a picture follows rho much closer than
the sum of strengths. The products come from fingerprints (an estimate) or from the files (exact).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hubman.lora.common_names import block_of, block_order

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Products:
    """``inner`` is [modules, files, files]: ⟨ΔWᵢ,ΔWⱼ⟩ at strength 1, zero where a file leaves a module alone."""

    names: tuple[str, ...]
    inner: Matrix

    @property
    def total(self) -> Matrix:
        """[files, files] of the whole."""
        found: Matrix = self.inner.sum(axis=0)
        return found

    def by_block(self) -> dict[str, Products]:
        """Those of each block, in the order in which the model runs through them."""
        blocks = [block_of(name) for name in self.names]
        found = {}
        for block in sorted(set(blocks), key=block_order):
            chosen = [i for i, other in enumerate(blocks) if other == block]
            found[block] = Products(tuple(self.names[i] for i in chosen), self.inner[chosen])
        return found


@dataclass(frozen=True)
class Together:
    """``budget`` is rho, ``interaction`` I, ``overlap`` the share of energy in modules that two or more change."""

    budget: float
    interaction: float
    overlap: float


def together(products: Products, strengths: Sequence[float]) -> Together:
    """The stack at ``strengths``, one a file. All zero if nothing is changed."""
    signs = np.asarray(strengths, np.float64)
    scaled = products.inner * signs[None, :, None] * signs[None, None, :]
    energy = np.diagonal(scaled, axis1=1, axis2=2)
    own = float(energy.sum())
    whole = float(scaled.sum())
    if own <= 0:
        return Together(0.0, 0.0, 0.0)
    shared = float(energy[(energy > 0).sum(axis=1) > 1].sum())
    return Together(float(np.sqrt(max(0.0, whole))), whole / own - 1, shared / own)


def percentile(value: float, others: Sequence[float]) -> float:
    """0..100: the share of ``others``, which are sorted, that are smaller."""
    return 100 * bisect_left(others, value) / len(others)


def said(whole: Together, blocks: Mapping[str, Together], share: float | None) -> list[str]:
    """What to tell a person of a stack, the most important first; ``share`` is the percentile of its budget."""
    words = []
    if share is not None and share > STRONG:
        words.append(
            f"together they move the weights more than {share:.0f} % of the library's LoRAs do at strength 1: "
            "colours may burn and the prompt may be lost"
        )
    if whole.interaction > REINFORCE:
        words.append(f"they reinforce each other (I = {whole.interaction:+.2f}): lower strengths may do")
    elif whole.interaction < -REINFORCE:
        words.append(f"they cancel out in part (I = {whole.interaction:+.2f}): both may look weaker")
    else:
        strong = [name for name, block in blocks.items() if abs(block.interaction) > REINFORCE]
        if strong:
            words.append(f"they may meet in {', '.join(strong)}")
    if not words:
        words.append("nothing in the weights speaks against it; they may still clash in meaning")
    return words


STRONG = 95.0
"""The percentile above which a budget is worth a warning."""
REINFORCE = 0.3
"""The interaction from which on LoRAs reinforce each other, or cancel out, so much that it is worth telling."""
