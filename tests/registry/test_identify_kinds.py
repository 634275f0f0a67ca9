"""Files that adapt nothing: checkpoints and their parts, control networks, embeddings, upscalers, encoders."""

from __future__ import annotations

from pathlib import Path

import pytest

from registry.headers import read_header
from registry.identify import Identity, identify
from tests.support.model_files import Tensors, small_lora, write_model


def _identify(tmp_path: Path, tensors: Tensors) -> Identity:
    return identify(read_header(write_model(tmp_path / "a.safetensors", tensors)))


_LDM = "model.diffusion_model.input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight"
_XL = ("F16", [640, 2048])


@pytest.mark.parametrize(
    ("tensors", "kind", "architecture", "variant"),
    [
        ({_LDM: _XL}, "checkpoint", "sdxl", None),
        ({"model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": ("F16", [320, 768])}, "checkpoint",
         "sd1", None),
        ({"double_blocks.0.img_attn.qkv.weight": ("BF16", [9216, 3072])}, "checkpoint", "flux", None),
        ({"decoder.conv_in.weight": ("F32", [512, 4, 3, 3]), "encoder.conv_in.weight": ("F32", [128, 3, 3, 3])}, "vae", None,
         "4 channels"),
        ({"first_stage_model.decoder.conv_in.weight": ("F32", [512, 16, 3, 3])}, "vae", None, "16 channels"),
        ({"decoder.conv_in.weight": ("F32", [1024, 32, 3, 3]),
          "encoder.down_blocks.3.0.attn.to_qkv_multiscale.0.proj_in.weight": ("F32", [9, 1, 5, 5])}, "vae", "sana", "32 channels"),
        ({"decoder.conv_in.weight": ("F32", [512, 32, 3, 3]), "bn.running_mean": ("F32", [128])}, "vae", "flux2",
         "32 channels"),
        ({"decoder.middle.0.residual.0.gamma": ("F32", [384, 1, 1, 1])}, "vae", "wan", None),
        ({"decoder.last_scale_shift_table": ("F32", [2, 128])}, "vae", "ltx", None),
        ({"vquantizer.codebook.weight": ("F32", [8192, 4]), "encoder.0.weight": ("F32", [4, 4])}, "vae", "cascade", None),
        ({"emb_params": ("F32", [8, 768])}, "embedding", "sd1", None),
        ({"emb_params": ("F32", [8, 1024])}, "embedding", "sd2", None),
        ({"<zxq>": ("F32", [768])}, "embedding", "sd1", None),
        ({"clip_l": ("F32", [8, 768]), "clip_g": ("F32", [8, 1280])}, "embedding", "sdxl", None),
        ({"clip_l": ("F32", [8, 768]), "t5xxl": ("F32", [8, 4096])}, "embedding", None, None),
        ({"control_model.input_hint_block.0.weight": ("F32", [16, 3, 3, 3])}, "controlnet", None, None),
        ({"control_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": ("F16", [320, 768])}, "controlnet", "sd1",
         None),
        ({"controlnet_cond_embedding.conv_in.weight": ("F16", [16, 3, 3, 3]),
          "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.weight": _XL}, "controlnet", "sdxl", None),
        ({"controlnet_blocks.0.weight": ("BF16", [3072, 3072]),
          "double_blocks.0.img_attn.qkv.weight": ("BF16", [9216, 3072])}, "controlnet", "flux", None),
        ({"controlnet_x_embedder.weight": ("BF16", [3072, 64]), "x_embedder.weight": ("BF16", [3072, 64]),
          "transformer_blocks.0.attn.add_q_proj.weight": ("BF16", [3072, 3072]),
          "transformer_blocks.0.ff_context.net.2.weight": ("BF16", [3072, 12288])}, "controlnet", "flux", None),
        ({"lora_controlnet": ("F16", []), "input_blocks.1.0.in_layers.2.up": ("F16", [320, 64])}, "controlnet", None, None),
        ({"lllite_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q.down.0.weight": ("F16", [64, 640])}, "controlnet",
         None, None),
        ({"adapter.body.0.resnets.0.block1.weight": ("F16", [320, 320, 3, 3])}, "t2i-adapter", None, None),
        ({"body.0.block1.weight": ("F16", [320, 320, 3, 3]), "conv_in.weight": ("F16", [320, 192, 3, 3])}, "t2i-adapter", None,
         None),
        ({"image_proj.proj.weight": ("F16", [3072, 1024]), "ip_adapter.1.to_k_ip.weight": ("F16", [320, 768])}, "ip-adapter",
         "sd1", None),
        ({"image_proj.norm.weight": ("F16", [2048]), "ip_adapter.1.to_k_ip.weight": _XL,
          "ip_adapter.0.to_q_lora.down.weight": ("F16", [128, 640])}, "ip-adapter", "sdxl", None),
        ({"model.0.weight": ("F32", [64, 3, 3, 3]), "model.1.sub.0.RDB1.conv1.0.weight": ("F32", [32, 64, 3, 3])}, "upscaler",
         None, None),
        ({"conv_first.weight": ("F32", [64, 3, 3, 3]), "body.0.rdb1.conv1.weight": ("F32", [32, 64, 3, 3])}, "upscaler", None,
         None),
        ({"body.0.weight": ("F32", [64, 3, 3, 3]), "body.1.weight": ("F32", [64])}, "upscaler", None, None),
        ({"text_model.embeddings.token_embedding.weight": ("F16", [49408, 768]),
          "text_model.encoder.layers.0.mlp.fc1.weight": ("F16", [3072, 768])}, "text-encoder", None, "CLIP-L"),
        ({"text_model.embeddings.token_embedding.weight": ("F16", [49408, 1280]),
          "text_projection.weight": ("F16", [1280, 1280])}, "text-encoder", None, "CLIP-G"),
        ({"shared.weight": ("F16", [32128, 4096]),
          "encoder.block.0.layer.0.SelfAttention.q.weight": ("F16", [4096, 4096])}, "text-encoder", None, "T5-XXL"),
        ({"model.embed_tokens.weight": ("BF16", [151936, 2560]),
          "model.layers.0.self_attn.q_proj.weight": ("BF16", [4096, 2560])}, "text-encoder", None, "language model"),
        ({"vision_model.embeddings.patch_embedding.weight": ("F16", [1280, 3, 14, 14]),
          "vision_model.encoder.layers.0.mlp.fc1.weight": ("F16", [5120, 1280])}, "image-encoder", None, "CLIP vision"),
        ({"down_blocks.0.motion_modules.0.temporal_transformer.norm.weight": ("F16", [320]),
          "down_blocks.3.motion_modules.0.temporal_transformer.transformer_blocks.0.attn2.to_k.weight": ("F16", [1280, 1280]),
          "mid_block.motion_modules.0.temporal_transformer.norm.weight": ("F16", [1280])}, "motion", "sd1", "v2"),
        ({"down_blocks.2.motion_modules.0.temporal_transformer.norm.weight": ("F16", [1280])}, "motion", "sdxl", None),
        ({}, "other", None, None),
        ({"a.weight": ("F32", [3, 3]), "b.bias": ("F32", [3])}, "other", None, None),
    ],
)  # fmt: skip
def test_files_that_adapt_nothing_are_told_apart(
    tmp_path: Path, tensors: Tensors, kind: str, architecture: str | None, variant: str | None
) -> None:
    found = _identify(tmp_path, tensors)
    assert (found.kind, found.architecture, found.variant) == (kind, architecture, variant)
    assert (found.network_type, found.rank, found.alpha, found.modules) == (None, None, None, 0)
    assert kind == "other" or found.reasons["kind"]


