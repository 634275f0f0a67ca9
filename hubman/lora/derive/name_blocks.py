"""The block of a module by kohya's name, which tells it also where the base's own tree is not at hand."""

from __future__ import annotations

import re
from collections.abc import Callable

from hubman.lora.blocks import Block, read_blocks

_STRIDE = 3
"""Blocks of the original UNets a level: two resnets, and what changes the size."""
_LDM = re.compile(r"(input|output)_blocks_(\d+)_(\d)_")
_SIDE = re.compile(r"(down|up)_blocks_(\d+)_(?:(resnets|attentions)_(\d+)|downsamplers|upsamplers)_")
_MIDDLE = re.compile(r"mid_block_(attentions)?|middle_block_(1_)?")
_STREAM = re.compile(r"(double|single)_blocks_(\d+)_(.*)")


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
    if name.startswith("lora_te"):
        return Block("T5" if name.startswith("lora_te3_") else "BASE")
    return _of_denoiser(name.removeprefix("lora_unet_"))


def _of_denoiser(path: str) -> Block:
    if found := _LDM.match(path):
        return Block(f"{_side(found[1])}{int(found[2]):02d}", found[3] == "1" and not path.endswith("_conv"))
    if found := _SIDE.match(path):
        level, within = int(found[2]), int(found[4] or _STRIDE - 1)
        number = _STRIDE * level + within + (found[1] == "down")
        return Block(f"{_side(found[1])}{number:02d}", found[3] == "attentions")
    if found := _MIDDLE.match(path):
        return Block("MID", bool(found[1] or found[2]))
    if found := _STREAM.match(path):
        return Block(f"{found[1][0].upper()}{int(found[2]):02d}", "attn" in found[3] or found[1] == "single")
    return Block(_outside(path))


def _outside(path: str) -> str:
    if path.startswith(("img_in", "txt_in", "time_in", "vector_in", "guidance_in", "final_layer")):
        return "OUT" if path.startswith("final_layer") else "IN"
    return "OUT11" if path.startswith(("out_2", "conv_out")) else "IN00"


def _side(word: str) -> str:
    return "IN" if word in ("input", "down") else "OUT"
