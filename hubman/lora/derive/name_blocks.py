"""The block of a module by kohya's name, which tells it also where the base's own tree is not at hand."""

from __future__ import annotations

import re
from collections.abc import Callable

from hubman.lora import common_names
from hubman.lora.blocks import Block, read_blocks
from hubman.lora.common_names import common_name

_ATTENTION = re.compile(r"unet/(single_transformer_blocks_|.*(_attentions_|_attn))")
_FLOW = ("img_in", "txt_in", "time_in", "vector_in", "guidance_in", "final_layer")
"""What FLUX.1 has before and behind its blocks."""


def weight_of(text: str) -> Callable[[str], float]:
    """From kohya's name of a module to its weight, as :func:`hubman.lora.blocks.read_blocks` reads ``text``; empty: 1.

    Raises ``UsageError`` for what that does not know.
    """
    weights = read_blocks(text)
    if weights is None:
        return lambda _: 1.0

    def weight(name: str) -> float:
        block = block_of(name)
        return weights.text if block.name == "BASE" else weights.of(block)

    return weight


def block_of(name: str) -> Block:
    """BASE (a CLIP), T5, IN04, MID, OUT07, D03, S12; what is before all blocks and behind them counts to the outer ones."""
    common = common_name(name).names[0]
    label = common_names.block_of(common)
    if label.startswith("TE"):
        return Block("T5" if label == "TE3" else "BASE")
    if label != "REST":
        return Block(label, bool(_ATTENTION.match(common)))
    path = common.removeprefix(f"{common_names.DENOISER}/")
    if path.startswith(_FLOW):
        return Block("OUT" if path.startswith("final_layer") else "IN")
    return Block("OUT11" if path.startswith("conv_out") else "IN00")
