"""Which architecture a file's tensors belong to, by block names that only one family has and by the width of its layers.

Block names as in the models' own code, in diffusers and in kohya's files; widths as in the models' configurations.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from registry.identify_modules import Adapted, highest, output_width


@dataclass(frozen=True)
class Evidence:
    """A finding and why it holds."""

    value: str
    reason: str


@dataclass(frozen=True)
class Family:
    """An architecture with its reason, and which member of it, where names or widths tell.

    It is a guess where names and widths fit several and this is the commonest.
    """

    architecture: str
    reason: str
    variant: Evidence | None = None
    is_guess: bool = False


_NAMES = (
    ("cascade", ("_channelwise_", "_N_N_attention_", "_kv_mapper_", "clip_txt_mapper", "clip_mapper", "lora_prior_unet_")),
    ("auraflow", ("joint_transformer_blocks_", "\ndouble_layers_")),
    ("sd3", ("joint_blocks_",)),
    ("hidream", ("double_stream_blocks_", "single_stream_blocks_")),
    ("mochi", ("_attn_qkv_x", "_attn_qkv_y", "_attn_proj_x", "_attn_proj_y", "_attn1_add_q_proj", "_attn1_add_k_proj")),
    ("hunyuan-dit", ("_attn1_Wqkv", "_attn2_kv_proj", "_attn2_q_proj", "_skip_linear", "mlp_t5_")),
    ("krea2", ("txtfusion_", "text_fusion_", "_attn_to_gate", "_attn_wq", "_attn_wk", "_attn_wv", "_attn_wo")),
    ("qwen", ("transformer_blocks_N_img_m", "transformer_blocks_N_txt_m")),
    ("ltx2", ("_audio_attn", "_audio_ff", "_audio_to_video", "_video_to_audio", "audio_adaln_single", "av_ca_")),
    ("anima", ("llm_adapter_",)),
    ("flux2", ("_stream_modulation", "_to_qkv_mlp_proj", "_ff_linear_in", "_ff_context_linear_in", "_ff_linear_out")),
    ("chroma", ("distilled_guidance_layer",)),
    ("hunyuan-video", ("token_refiner", "_img_mlp_fc", "_txt_mlp_fc", "_img_mod_linear", "_txt_mod_linear")),
    ("double", ("double_blocks_", "single_blocks_")),
    ("flux", ("single_transformer_blocks_",)),
    ("lumina", ("noise_refiner_", "context_refiner_", "\nlayers_N_att", "\nlayers_N_feed_forward", "\nlayers_N_adaLN")),
    ("sana", ("attention_y_norm", "_inverted_conv", "_conv_inverted")),
    ("pixart", ("_cross_attn_q_linear", "_cross_attn_kv_linear")),
    ("cosmos", (
        "\nblocks_N_self_attn_q_proj", "\nblocks_N_self_attn_k_proj", "\nblocks_N_self_attn_v_proj",
        "\nblocks_N_self_attn_output_proj", "\nblocks_N_cross_attn_q_proj", "\nblocks_N_cross_attn_k_proj",
        "\nblocks_N_cross_attn_v_proj", "\nblocks_N_cross_attn_output_proj", "\nblocks_N_adaln_modulation",
        "\nblocks_block",
    )),
    ("wan", ("\nblocks_N_self_attn_", "\nblocks_N_cross_attn_", "\nblocks_N_ffn_", "\nvace_blocks_")),
    ("cogvideo", ("\nblocks_N_norm1_linear",)),
    ("bare", ("\nblocks_N_attn1_", "\nblocks_N_attn2_", "\nblocks_N_ff_")),
    ("unet", (
        "attentions_N_", "input_blocks_N", "output_blocks_N", "middle_block_N", "_resnets_N_", "_motion_modules_N_",
    )),
    ("joint", (
        "\ntransformer_blocks_N_attn_", "\ntransformer_blocks_N_ff_context", "\ntransformer_blocks_N_norm1_context",
    )),
    ("dit", ("\ntransformer_blocks_N_",)),
)  # fmt: skip
"""(family, what only its names have), what is rarer first; ``N`` is a block's number."""


@lru_cache(maxsize=32)
def _marked(sample: str) -> tuple[str, str] | None:
    """(family of the names, what tells it)."""
    for name, needles in _NAMES:
        for needle in needles:
            if needle in sample:
                return name, needle.strip("_\n")
    return None


