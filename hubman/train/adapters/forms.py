"""What hangs at one module of a trained network: its kind, its sizes and what is left out at random."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["lora", "loha", "lokr"]
Axis = Literal["none", "output", "input"]

NAME = "default"
"""What peft calls the one adapter of a layer."""


@dataclass(frozen=True)
class Form:
    """What hangs at one module. ``lora`` on a convolution larger than 1x1 is what LyCORIS calls LoCon."""

    kind: Kind
    rank: int
    """At least 1."""
    alpha: float
    """The scale is alpha / rank, or alpha / √rank with ``rank_stabilised``."""
    rank_stabilised: bool = False
    dora: Axis = "none"
    """Along which axis the weight's magnitudes are trained; the output axis for ``lora`` without dropouts only."""
    tucker: bool = False
    """LoHa and LoKr on wide convolutions: a core tensor for the kernel."""
    factor: int = -1
    """LoKr: the size of the smaller factor, -1 for the most even split."""
    both: bool = False
    """LoKr: give the first factor a low rank too."""
    dropout: float = 0.0
    """Share of inputs left out in a step."""
    rank_dropout: float = 0.0
    """Share of ranks (LoHa, LoKr: of output rows) left out in a step."""
    module_dropout: float = 0.0
    """Share of modules left out in a step."""

    @property
    def file_alpha(self) -> float:
        """What makes alpha / rank the intended scale for every reader."""
        return self.alpha * self.rank**0.5 if self.rank_stabilised else self.alpha

    @property
    def drops(self) -> bool:
        """Whether steps leave something out at random."""
        return bool(self.dropout or self.rank_dropout or self.module_dropout)
