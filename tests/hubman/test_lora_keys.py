"""Names of LoRA files find their modules in real topologies (SD 1.5, SDXL), whichever tool wrote them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from hubman.generate.pipeline import sites_of
from hubman.lora.keys import Site, alias_table, kohya_clip, split_name
from hubman.lora.resolve import resolve
from registry.errors import DamagedFileError, HubError

KEY_LISTS = Path(__file__).parents[1] / "data" / "lora" / "key_lists.json.gz"


@pytest.fixture(scope="module")
def shapes() -> dict[str, dict[str, tuple[int, ...]]]:
    lists = json.loads(gzip.decompress(KEY_LISTS.read_bytes()))
    return {file: {name: tuple(shape) for name, shape in keys.items()} for file, keys in lists.items()}


@pytest.fixture(scope="module")
def sd15() -> dict[str, Site]:
    with torch.device("meta"):
        unet = UNet2DConditionModel(sample_size=64, cross_attention_dim=768, attention_head_dim=8)
        text = CLIPTextModel(CLIPTextConfig(hidden_size=768, intermediate_size=3072, num_hidden_layers=12))
    return alias_table([*sites_of("unet", unet), *sites_of("text_encoder", text)])


@pytest.fixture(scope="module")
def sdxl() -> dict[str, Site]:
    with torch.device("meta"):
        unet = UNet2DConditionModel(
            block_out_channels=(320, 640, 1280),
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            cross_attention_dim=2048,
            transformer_layers_per_block=(1, 2, 10),
            attention_head_dim=(5, 10, 20),
            use_linear_projection=True,
            addition_embed_type="text_time",
            addition_time_embed_dim=256,
            projection_class_embeddings_input_dim=2816,
        )
        one = CLIPTextModel(CLIPTextConfig(hidden_size=768, intermediate_size=3072, num_hidden_layers=12))
        two = CLIPTextModelWithProjection(
            CLIPTextConfig(hidden_size=1280, intermediate_size=5120, num_hidden_layers=32, num_attention_heads=20)
        )
    sites = [*sites_of("unet", unet), *sites_of("text_encoder", one), *sites_of("text_encoder_2", two)]
    return alias_table(sites)


@pytest.mark.parametrize(
    ("file", "modules"), [("diffusers_example", 128), ("sds_diffusers", 192), ("sds_single_te", 350)]
)
def test_every_module_of_a_real_sd15_file_is_found(
    shapes: dict[str, dict[str, tuple[int, ...]]], sd15: dict[str, Site], file: str, modules: int
) -> None:
    resolved = resolve(shapes[file], sd15, file=file, base="SD 1.5")
    assert resolved.coverage.matched == resolved.coverage.total == modules
    assert resolved.coverage.complete
    assert len({site.path for site in resolved.modules}) == modules


@pytest.mark.parametrize(("file", "modules"), [("sdxl_kohya_lora_r8", 986), ("sdxl_kohya_locon_r8_c4", 1052)])
def test_every_module_of_a_real_sdxl_file_is_found_under_its_ldm_name(
    shapes: dict[str, dict[str, tuple[int, ...]]], sdxl: dict[str, Site], file: str, modules: int
) -> None:
    resolved = resolve(shapes[file], sdxl, file=file, base="SDXL")
    assert resolved.coverage.matched == resolved.coverage.total == modules


@pytest.mark.parametrize("file", ["sds_diffusers", "sds_single_te", "diffusers_example"])
def test_a_file_for_another_base_is_refused_by_its_shapes(
    shapes: dict[str, dict[str, tuple[int, ...]]], sdxl: dict[str, Site], file: str
) -> None:
    with pytest.raises(HubError, match=f"{file} was made for another base than SDXL"):
        resolve(shapes[file], sdxl, file=file, base="SDXL")


def test_nothing_matched_names_file_base_and_prefixes(sd15: dict[str, Site]) -> None:
    keys: dict[str, tuple[int, ...]] = {"transformer.blocks.0.attn.to_q.lora_A.weight": (4, 8)}
    with pytest.raises(HubError, match=r"flux.safetensors fits nothing in SD 1.5 .*1 transformer"):
        resolve(keys, sd15, file="flux.safetensors", base="SD 1.5")


@pytest.mark.parametrize(
    "name",
    [
        "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_out_0",
        "lora_unet_input_blocks_1_1_transformer_blocks_0_attn1_to_out_0",
        "lycoris_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_out_0",
        "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_out.0",
        "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_out.0",
        "base_model.model.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_out.0",
        "diffusion_model.input_blocks.1.1.transformer_blocks.0.attn1.to_out.0",
        "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.processor.to_out_lora",
    ],
)
def test_all_spellings_of_a_unet_module_lead_to_it(sd15: dict[str, Site], name: str) -> None:
    assert sd15[name].path == "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_out.0"


@pytest.mark.parametrize("level", ["", "text_model."])
@pytest.mark.parametrize("prefix", ["lora_te_", "lora_te1_", "text_encoder."])
def test_text_encoder_names_work_with_and_without_the_dropped_level(
    sd15: dict[str, Site], prefix: str, level: str
) -> None:
    path = f"{level}encoder.layers.0.self_attn.q_proj"
    name = prefix + (path if prefix.endswith(".") else path.replace(".", "_"))
    assert sd15[name].component == "text_encoder"
    assert sd15[name].path.endswith("encoder.layers.0.self_attn.q_proj")


def test_ldm_names_of_sd15_cover_down_and_upsamplers(sd15: dict[str, Site]) -> None:
    assert sd15["lora_unet_input_blocks_3_0_op"].path == "down_blocks.0.downsamplers.0.conv"
    assert sd15["lora_unet_output_blocks_2_1_conv"].path == "up_blocks.0.upsamplers.0.conv"
    assert sd15["lora_unet_output_blocks_5_2_conv"].path == "up_blocks.1.upsamplers.0.conv"


@pytest.mark.parametrize(
    ("tensor", "module", "part"),
    [
        ("a_b.lora_down.weight", "a_b", "down"),
        ("a.lora_B.default.weight", "a", "up"),
        ("a.lora.up.weight", "a", "up"),
        ("a.lora_linear_layer.down.weight", "a", "down"),
        ("a.processor.to_q_lora.down.weight", "a.processor.to_q_lora", "down"),
        ("a.lora_magnitude_vector", "a", "dora_vector"),
        ("a.lokr_w2_a", "a", "lokr_w2_a"),
        ("a.alpha", "a", "alpha"),
    ],
)
def test_suffixes_are_split_off(tensor: str, module: str, part: str) -> None:
    assert split_name(tensor) == (module, part)


@pytest.mark.parametrize(
    "tensors",
    [
        {"oft_blocks": (3, 4, 4)},
        {"oft_blocks": (4, 2, 5, 5)},
        {"a1.weight": (4, 4), "a2.weight": (4, 4), "b1.weight": (1280, 4), "b2.weight": (4, 1280)},
        {"weight": (7,), "on_input": ()},
        {"w_norm": (1280,)},
        {"diff": (1280, 3)},
        {"diff_b": (3,)},
        {"lora_down.weight": (4, 1280), "lora_up.weight": (1280, 5)},
        {"lora_down.weight": (4, 1280), "lora_up.weight": (1280, 4), "dora_scale": (3, 1)},
        {"hada_w1_a": (1280, 2), "hada_w1_b": (2, 1280), "hada_w2_a": (1280, 2), "hada_w2_b": (2, 4)},
        {"lokr_w1": (2, 2), "lokr_w2": (640, 7)},
    ],
    ids="-".join,
)
def test_tensors_that_make_no_weight_of_the_module_are_bad_shapes(
    sd15: dict[str, Site], tensors: dict[str, tuple[int, ...]]
) -> None:
    named = {f"lora_unet_mid_block_attentions_0_proj_in.{name}": shape for name, shape in tensors.items()}
    with pytest.raises(HubError, match="1 of the wrong shape, first lora_unet_mid_block_attentions_0_proj_in"):
        resolve(named, sd15, file="x", base="SD 1.5")


def test_one_module_under_two_names_is_refused(sd15: dict[str, Site]) -> None:
    keys: dict[str, tuple[int, ...]] = {}
    for name in ("lora_unet_mid_block_attentions_0_proj_in", "lora_unet_middle_block_1_proj_in"):
        keys |= {f"{name}.lora_down.weight": (4, 1280, 1, 1), f"{name}.lora_up.weight": (1280, 4, 1, 1)}
    with pytest.raises(DamagedFileError, match="twice"):
        resolve(keys, sd15, file="x", base="SD 1.5")


def test_down_without_up_counts_as_a_bad_shape(sd15: dict[str, Site]) -> None:
    keys: dict[str, tuple[int, ...]] = {"lora_unet_mid_block_attentions_0_proj_in.lora_down.weight": (4, 1280, 1, 1)}
    with pytest.raises(HubError, match="1 of the wrong shape"):
        resolve(keys, sd15, file="x", base="SD 1.5")


def test_clips_alone_get_the_level_that_files_have() -> None:
    assert kohya_clip("lora_te2", "encoder.layers.3.mlp.fc1") == "lora_te2_text_model_encoder_layers_3_mlp_fc1"
    assert kohya_clip("lora_te", "text_model.encoder.layers.3.mlp.fc1") == "lora_te_text_model_encoder_layers_3_mlp_fc1"
    # T5, which kohya's scripts call lora_te3, has no such level.
    assert kohya_clip("lora_te3", "encoder.block.0.layer.0.SelfAttention.q").startswith("lora_te3_encoder_block_0_")
