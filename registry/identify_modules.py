"""Tensor names taken apart: which module of the model a tensor adapts, and which part of the adapter it is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from registry.headers import TensorInfo

Shape = tuple[int, ...]

_DOWN, _UP = "down", "up"
_PARTS = {
    "lora_down.weight": _DOWN, "lora_up.weight": _UP, "lora_mid.weight": "mid",
    "lora.down.weight": _DOWN, "lora.up.weight": _UP,
    "lora_linear_layer.down.weight": _DOWN, "lora_linear_layer.up.weight": _UP,
    "lora_A.weight": _DOWN, "lora_B.weight": _UP, "lora_A": _DOWN, "lora_B": _UP,
    "lora_A.default.weight": _DOWN, "lora_B.default.weight": _UP,
    "lora_magnitude_vector": "dora_scale", "lora_magnitude_vector.weight": "dora_scale",
    "lora_magnitude_vector.default.weight": "dora_scale",
    "a1.weight": "glora_a1", "a2.weight": "glora_a2", "b1.weight": "glora_b1", "b2.weight": "glora_b2",
    **{name: name for name in (
        "alpha", "dora_scale", "diff", "diff_b", "w_norm", "b_norm", "oft_blocks", "oft_diag", "rescale", "on_input",
        "hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b", "hada_t1", "hada_t2",
        "lokr_w1", "lokr_w1_a", "lokr_w1_b", "lokr_w2", "lokr_w2_a", "lokr_w2_b", "lokr_t1", "lokr_t2",
    )},
}  # fmt: skip
"""What follows the module's name, to the part that it is."""

_OLD_PROCESSOR = {"down.weight": _DOWN, "up.weight": _UP}


@dataclass(frozen=True)
class Module:
    """One adapted module: its name as in the file, and the shapes of the adapter's parts."""

    name: str
    parts: Mapping[str, Shape]

    @property
    def rank(self) -> int | None:
        """Rows of the down matrix or of the inner factor; None where there is none (full matrices, OFT)."""
        for part in ("down", "hada_w1_b", "lokr_w1_b", "lokr_w2_b", "glora_a2"):
            if shape := self.parts.get(part):
                return shape[0]
        return None

    @property
    def input_width(self) -> int | None:
        """Inputs of the adapted layer (channels, for a convolution), or None if the shapes don't tell."""
        parts = self.parts
        for part in ("down", "glora_a2", "diff"):
            if len(shape := parts.get(part, ())) >= 2:
                return shape[1]
        if "mid" not in parts and "hada_t1" not in parts and len(shape := parts.get("hada_w1_b", ())) == 2:
            return shape[1]
        factors = [parts.get(name) or parts.get(f"{name}_b") or () for name in ("lokr_w1", "lokr_w2")]
        return math.prod(shape[1] for shape in factors) if all(len(shape) >= 2 for shape in factors) else None

    @property
    def output_width(self) -> int | None:
        for part in ("up", "hada_w1_a", "diff"):
            if len(shape := self.parts.get(part, ())) >= 2:
                return shape[0]
        return None

    @property
    def is_spatial(self) -> bool:
        """Whether it adapts a convolution larger than 1x1."""
        return any(len(shape) == 4 and shape[-1] > 1 for part, shape in self.parts.items() if part != "oft_blocks")


def split(name: str) -> tuple[str, str] | None:
    """(module, part) of a tensor's name, or None if it is no adapter's."""
    pieces = name.split(".")
    for length in (3, 2, 1):
        if len(pieces) > length and (part := _PARTS.get(".".join(pieces[-length:]))):
            return ".".join(pieces[:-length]), part
    if len(pieces) > 2 and pieces[-3].endswith("_lora") and (part := _OLD_PROCESSOR.get(".".join(pieces[-2:]))):
        return ".".join(pieces[:-2]).removesuffix("_lora").replace(".processor.", "."), part
    return None


def modules(tensors: Mapping[str, TensorInfo]) -> list[Module]:
    """The adapted modules of a file, in the order of its header; empty for a file that is no adapter."""
    found: dict[str, dict[str, Shape]] = {}
    for name, tensor in tensors.items():
        if place := split(name):
            found.setdefault(place[0], {})[place[1]] = tensor.shape
    return [Module(name, parts) for name, parts in found.items() if set(parts) - {"alpha"}]
