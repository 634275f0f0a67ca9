"""Stable Diffusion and what else has a UNet: told apart by the width of the text states that its cross-attention takes."""

from __future__ import annotations

import re

from registry.identify_evidence import Evidence, Family
from registry.identify_modules import Adapted

_SD = {768: "sd1", 1024: "sd2", 1280: "sdxl", 2048: "sdxl"}
_CROSS = ("attn2_to_k", "attn2_to_v")
_UNET = re.compile(r"(down|up|input|output)_blocks|mid_block|middle_block")


def _is_cross(name: str) -> bool:
    return name.endswith(_CROSS) and _UNET.search(name) is not None


def cross_attention(adapted: Adapted) -> tuple[str, int] | None:
    """The first cross-attention of a UNet, with the width of the text states that it takes."""
    modules = adapted.layout.memo.get("cross")
    if modules is None:
        modules = adapted.layout.memo["cross"] = adapted.layout.meant(_is_cross)
    return next(adapted.widths_of(modules), None)


def unet(adapted: Adapted) -> Family | None:
    """What a UNet belongs to; None if what it has tells nothing."""
    names = adapted.layout.text
    if "time_stack" in names or "temporal_transformer_blocks" in names:
        return Family("svd", "its UNet has layers over time")
    cross = cross_attention(adapted)
    if cross and cross[1] in _SD:
        return _sd(adapted, names, cross[1])
    layout = adapted.layout
    if found := layout.first(r"^(lora|lycoris)_unet_((input|output)_blocks_\d|middle_block_\d)"):
        return Family("sdxl", f"{found} is a block name that only SDXL files have")
    if found := layout.first(r"(down|up|mid|input|output|middle)_block.*transformer_blocks[._][1-9]"):
        return Family("sdxl", f"{found} is deeper than any block of SD 1 and 2")
    if projection := _projection(adapted):
        return projection
    return text_encoders(adapted)


def _sd(adapted: Adapted, names: str, width: int) -> Family:
    reason = f"cross-attention takes {width} inputs"
    if width == 2048 and "encoder_hid_proj" in names:
        return Family("kolors", f"{reason} and encoder_hid_proj makes them from ChatGLM's")
    variant = Evidence("refiner", reason) if width == 1280 else _inputs(adapted)
    if "v_pred" in adapted.header.tensors:
        variant = Evidence("v-prediction", "it has a marker tensor v_pred")
    return Family(_SD[width], reason, variant)


def _inputs(adapted: Adapted) -> Evidence | None:
    """Checkpoints for inpainting and editing take more channels than the picture's four."""
    if adapted.layout.is_adapter:
        return None
    found = adapted.first_width(lambda name: name.endswith(("input_blocks_0_0", "conv_in")) and "coder" not in name)
    kinds = {9: "inpainting", 8: "pix2pix", 5: "depth"}
    if found and found[1] in kinds:
        return Evidence(kinds[found[1]], f"{found[0]} takes {found[1]} channels")
    return None


def _projection(adapted: Adapted) -> Family | None:
    """SD 1's attention blocks begin with a convolution, those of all later ones with a matrix."""
    for module in adapted.layout.modules:
        if module.endswith("proj_in") and len(adapted.parts(module).get("down", ())) == 4:
            return Family("sd1", f"{module} is a convolution, which it is in SD 1 only")
    return None


def text_encoders(adapted: Adapted) -> Family | None:
    """The architecture by the text encoders that an adapter has modules for; None if they tell nothing."""
    starts = adapted.layout.starts
    if not adapted.layout.is_adapter or any(
        name.startswith(("lora_te3_", "text_encoder_3.", "t5.")) for name in starts
    ):
        return None
    if found := next((name for name in starts if name.startswith(_SECOND_ENCODER)), None):
        return Family("sdxl", f"it adapts a second text encoder ({found.strip('._')}…)")
    found_width = adapted.first_width(
        lambda name: name.startswith(_FIRST_ENCODER) and name.endswith(("q_proj", "k_proj"))
    )
    by_width = {768: "sd1", 1024: "sd2"}
    if found_width and found_width[1] in by_width:
        return Family(by_width[found_width[1]], f"its text encoder is {found_width[1]} wide")
    return None


_SECOND_ENCODER = ("lora_te2_", "lycoris_te2_", "text_encoder_2.", "clip_g.", "text_encoders.clip_g.")
_FIRST_ENCODER = ("lora_te_", "lycoris_te_", "lycoris_text_", "text_encoder_", "lora_te_text_model")