def test_a_checkpoint_says_which_models_it_holds(tmp_path: Path) -> None:
    whole = {
        _LDM: _XL,
        "conditioner.embedders.0.transformer.text_model.embeddings.position_ids": ("F16", [1, 77]),
        "conditioner.embedders.1.model.ln_final.weight": ("F16", [1280]),
        "first_stage_model.decoder.conv_in.weight": ("F16", [512, 4, 3, 3]),
    }
    found = _identify(tmp_path, whole)
    assert (found.kind, found.parts) == ("checkpoint", ("unet", "te1", "te2", "vae"))
    bare = _identify(tmp_path, {_LDM: _XL})
    assert (bare.kind, bare.parts, bare.reasons["kind"]) == ("checkpoint", ("unet",), "it is a bare diffusion model")


def test_a_vae_that_goes_with_several_architectures_names_none(tmp_path: Path) -> None:
    found = _identify(tmp_path, {"decoder.conv_in.weight": ("F32", [512, 4, 3, 3])})
    assert (found.architecture, found.base_model) == (None, None)


def test_tensors_that_end_like_an_adapters_make_none_alone(tmp_path: Path) -> None:
    found = _identify(
        tmp_path, {"decoder.act.alpha": ("F32", [1, 9, 1]), "decoder.conv_in.weight": ("F32", [9, 4, 3, 3])}
    )
    assert found.kind == "vae"
    assert _identify(tmp_path, {"a1.weight": ("F32", [3, 3]), "x.a1.weight": ("F32", [3, 3])}).kind == "other"
    assert _identify(tmp_path, {**small_lora(), "other.alpha": ("F16", [])}).modules == 1
