"""diffusers' names of a UNet's modules by their original (LDM) ones: :func:`hubman.lora.keys.ldm_path` the other way.

And transformers' names of what a block of OpenCLIP's text encoder has.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

from hubman.lora.keys import RESNET_LDM, TOP_LDM

OPEN_CLIP: Mapping[str, str] = {
    "attn.out_proj.weight": "self_attn.out_proj",
    "mlp.c_fc.weight": "mlp.fc1",
    "mlp.c_proj.weight": "mlp.fc2",
    "ln_1.weight": "layer_norm1",
    "ln_2.weight": "layer_norm2",
}
"""Weights of a block, without the one that holds q, k and v below each other (``attn.in_proj_weight``)."""
_TOP = {ldm: path for path, ldm in TOP_LDM.items()}
_RESNET = {ldm: part for part, ldm in RESNET_LDM.items()}
_SIDE = re.compile(r"(input|output)_blocks\.(\d+)\.(\d)\.(.+)")
_MIDDLE = re.compile(r"middle_block\.(\d)\.(.+)")
_SMALLER = re.compile(r"input_blocks\.(\d+)\.0\.op")


def diffusers_namer(paths: Iterable[str]) -> Callable[[str], str | None]:
    """For a UNet with modules at the LDM ``paths``: from one of them to diffusers' path, None for one that has none."""
    smaller = [int(found[1]) for path in paths if (found := _SMALLER.match(path))]
    # The first block that halves the picture ends the first level.
    stride = min(smaller, default=3)
    return lambda path: _path(path, stride)


def _path(ldm: str, stride: int) -> str | None:
    if found := _MIDDLE.fullmatch(ldm):
        place, rest = int(found[1]), found[2]
        inside = f"attentions.0.{rest}" if place == 1 else f"resnets.{place // 2}.{_RESNET.get(rest, rest)}"
        return f"mid_block.{inside}"
    found = _SIDE.fullmatch(ldm)
    if ldm in _TOP or not found:
        return _TOP.get(ldm)
    is_down, number, rest = found[1] == "input", int(found[2]), found[4]
    if rest == "op":
        return f"down_blocks.{number // stride - 1}.downsamplers.0.conv"
    level, within = divmod(number - 1 if is_down else number, stride)
    if rest == "conv":
        inside = "upsamplers.0.conv"
    elif found[3] == "0":
        inside = f"resnets.{within}.{_RESNET.get(rest, rest)}"
    else:
        inside = f"attentions.{within}.{rest}"
    return f"{'down' if is_down else 'up'}_blocks.{level}.{inside}"