def family(adapted: Adapted) -> Family | None:
    """What names and shapes tell; None if they tell nothing."""
    marked = _marked(adapted.layout.sample)
    if marked is None:
        return _text_encoders(adapted)
    name, example = marked
    return _RULES[name](adapted, example) if name in _RULES else Family(name, f"only that family has {example}")


# one rule for the families that share names ---------------------------------------------------------------------------

_SD = {768: "sd1", 1024: "sd2", 1280: "sdxl", 2048: "sdxl"}
_CROSS = ("attn2_to_k", "attn2_to_v")
_UNET = re.compile(r"(down|up|input|output)_blocks|mid_block|middle_block")


def _is_cross(name: str) -> bool:
    return name.endswith(_CROSS) and _UNET.search(name) is not None


def cross_attention(adapted: Adapted) -> tuple[str, int] | None:
    """The first cross-attention of a UNet, with the width of the text states that it takes."""
    return adapted.first_width(_is_cross)


def _unet(adapted: Adapted, _example: str) -> Family | None:
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
    return _text_encoders(adapted)


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


def _text_encoders(adapted: Adapted) -> Family | None:
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


# transformers: the width of the hidden state ---------------------------------------------------------------------------

_READS_HIDDEN = (
    "qkv", "qkv1", "_to_q", "self_attn_q", "self_attn_k", "self_attn_v", "cross_attn_q", "_linear1", "self_attn_q_proj",
    "_to_qkv_mlp_proj", "_q_linear", "attn_wq", "add_q_proj", "self_attn_o", "ffn_0", "ffn_net_0_proj", "w1", "ff_linear_in",
    "mlp_layer1", "ff_net_0_proj", "_to_k", "_to_v", "attn_proj", "cross_attn_o",
)  # fmt: skip
_NOT_HIDDEN = re.compile(
    r"attn2_to_[kv]$|refiner_blocks|llm_adapter|^lora_te|^text_encoder|^lycoris_te|audio_|experts|token_refiner|text_fusion"
)


def hidden(adapted: Adapted) -> tuple[str, int] | None:
    """The first module that reads a transformer's hidden state, with its width; quantised weights may tell none."""
    return adapted.first_width(lambda name: name.endswith(_READS_HIDDEN) and _NOT_HIDDEN.search(name) is None)


def _by_width(architecture: str, names: dict[int, str]) -> Callable[[Adapted, str], Family]:
    def rule(adapted: Adapted, example: str) -> Family:
        return Family(architecture, f"only that family has {example}", sized(adapted, names))

    return rule


def sized(adapted: Adapted, names: dict[int, str]) -> Evidence | None:
    """Which member of a family it is, by the hidden state's width."""
    found = hidden(adapted)
    if found and found[1] in names:
        return Evidence(names[found[1]], f"{found[0]} is {found[1]} wide")
    return None


_FLUX2 = {3072: "Klein 4B", 4096: "Klein 9B", 6144: "Dev"}
_FLUX2_CONTEXT = {7680: "Klein 4B", 12288: "Klein 9B", 15360: "Dev"}
_WAN = {1536: "1.3B", 3072: "5B", 5120: "14B"}
_SD3 = {1536: "medium", 2432: "large"}


def _double(adapted: Adapted, example: str) -> Family:
    """FLUX.1, FLUX.2 and Hunyuan share block names; width, depth and the size of the MLP tell them apart."""
    names = adapted.layout.text
    depth = highest(r"double_blocks_(\d{1,6})", names)
    found = hidden(adapted)
    width = found[1] if found else 0
    if width == 3584 or depth in {19, 53}:
        return _hunyuan(adapted, f"double_blocks_{depth}")
    if width in {4096, 6144} or (context := _context(adapted)):
        return Family(
            "flux2", f"{found[0]} is {width} wide" if width in _FLUX2 and found else context, _flux2_size(adapted)
        )
    wide = adapted.first_width(lambda name: name.endswith("_linear1"))
    if wide and (out := output_width(adapted.parts(wide[0]))) and out == 9 * wide[1]:
        return Family("flux2", f"{wide[0]} is {wide[1]} wide and puts out {out}", _flux2_size(adapted))
    if "distilled_guidance_layer" in names:
        return Family("chroma", "it has a distilled_guidance_layer")
    return _flux(adapted, f"it has {example}")


def _context(adapted: Adapted) -> str:
    found = adapted.first_width(lambda name: name.endswith(("txt_in", "context_embedder")))
    return f"{found[0]} takes {found[1]} inputs" if found and found[1] in _FLUX2_CONTEXT else ""


