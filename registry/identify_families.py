"""Which architecture a file's tensors belong to, by block names that only one family has and by the width of its layers.

Block names as in the models' own code, in diffusers and in kohya's files; widths as in the models' configurations.
"""

from __future__ import annotations

from functools import lru_cache

from registry.identify_evidence import Family
from registry.identify_modules import Adapted
from registry.identify_transformers import RULES
from registry.identify_unets import text_encoders, unet

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
        return text_encoders(adapted)
    name, example = marked
    if name == "unet":
        return unet(adapted)
    return RULES[name](adapted, example) if name in RULES else Family(name, f"only that family has {example}")
