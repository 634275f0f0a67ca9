"""Which architecture a file belongs to, and which base model it was made for.

Names and shapes win over metadata, which people copy and tools get wrong; but only metadata tells Pony, Illustrious
and NoobAI from SDXL, since their tensors are alike.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from registry.headers import TensorInfo
from registry.identify_modules import Module

TINY_BASE_NAME = "hubman-tinybase"
"""``ss_sd_model_name`` of what is trained on the embedded base model."""
_TINY_WIDTH = 128


@dataclass(frozen=True)
class Evidence:
    """A finding and why it holds."""

    value: str
    reason: str


_BY_CROSS_ATTENTION = {768: "sd1", 1024: "sd2", 1280: "sdxl", 2048: "sdxl"}


def architecture(
    adapted: list[Module], tensors: Mapping[str, TensorInfo], metadata: Mapping[str, str]
) -> Evidence | None:
    """``sd1 sd2 sdxl sd3 flux flux2 tiny`` or another family's name, with the evidence; None if nothing tells."""
    names = [module.name for module in adapted] or list(tensors)
    widths = _cross_attention_widths(adapted, tensors)
    if _TINY_WIDTH in widths and metadata.get("ss_sd_model_name") == TINY_BASE_NAME:
        return Evidence("tiny", f"cross-attention is {_TINY_WIDTH} wide and the metadata names the embedded base model")
    return (
        _transformer(adapted, names)
        or _unet(names, widths)
        or _text_encoders(adapted)
        or _stated_architecture(metadata)
    )


def _cross_attention_widths(adapted: list[Module], tensors: Mapping[str, TensorInfo]) -> set[int]:
    if adapted:
        return {
            width
            for module in adapted
            if module.name.endswith(("attn2_to_k", "attn2.to_k", "attn2_to_v", "attn2.to_v"))
            and _is_unet(module.name) and (width := module.input_width)
        }  # fmt: skip
    return {
        tensor.shape[1]
        for name, tensor in tensors.items()
        if name.endswith("attn2.to_k.weight") and len(tensor.shape) == 2
    }


def _is_unet(name: str) -> bool:
    return re.search(r"(down|up|input|output)_blocks|mid_block|middle_block", name) is not None


def _unet(names: list[str], widths: set[int]) -> Evidence | None:
    for width in sorted(widths):
        if width in _BY_CROSS_ATTENTION:
            return Evidence(_BY_CROSS_ATTENTION[width], f"cross-attention takes {width} inputs")
    if found := _first(r"(input|output)_blocks_\d|middle_block_\d", names):
        return Evidence("sdxl", f"{found} is a block name that only SDXL files have")
    if found := _first(r"(down|up|mid)_block.*transformer_blocks[._][1-9]", names):
        return Evidence("sdxl", f"{found} is deeper than any block of SD 1 and 2")
    return None