def _flux2_size(adapted: Adapted) -> Evidence | None:
    if size := sized(adapted, _FLUX2):
        return size
    found = adapted.first_width(lambda name: name.endswith(("txt_in", "context_embedder")))
    if found and found[1] in _FLUX2_CONTEXT:
        return Evidence(_FLUX2_CONTEXT[found[1]], f"{found[0]} takes {found[1]} inputs")
    last = highest(r"single_(?:transformer_)?blocks_(\d{1,6})", adapted.layout.text)
    by_depth = {19: "Klein 4B", 23: "Klein 9B", 47: "Dev"}
    return Evidence(by_depth[last], f"it has {last + 1} single blocks") if last in by_depth else None


def _flux2(adapted: Adapted, example: str) -> Family:
    return Family("flux2", f"only that family has {example}", _flux2_size(adapted))


def _flux(adapted: Adapted, reason: str) -> Family:
    """Of FLUX.1 only Dev takes a guidance strength; Fill, Depth and Canny take more channels."""
    names = adapted.layout.text
    if "guidance_in_" in names or "guidance_embedder" in names:
        picture = adapted.first_width(lambda name: name.endswith(("img_in", "x_embedder")))
        if picture and picture[1] == 384:
            return Family("flux", reason, Evidence("fill", f"{picture[0]} takes {picture[1]} inputs"))
        return Family("flux", reason, Evidence("dev", "it has layers for the guidance strength"))
    if not adapted.layout.is_adapter and adapted.layout.first(r"(img_in|x_embedder)$"):
        return Family("flux", reason, Evidence("schnell", "it has no layers for a guidance strength"))
    return Family("flux", reason)


def _flux_diffusers(adapted: Adapted, example: str) -> Family:
    names = adapted.layout.text
    double = highest(r"(?<!single_)transformer_blocks_(\d{1,6})", names)
    single = highest(r"single_transformer_blocks_(\d{1,6})", names)
    if double == 19 or single in {38, 39}:
        return _hunyuan(adapted, f"block {max(double, single)}, one more than Flux.1 has")
    found = hidden(adapted)
    if found and found[1] in {4096, 6144}:
        return Family("flux2", f"{found[0]} is {found[1]} wide", _flux2_size(adapted))
    if found and found[1] == 3584:
        return _hunyuan(adapted, example)
    if "joint_transformer_blocks" in names:
        return Family("auraflow", "it has joint and single blocks")
    return _flux(adapted, f"it has {example}")


def _hunyuan(adapted: Adapted, example: str) -> Family:
    found = hidden(adapted)
    if found and found[1] == 3584:
        return Family("hunyuan-image", f"{found[0]} is {found[1]} wide")
    if found and found[1] == 2048:
        return Family("hunyuan-video", f"it has {example}", Evidence("1.5", f"{found[0]} is {found[1]} wide"))
    return Family("hunyuan-video", f"it has {example}")


def _lumina(adapted: Adapted, example: str) -> Family | None:
    found = hidden(adapted) or adapted.first_width(lambda name: name.endswith(("attention_qkv", "feed_forward_w1")))
    if found and found[1] == 3840:
        return Family("z-image", f"{found[0]} is {found[1]} wide")
    if (found and found[1] == 2304) or "refiner" in example:
        return Family("lumina", f"{found[0]} is {found[1]} wide" if found else f"it has {example}")
    return None


def _cosmos(adapted: Adapted, example: str) -> Family:
    """Anima is Cosmos-Predict2's 2B with an adapter for its text model, which LoRAs seldom hold."""
    names = adapted.layout.text
    if "llm_adapter" in names or "lora_te_layers" in names:
        return Family("anima", "it has a module of Anima's text adapter or encoder")
    found = hidden(adapted)
    if adapted.layout.is_adapter and found and found[1] == 2048:
        return Family("anima", f"{found[0]} is {found[1]} wide, as in Anima and Cosmos-Predict2 2B")
    sizes = {2048: "2B", 4096: "7B", 5120: "14B"}
    return Family("cosmos", f"it has {example}", sized(adapted, sizes))


def _wan(adapted: Adapted, example: str) -> Family:
    names = adapted.layout.text
    size = sized(adapted, _WAN)
    for needle, kind in (
        ("vace_", "VACE"),
        ("cross_attn_k_img", "I2V"),
        ("_attn2_add_k_proj", "I2V"),
        ("img_emb_", "I2V"),
    ):
        if needle in names:
            text = f"{size.value} {kind}" if size else kind
            return Family("wan", f"only that family has {example}", Evidence(text, f"it has {needle.strip('_')}"))
    channels = adapted.first_width(lambda name: name.endswith("patch_embedding"))
    if channels and channels[1] == 36 and size:
        size = Evidence(f"{size.value} I2V", f"{channels[0]} takes 36 channels")
    return Family("wan", f"only that family has {example}", size)


