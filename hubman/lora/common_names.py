"""One name for each module of a LoRA file, whatever format the file is in, without the base model.

Drawing looks names up in a table made from the model (``keys.py``). To compare two files no model is needed: dots become
underscores on both sides, so nothing has to be split there, and the original models' blocks get diffusers' names. Layers
that the original models fuse are told apart by rows, because diffusers' files have them one by one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

DENOISER = "unet"
"""The component of every denoiser: which files call UNet and which transformer says nothing of the weights."""

_WRAPPERS = ("base_model.model.",)
_PREFIXES = {
    "lora_te1_": "text_encoder", "lora_te2_": "text_encoder_2", "lora_te3_": "text_encoder_3", "lora_te_": "text_encoder",
    "lycoris_text_encoder_2_": "text_encoder_2", "lycoris_text_encoder_3_": "text_encoder_3",
    "lycoris_text_encoder_": "text_encoder", "lycoris_unet_": "unet", "lycoris_": "unet", "lora_unet_": "unet",
    "lora_transformer_": "transformer", "model.diffusion_model.": "unet", "diffusion_model.": "unet", "unet.": "unet",
    "transformer.": "transformer", "text_encoder_2.": "text_encoder_2", "text_encoder_3.": "text_encoder_3",
    "text_encoder.": "text_encoder",
}  # fmt: skip
"""Longer ones stand before those that they begin with."""

_OLD_PROCESSOR = re.compile(r"\.processor\.to_(q|k|v|out)_lora$")
_CLIP = re.compile(r"(text_model[._])?encoder[._]layers[._]")

_UNET_STRIDE = 3
"""Blocks of the original SD, SD 2 and SDXL a level: two resnets, and what changes the size."""
_RESNET = {
    "in_layers_2": "conv1", "out_layers_3": "conv2", "emb_layers_1": "time_emb_proj", "skip_connection": "conv_shortcut",
    "in_layers_0": "norm1", "out_layers_0": "norm2",
}  # fmt: skip
_TOP = {
    "input_blocks_0_0": "conv_in", "out_2": "conv_out", "out_0": "conv_norm_out", "time_embed_0": "time_embedding_linear_1",
    "time_embed_2": "time_embedding_linear_2", "label_emb_0_0": "add_embedding_linear_1",
    "label_emb_0_2": "add_embedding_linear_2",
}  # fmt: skip
_LDM = re.compile(r"(input|output)_blocks_(\d+)_(\d)_(.+)|middle_block_(\d)_(.+)")
_QKV, _ADDED_QKV = ("attn_to_q", "attn_to_k", "attn_to_v"), ("attn_add_q_proj", "attn_add_k_proj", "attn_add_v_proj")
_FLUX_DOUBLE: dict[str, Sequence[str]] = {
    "img_attn_qkv": _QKV, "txt_attn_qkv": _ADDED_QKV, "img_attn_proj": ("attn_to_out_0",),
    "txt_attn_proj": ("attn_to_add_out",), "img_mlp_0": ("ff_net_0_proj",), "img_mlp_2": ("ff_net_2",),
    "txt_mlp_0": ("ff_context_net_0_proj",), "txt_mlp_2": ("ff_context_net_2",), "img_mod_lin": ("norm1_linear",),
    "txt_mod_lin": ("norm1_context_linear",),
}  # fmt: skip
_FLUX_SINGLE: dict[str, Sequence[str]] = {
    "linear1": (*_QKV, "proj_mlp"), "linear2": ("proj_out",), "modulation_lin": ("norm_linear",),
}  # fmt: skip
_SD3: dict[str, Sequence[str]] = {
    "x_block_attn_qkv": _QKV, "context_block_attn_qkv": _ADDED_QKV, "x_block_attn_proj": ("attn_to_out_0",),
    "context_block_attn_proj": ("attn_to_add_out",), "x_block_attn2_qkv": ("attn2_to_q", "attn2_to_k", "attn2_to_v"),
    "x_block_attn2_proj": ("attn2_to_out_0",), "x_block_mlp_fc1": ("ff_net_0_proj",), "x_block_mlp_fc2": ("ff_net_2",),
    "context_block_mlp_fc1": ("ff_context_net_0_proj",), "context_block_mlp_fc2": ("ff_context_net_2",),
    "x_block_adaLN_modulation_1": ("norm1_linear",), "context_block_adaLN_modulation_1": ("norm1_context_linear",),
}  # fmt: skip
_ZIMAGE: dict[str, Sequence[str]] = {
    "attention_qkv": ("attention_to_q", "attention_to_k", "attention_to_v"), "attention_out": ("attention_to_out_0",),
}  # fmt: skip
_STACKS: Sequence[tuple[re.Pattern[str], str, dict[str, Sequence[str]]]] = (
    (re.compile(r"double_blocks_(\d+)_(.+)"), "transformer_blocks", _FLUX_DOUBLE),
    (re.compile(r"single_blocks_(\d+)_(.+)"), "single_transformer_blocks", _FLUX_SINGLE),
    (re.compile(r"joint_blocks_(\d+)_(.+)"), "transformer_blocks", _SD3),
    (re.compile(r"(?P<stack>layers|noise_refiner|context_refiner)_(\d+)_(attention_(?:qkv|out))"), "", _ZIMAGE),
)


@dataclass(frozen=True)
class CommonName:
    """``component`` as files spell it, ``path`` without its prefix (dotted where the file has dots), ``names`` the
    common ones: several where a fused layer holds several of diffusers' below each other.
    """

    component: str
    path: str
    names: tuple[str, ...]


@lru_cache(maxsize=1 << 14)
def common_name(module: str) -> CommonName:
    """The common name of the module that a file calls ``module`` (a tensor's name without its suffix)."""
    component, path = _component(module)
    if component.startswith("text_encoder"):
        flat = path.replace(".", "_").removeprefix("text_model_")
        return CommonName(component, path, (f"{component}/{flat}",))
    path = _OLD_PROCESSOR.sub(lambda found: f".to_{found[1]}{'.0' if found[1] == 'out' else ''}", path)
    return CommonName(component, path, tuple(f"{DENOISER}/{name}" for name in _denoiser(path.replace(".", "_"))))


def _component(module: str) -> tuple[str, str]:
    path, component = module, ""
    # A wrapper stands before the component's name or behind it.
    for _ in range(2):
        for wrapper in _WRAPPERS:
            path = path.removeprefix(wrapper)
        if not component:
            prefix = next((prefix for prefix in _PREFIXES if path.startswith(prefix)), "")
            component, path = _PREFIXES.get(prefix, ""), path.removeprefix(prefix)
    if not component:
        component = "text_encoder" if _CLIP.match(path) else DENOISER
    return component, path


def _denoiser(flat: str) -> Sequence[str]:
    if flat in _TOP:
        return (_TOP[flat],)
    if found := _LDM.fullmatch(flat):
        return (_from_ldm(found) or flat,)
    for pattern, stack, names in _STACKS:
        if (found := pattern.fullmatch(flat)) and (parts := names.get(found[found.re.groups])):
            number = found[found.re.groups - 1]
            return tuple(f"{stack or found['stack']}_{number}_{part}" for part in parts)
    return (flat,)


def _from_ldm(found: re.Match[str]) -> str | None:
    if found[5]:
        place, rest = int(found[5]), found[6]
        inside = f"resnets_{place // 2}_{_RESNET.get(rest, rest)}" if place != 1 else f"attentions_0_{rest}"
        return f"mid_block_{inside}"
    number, place, rest = int(found[2]), int(found[3]), found[4]
    if found[1] == "input":
        level, within = divmod(number - 1, _UNET_STRIDE)
        if rest == "op":
            return f"down_blocks_{number // _UNET_STRIDE - 1}_downsamplers_0_conv"
        side = "down_blocks"
    else:
        level, within = divmod(number, _UNET_STRIDE)
        if rest == "conv":
            return f"up_blocks_{level}_upsamplers_0_conv"
        side = "up_blocks"
    inside = f"resnets_{within}_{_RESNET.get(rest, rest)}" if place == 0 else f"attentions_{within}_{rest}"
    return f"{side}_{level}_{inside}"


_BLOCK = re.compile(r"unet/(down|up)_blocks_(\d+)_(?:(?:resnets|attentions)_(\d+)|downsamplers|upsamplers)_")


def _unet_block(found: re.Match[str]) -> str:
    level, within = int(found[2]), int(found[3] or _UNET_STRIDE - 1)
    if found[1] == "down":
        return f"IN{1 + _UNET_STRIDE * level + within:02}"
    return f"OUT{_UNET_STRIDE * level + within:02}"


_LABELS: Sequence[tuple[re.Pattern[str], Callable[[re.Match[str]], str]]] = (
    (re.compile(r"text_encoder/"), lambda _: "TE1"),
    (re.compile(r"text_encoder_(\d)/"), lambda found: f"TE{found[1]}"),
    (re.compile(r"unet/mid_block_"), lambda _: "MID"),
    (_BLOCK, _unet_block),
    (re.compile(r"unet/transformer_blocks_(\d+)_"), lambda found: f"D{int(found[1]):02}"),
    (re.compile(r"unet/single_transformer_blocks_(\d+)_"), lambda found: f"S{int(found[1]):02}"),
    (re.compile(r"unet/layers_(\d+)_"), lambda found: f"L{int(found[1]):02}"),
)


@lru_cache(maxsize=1 << 14)
def block_of(name: str) -> str:
    """The block of a common name as block weights call it: IN04, MID, OUT07; D03 and S12 of a transformer; TE1; REST."""
    for pattern, label in _LABELS:
        if found := pattern.match(name):
            return label(found)
    return "REST"


def block_order(block: str) -> tuple[int, str]:
    """Sorts blocks as the model runs through them."""
    order = ("TE", "IN", "MID", "OUT", "D", "S", "L")
    return next((i for i, start in enumerate(order) if block.startswith(start)), len(order)), block
