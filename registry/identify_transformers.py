"""Diffusion transformers whose block names several families share: width and depth tell them apart."""

from __future__ import annotations

import re
from collections.abc import Callable

from registry.identify_evidence import Evidence, Family
from registry.identify_modules import Adapted, highest, output_width

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


RULES: dict[str, Callable[[Adapted, str], Family | None]] = {
    "double": _double, "flux": _flux_diffusers, "lumina": _lumina, "cosmos": _cosmos, "wan": _wan,
    "bare": _bare, "dit": _dit, "joint": _joint, "sd3": _sd3, "flux2": _flux2, "hunyuan-video": _hunyuan,
    "pixart": _by_width("pixart", {}), "cogvideo": _by_width("cogvideo", {1920: "2B", 3072: "5B"}),
}  # fmt: skip
"""How a family of names is told apart further, given what its names have."""