def _bare(adapted: Adapted, example: str) -> Family | None:
    found = hidden(adapted)
    if found and found[1] == 1408:
        return Family("hunyuan-dit", f"{found[0]} is {found[1]} wide")
    if found and found[1] in _WAN:
        return _wan(adapted, example)
    return None


_DIT = {1152: "pixart", 1920: "cogvideo", 2048: "ltx", 2240: "sana", 3072: "cogvideo", 4096: "ltx"}
_MEMBERS = {("cogvideo", 1920): "2B", ("cogvideo", 3072): "5B", ("ltx", 2048): "2B", ("ltx", 4096): "13B"}


def _dit(adapted: Adapted, _example: str) -> Family | None:
    """Families that diffusers gives ``transformer_blocks`` with one stream: only their width tells them apart."""
    found = hidden(adapted)
    if found is None or found[1] not in _DIT:
        return None
    name, reason = _DIT[found[1]], f"{found[0]} is {found[1]} wide"
    names = adapted.layout.text
    if (
        name == "ltx"
        and (text := adapted.first_width(lambda module: module.endswith("attn2_to_k")))
        and text[1] == 1024
    ):
        return Family("cosmos", f"{reason} and its cross-attention takes 1024 inputs")
    if name == "pixart" and "caption_projection" not in names and "_ff_conv" in names:
        return Family("sana", reason)
    member = _MEMBERS.get((name, found[1]))
    # Without its attention, a block of 4096 may be of LTX, LTX 2 or Cosmos.
    is_guess = found[1] == 4096 and "attn2" not in names
    return Family(name, reason, Evidence(member, reason) if member else None, is_guess)


def _joint(adapted: Adapted, _example: str) -> Family | None:
    """Families that diffusers gives ``transformer_blocks`` with joint attention: depth and width tell them apart."""
    text = adapted.layout.text
    depth = highest(r"transformer_blocks_(\d{1,6})", text) + 1
    found = hidden(adapted)
    width = found[1] if found else None
    if width in {4096, 6144}:
        return Family("flux2", f"its joint blocks are {width} wide", _flux2_size(adapted))
    if width in _SD3:
        return Family("sd3", f"its joint blocks are {width} wide", sized(adapted, _SD3))
    if width == 2048:
        reason = f"its joint blocks are {width} wide"
        return Family("hunyuan-video", reason, Evidence("1.5", reason))
    has_text_layers = "ff_context" in text or "norm1_context" in text
    if depth > 19 and not has_text_layers:
        return Family("qwen", f"it has {depth} joint blocks")
    if width == 3072:
        return _wide_joint(adapted, depth, has_text_layers)
    return None


def _wide_joint(adapted: Adapted, depth: int, has_text_layers: bool) -> Family:
    """Joint blocks of 3072: Flux.1 has 19 of them, Hunyuan Video 20, Mochi 48, Qwen-Image 60."""
    if depth > 20:
        return Family("mochi", f"it has {depth} joint blocks with layers for the text")
    if depth == 20:
        return _hunyuan(adapted, "20 joint blocks")
    if depth < 19 and not has_text_layers:
        return Family(
            "flux", "its joint blocks are 3072 wide, as Flux.1's, Qwen-Image's and Hunyuan Video's are", is_guess=True
        )
    return _flux(adapted, "its joint blocks are 3072 wide")


def _sd3(adapted: Adapted, example: str) -> Family:
    if "x_block_attn2" in adapted.layout.text:
        return Family(
            "sd3", f"only that family has {example}", Evidence("3.5 medium", "its x_blocks have a second attention")
        )
    return Family("sd3", f"only that family has {example}", sized(adapted, _SD3))


_RULES: dict[str, Callable[[Adapted, str], Family | None]] = {
    "unet": _unet, "double": _double, "flux": _flux_diffusers, "lumina": _lumina, "cosmos": _cosmos, "wan": _wan,
    "bare": _bare, "dit": _dit, "joint": _joint, "sd3": _sd3, "flux2": _flux2, "hunyuan-video": _hunyuan,
    "pixart": _by_width("pixart", {}), "cogvideo": _by_width("cogvideo", {1920: "2B", 3072: "5B"}),
}  # fmt: skip
