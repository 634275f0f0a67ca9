"""Weights of a LoRA's blocks, as the block-weight lists of sd-webui-lora-block-weight and ComfyUI's nodes have them.

A list's length says which blocks its numbers are for; blocks that it does not name have the weight 0.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence

from registry.errors import UsageError

_STRIDE = 3
"""Blocks of the original UNets a level: two resnets, and what changes the size."""


def _numbered(name: str, numbers: Sequence[int] | range) -> tuple[str, ...]:
    return tuple(f"{name}{number:02}" for number in numbers)


LISTS: Mapping[int, tuple[str, ...]] = {
    12: ("BASE", *_numbered("IN", (4, 5, 7, 8)), "MID", *_numbered("OUT", range(6))),
    17: ("BASE", *_numbered("IN", (1, 2, 4, 5, 7, 8)), "MID", *_numbered("OUT", range(3, 12))),
    20: ("BASE", *_numbered("IN", range(9)), "MID", *_numbered("OUT", range(9))),
    26: ("BASE", *_numbered("IN", range(12)), "MID", *_numbered("OUT", range(12))),
    61: ("CLIP", "T5", "IN", *_numbered("D", range(19)), *_numbered("S", range(38)), "OUT"),
}
"""Blocks by the length of the list: SDXL's with a LoRA and SD 1.x's, all of SDXL's and SD 1.x's, FLUX.1's."""
PRESETS: Mapping[str, Mapping[str, float]] = {
    # SDXL draws what from the first transformer stack of the first up block, and how from the second (B-LoRA,
    # Frenkel et al. 2024).
    "content": {"OUT00": 1.0},
    "style": {"OUT01": 1.0},
}
_LDM = re.compile(r"(input|output)_blocks_(\d+)_")
_SIDE = re.compile(r"(down|up)_blocks_(\d+)_(?:(?:resnets|attentions)_(\d+)|downsamplers|upsamplers)_")
_FLOW = re.compile(r"(double|single)_blocks_(\d+)_")


def weight_of(text: str) -> Callable[[str], float]:
    """From kohya's name of a module to its weight, as ``text`` says: a preset's name, or numbers with commas; empty: all 1.

    Raises ``UsageError`` for what is neither.
    """
    if not text.strip():
        return lambda _: 1.0
    weights = PRESETS.get(text.strip().lower()) or _listed(text)
    return lambda name: weights.get(block_of(name), 0.0)


def _listed(text: str) -> Mapping[str, float]:
    try:
        numbers = [float(word) for word in text.split(",")]
    except ValueError:
        numbers = []
    blocks = LISTS.get(len(numbers))
    if blocks is None or not all(math.isfinite(number) for number in numbers):
        lengths = ", ".join(map(str, LISTS))
        raise UsageError(
            f"block weights can't be {text!r}", f"give {', '.join(PRESETS)}, or one of {lengths} numbers with commas"
        )
    weights = dict(zip(blocks, numbers, strict=True))
    # FLUX.1's lists call the one text encoder that LoRAs change CLIP.
    return {"BASE": weights["CLIP"], **weights} if "CLIP" in weights else weights


def block_of(name: str) -> str:
    """The block of a module by kohya's name: BASE (a text encoder), T5, IN04, MID, OUT07, D03, S12; else ''."""
    if name.startswith("lora_te"):
        return "T5" if name.startswith("lora_te3_") else "BASE"
    path = name.removeprefix("lora_unet_")
    if path.startswith(("mid_block_", "middle_block_")):
        return "MID"
    if found := _LDM.match(path):
        return f"{'IN' if found[1] == 'input' else 'OUT'}{int(found[2]):02}"
    if found := _FLOW.match(path):
        return f"{found[1][0].upper()}{int(found[2]):02}"
    if found := _SIDE.match(path):
        level, within = int(found[2]), int(found[3] or _STRIDE - 1)
        return f"IN{1 + _STRIDE * level + within:02}" if found[1] == "down" else f"OUT{_STRIDE * level + within:02}"
    return {"conv_in": "IN00", "img_in": "IN", "txt_in": "IN", "final_layer_linear": "OUT"}.get(path, "")