def _transformer(adapted: list[Module], names: list[str]) -> Evidence | None:
    """The diffusion transformers, by block names that no other family has."""
    # Every block has such names, so a few dozen tell as much as thousands.
    sample = names[:: len(names) // 50 + 1]
    for marker, family in _MARKERS:
        if found := _first(marker, sample):
            return Evidence(family, f"{found} is a module of that family")
    if _first(r"double_blocks|single_blocks", sample):
        return _double_stream(adapted, names)
    if _first(r"(^|[._])transformer_blocks[._]\d+[._]attn[._]", sample):
        return _joint(adapted, names)
    return None


def _first(pattern: str, names: Iterable[str]) -> str | None:
    """The first name that has ``pattern`` in it: one search through all of them, not one each."""
    text = "\n".join(names)
    found = re.search(pattern, text, re.MULTILINE)
    if found is None:
        return None
    end = text.find("\n", found.end())
    return text[text.rfind("\n", 0, found.end()) + 1 : end if end >= 0 else len(text)]


def _joint(adapted: list[Module], names: list[str]) -> Evidence | None:
    """Families that diffusers gives ``transformer_blocks`` with joint attention: depth and width tell them apart."""
    depth = _highest(names, r"transformer_blocks[._](\d+)") + 1
    if depth > 38:
        return Evidence("qwen", f"it has {depth} joint blocks")
    widths = {module.input_width for module in adapted if module.name.endswith(("to_q", "add_q_proj"))}
    for width, family in ((1536, "sd3"), (2432, "sd3"), (3072, "flux")):
        if width in widths:
            return Evidence(family, f"its joint blocks are {width} wide")
    return None


_MARKERS = (
    (r"joint_transformer_blocks", "auraflow"),
    (r"joint_blocks", "sd3"),
    (r"double_stream_blocks|single_stream_blocks", "hidream"),
    (r"(^|[._])single_transformer_blocks", "flux"),
    (r"transformer_blocks[._]\d+[._](img|txt)_mlp", "qwen"),
    (r"(^|[._])blocks[._]\d+[._](self_attn|cross_attn)[._][qkvo]", "wan"),
    (r"(^|[._])layers[._]\d+[._]attention[._]", "lumina"),
)


def _double_stream(adapted: list[Module], names: list[str]) -> Evidence:
    """FLUX.1, FLUX.2 and HunyuanVideo share block names; width, depth and the size of the MLP tell them apart."""
    if _highest(names, r"double_blocks[._](\d+)") == 19:
        return Evidence("hunyuan-video", "it has 20 double blocks")
    for module in adapted:
        if re.search(r"img_attn[._]qkv$|single_blocks[._]\d+[._]linear1$", module.name):
            width, out = module.input_width, module.output_width
            if width in {4096, 6144} or (width and out == 9 * width):
                return Evidence("flux2", f"{module.name} is {width} wide and puts out {out}")
    return Evidence("flux", "it has double_blocks or single_blocks")


def _highest(names: Iterable[str], pattern: str) -> int:
    return max((int(found[1]) for name in names if (found := re.search(pattern, name))), default=-1)


def _text_encoders(adapted: list[Module]) -> Evidence | None:
    names = [module.name for module in adapted]
    if any(name.startswith("lora_te3_") for name in names):
        return None
    if any(name.startswith(("lora_te2_", "text_encoder_2.")) for name in names):
        return Evidence("sdxl", "it adapts a second text encoder")
    for module in adapted:
        if module.name.startswith(("lora_te_", "text_encoder.")) and module.name.endswith(("q_proj", "k_proj")):
            family = {768: "sd1", 1024: "sd2"}.get(module.input_width or 0)
            if family:
                return Evidence(family, f"its text encoder is {module.input_width} wide")
    return None


_ARCHITECTURES = (
    ("stable-diffusion-xl", "sdxl"), ("sdxl", "sdxl"), ("stable-diffusion-v1", "sd1"), ("sd_v1", "sd1"),
    ("stable-diffusion-v2", "sd2"), ("sd_v2", "sd2"), ("stable-diffusion-3", "sd3"), ("sd3", "sd3"),
    ("flux-2", "flux2"), ("flux2", "flux2"), ("flux", "flux"), ("chroma", "flux"), ("qwen", "qwen"), ("wan", "wan"),
    ("hunyuan-video", "hunyuan-video"), ("hunyuan_video", "hunyuan-video"), ("hidream", "hidream"),
    ("lumina", "lumina"), ("auraflow", "auraflow"), ("z-image", "lumina"), ("zimage", "lumina"),
)  # fmt: skip


def _stated_architecture(metadata: Mapping[str, str]) -> Evidence | None:
    for key in ("modelspec.architecture", "ss_base_model_version"):
        stated = metadata.get(key, "").lower()
        for prefix, family in _ARCHITECTURES:
            if stated.startswith(prefix):
                return Evidence(family, f"{key} says {stated}; the tensors don't tell")
    return None


# base models, by Civitai's names ------------------------------------------------------------------------------------

_NAMED = (
    ("sdxl", r"pony", "Pony"), ("sdxl", r"illustrious|ilxl|(^|[^a-z])il_?xl|wai.?(nsfw|ani|illu)", "Illustrious"),
    ("sdxl", r"noob", "NoobAI"), ("flux", r"schnell", "Flux.1 S"), ("flux", r"kontext", "Flux.1 Kontext"),
    ("flux", r"krea", "Flux.1 Krea"), ("flux", r"chroma", "Chroma"), ("sd2", r"768|v2_v|_v$|v-pred", "SD 2.1 768"),
    ("sd1", r"(^|[^0-9])1[._-]4([^0-9]|$)", "SD 1.4"), ("sdxl", r"0[._]9([^0-9]|$)", "SDXL 0.9"),
    ("sdxl", r"lightning", "SDXL Lightning"), ("sd3", r"3[._-]?5.?m|5-medium", "SD 3.5 Medium"),
    ("sd3", r"3[._-]?5.?l|5-large", "SD 3.5 Large"), ("lumina", r"z-?image.?base", "ZImageBase"),
    ("lumina", r"z-?image", "ZImageTurbo"), ("lumina", r"lumina", "Lumina"),
)  # fmt: skip
"""(architecture, pattern in what the metadata says of the base, Civitai's name)."""

_USUAL = {
    "sd1": "SD 1.5", "sd2": "SD 2.1", "sdxl": "SDXL 1.0", "flux": "Flux.1 D", "qwen": "Qwen", "hidream": "HiDream",
    "hunyuan-video": "Hunyuan Video", "auraflow": "AuraFlow", "tiny": "Other", "sd3": "SD 3",
}  # fmt: skip
"""What an architecture's files are nearly always made for; :func:`_sized` knows the families of several sizes."""

_SAYING = (
"ss_sd_model_name", "ss_base_model_version", "modelspec.architecture", "modelspec.implementation",
    "modelspec.merged_from",
)  # fmt: skip


def base_model(family: str | None, adapted: list[Module], metadata: Mapping[str, str]) -> tuple[Evidence | None, bool]:
    """(Civitai's exact name with its reason, whether the metadata states it rather than usage suggesting it)."""
    if family is None:
        return None, False
    if family != "tiny":
        for architecture_, pattern, name in _NAMED:
            for key in _SAYING if architecture_ == family else ():
                if re.search(pattern, metadata.get(key, "").lower()):
                    return Evidence(name, f"{key} says {metadata[key]}"), True
    sized = _sized(family, adapted)
    if sized is not None:
        return sized, True
    usual = _USUAL.get(family)
    if usual is None:
        return None, False
    stated = _stated_architecture(metadata)
    if family == "tiny" or (stated is not None and stated.value == family):
        return Evidence(usual, "tensors and metadata agree on the architecture"), True
    return Evidence(usual, f"the usual base of the architecture {family}"), False


def _sized(family: str, adapted: list[Module]) -> Evidence | None:
    """The base by the model's width, for families whose members differ in it."""
    names = _BY_WIDTH.get(family, {})
    for module in adapted if names else ():
        width = module.input_width
        if width in names and _is_hidden(module.name):
            return Evidence(names[width], f"its blocks are {width} wide")
    return None


_BY_WIDTH: dict[str, dict[int | None, str]] = {
    "flux2": {3072: "Flux.2 Klein 4B", 4096: "Flux.2 Klein 9B", 6144: "Flux.2 D"},
    "wan": {1536: "Wan Video 1.3B t2v", 3072: "Wan Video 2.2 TI2V-5B"},
    "sd3": {2432: "SD 3.5 Large"},
    "lumina": {3840: "ZImageTurbo", 2304: "Lumina"},
}


def _is_hidden(name: str) -> bool:
    """Whether the module reads the model's hidden state, so that its input width is the model's."""
    return re.search(r"(qkv|to_q|attn[._]q|self_attn[._][kv]|linear1)$", name) is not None
