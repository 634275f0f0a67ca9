from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from registry.errors import DamagedFileError
from registry.headers import Header, TensorInfo, read_alpha, read_header
from registry.identify import Identity, identify
from registry.identify_modules import layout_of
from registry.identify_parts import layers
from registry.inspection import facts
from tests.support.adapters import MODELS
from tests.support.model_files import Tensors, real_keys, small_lora, write_model


def _identify(tensors: Tensors, metadata: dict[str, str] | None = None) -> Identity:
    infos = {name: TensorInfo(dtype, tuple(shape), (0, 1)) for name, (dtype, shape) in tensors.items()}
    return identify(Header(metadata or {}, infos, 0))


def _named(*modules: str, width: int = 768, out: int = 320, rank: int = 4, down: str = "lora_down.weight") -> Tensors:
    up = down.replace("down", "up").replace("lora_A", "lora_B")
    shapes = {}
    for module in modules:
        shapes[f"{module}.{down}"] = ("F16", [rank, width])
        shapes[f"{module}.{up}"] = ("F16", [out, rank])
    return shapes


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "sds_diffusers",
            {"architecture": "sd1", "base_model": "SD 1.5", "network_type": "lora", "rank": 8, "format": "kohya",
             "modules": 192, "parts": ("unet",), "alpha": 4.0, "dtype": "fp32",
             "trigger_candidates": ("zxq",), "guesses": ()},
        ),
        (
            "sds_single_te",
            {"architecture": "sd1", "network_type": "locon", "rank": 8, "ranks": (4, 8), "modules": 350,
             "parts": ("unet", "te")},
        ),
        (
            "diffusers_example",
            {"architecture": "sd1", "base_model": "SD 1.5", "network_type": "lora", "rank": 8, "modules": 128,
             "format": "diffusers", "parts": ("unet",), "alpha": 8.0, "trigger_candidates": (),
             "guesses": ("base_model",)},
        ),
        (
            "sdxl_kohya_lora_r8",
            {"architecture": "sdxl", "base_model": "SDXL 1.0", "network_type": "lora", "rank": 8, "modules": 986,
             "parts": ("unet", "te1", "te2")},
        ),
        (
            "sdxl_kohya_locon_r8_c4",
            {"architecture": "sdxl", "network_type": "locon", "ranks": (4, 8), "modules": 1052, "format": "kohya"},
        ),
    ],
)  # fmt: skip
def test_files_that_real_trainers_wrote_are_known(tmp_path: Path, name: str, expected: dict[str, Any]) -> None:
    metadata, tensors = real_keys(name)
    header = read_header(write_model(tmp_path / f"{name}.safetensors", tensors, metadata))
    found = identify(header)
    assert {field: getattr(found, field) for field in expected} == expected
    assert found.kind == "lora"
    assert {"architecture", "base_model", "network_type", "rank", "alpha"} <= set(found.reasons)


def test_the_alpha_tensor_wins_over_the_metadata(tmp_path: Path) -> None:
    tensors = {**small_lora(), "m.alpha": ("F32", [])}
    path = write_model(tmp_path / "a.safetensors", tensors, {"ss_network_alpha": "7"})
    header = read_header(path)
    assert identify(header, read_alpha(path, header)).alpha == 0.0
    assert identify(header).alpha == 7.0


def _peft(module: str, width: int) -> Tensors:
    return _named(module, width=width, down="lora_A.weight")


_DIT = "lora_unet_"
_UNET = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"


@pytest.mark.parametrize(
    ("tensors", "metadata", "architecture", "base_model"),
    [
        (small_lora(width=768), {}, "sd1", "SD 1.5"),
        (small_lora(width=1024), {}, "sd2", "SD 2.1"),
        (small_lora(width=1024), {"ss_base_model_version": "sd_v2_v"}, "sd2", "SD 2.1 768"),
        (small_lora(width=2048), {}, "sdxl", "SDXL 1.0"),
        (small_lora(width=2048), {"ss_sd_model_name": "ponyDiffusionV6XL.safetensors"}, "sdxl", "Pony"),
        (small_lora(width=2048), {"ss_sd_model_name": "Illustrious-XL-v0.1.safetensors"}, "sdxl", "Illustrious"),
        (small_lora(width=2048), {"ss_sd_model_name": "noobaiXLNAIXL_vPred10.safetensors"}, "sdxl", "NoobAI"),
        (small_lora(width=2048), {"ss_base_model_version": "sd_v1"}, "sdxl", "SDXL 1.0"),
        (small_lora(width=768), {"ss_sd_model_name": "ponyDiffusion.safetensors"}, "sd1", "SD 1.5"),
        (small_lora(width=128), {"ss_sd_model_name": "hubman-tinybase"}, "tiny", "Other"),
        (small_lora(width=128), {}, None, None),
        (_named("lora_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q"), {}, "sdxl", "SDXL 1.0"),
        (_named("lora_unet_mid_block_attentions_0_transformer_blocks_7_attn1_to_q"), {}, "sdxl", "SDXL 1.0"),
        (_named("lora_te_text_model_encoder_layers_0_self_attn_q_proj", width=768), {}, "sd1", "SD 1.5"),
        (_named("lora_te2_text_model_encoder_layers_0_self_attn_q_proj", width=1280), {}, "sdxl", "SDXL 1.0"),
        (_named("lora_unet_joint_blocks_0_x_block_attn_qkv", width=2432), {}, "sd3", "SD 3.5 Large"),
        (_named(f"{_DIT}joint_blocks_0_x_block_attn_qkv", width=1536), {"ss_sd_model_name": "sd3.5_medium"}, "sd3",
         "SD 3.5 Medium"),
        (_named("lora_unet_double_blocks_0_img_attn_qkv", width=3072, out=9216), {}, "flux", "Flux.1 D"),
        (_named(f"{_DIT}double_blocks_0_img_attn_qkv", width=3072), {"ss_sd_model_name": "flux1-schnell"}, "flux",
         "Flux.1 S"),
        (_named("lora_unet_single_blocks_5_linear1", width=3072, out=27648), {}, "flux2", "Flux.2 Klein 4B"),
        (_named("lora_unet_single_blocks_5_linear1", width=6144, out=55296), {}, "flux2", "Flux.2 D"),
        (_named("lora_unet_double_blocks_19_img_attn_qkv", width=3072), {}, "hunyuan-video", "Hunyuan Video"),
        (_peft("transformer.single_transformer_blocks.3.attn.to_q", 3072), {}, "flux", "Flux.1 D"),
        (_peft("transformer.transformer_blocks.3.attn.to_q", 3072), {}, "flux", "Flux.1 D"),
        (_peft("transformer.transformer_blocks.3.attn.to_q", 1536), {}, "sd3", "SD 3"),
        (_peft("transformer.transformer_blocks.55.attn.to_q", 3072), {}, "qwen", "Qwen"),
        (_peft("diffusion_model.blocks.0.self_attn.k", 1536), {}, "wan", "Wan Video 1.3B t2v"),
        (_peft("diffusion_model.blocks.0.cross_attn.q", 5120), {}, "wan", None),
        (_named("something.else"), {"modelspec.architecture": "stable-diffusion-xl-v1-base/lora"}, "sdxl", "SDXL 1.0"),
        (_named("something.else"), {}, None, None),
    ],
)  # fmt: skip
def test_the_architecture_follows_from_names_and_shapes(
    tensors: Tensors, metadata: dict[str, str], architecture: str | None, base_model: str | None
) -> None:
    found = _identify(tensors, metadata)
    assert found.architecture == architecture
    assert found.base_model == base_model


def test_the_names_of_old_attention_processors_are_read() -> None:
    module = "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn2.processor.to_k_lora"
    found = _identify({f"{module}.down.weight": ("F32", [4, 768]), f"{module}.up.weight": ("F32", [320, 4])})
    assert (found.architecture, found.rank, found.modules) == ("sd1", 4, 1)


@pytest.mark.parametrize(
    ("metadata", "candidates"),
    [
        ({"modelspec.trigger_phrase": "ink wash; mono "}, ("ink wash", "mono")),
        ({"ss_dataset_dirs": '{"10_zxq style": {}}'}, ("zxq style",)),
        ({"ss_dataset_dirs": '{"10_img": {}}'}, ()),
        ({"ss_dataset_dirs": '{"10_sks dog": {}}', "ss_tag_frequency": '{"10_sks dog": {"1girl": 3}}'}, ("1girl",)),
        ({"ss_tag_frequency": '{"a": {"zxq": 10, "dog": 10, "cat": 3}}'}, ("zxq",)),
        ({"ss_tag_frequency": '{"a": {"cat": 3, "dog": 10}}'}, ()),
        ({"ss_tag_frequency": '{"a": "broken"}', "ss_datasets": "[[1]]"}, ()),
        ({"ss_tag_frequency": "{"}, ()),
        (
            {
                "ss_datasets": json.dumps(
                    [{"subsets": [{"class_tokens": "reg", "is_reg": True}, {"class_tokens": "zxq"}]}]
                )
            },
            ("zxq",),
        ),
    ],
)
def test_trigger_candidates_come_from_what_the_trainer_wrote_down(
    metadata: dict[str, str], candidates: tuple[str, ...]
) -> None:
    assert _identify(small_lora(), metadata).trigger_candidates == candidates


def test_a_title_that_repeats_the_output_name_is_none() -> None:
    assert _identify({}, {"modelspec.title": "last", "ss_output_name": "last"}).title is None
    assert _identify({}, {"modelspec.title": "Ink Wash", "ss_output_name": "last"}).title == "Ink Wash"


def test_peft_metadata_tells_alpha() -> None:
    found = _identify(small_lora(), {"lora_adapter_metadata": '{"unet.r": 4, "unet.lora_alpha": 16}'})
    assert found.alpha == 16.0


_MODULES = sorted(
    {name for model in MODELS for names in (model.own, model.diffusers) for name in list(names or ())[::40]}
)
_MODULES += [f"lora_unet_{name.replace('.', '_')}" for name in _MODULES]
_MODULES += [_UNET, "x", "lora_te_a_q_proj", "lora_unet_single_blocks_1_linear1", "a_lora", "ip_adapter.1.to_k_ip", "clip_g",
             "decoder.conv_in", "encoder.block.0.layer.0.SelfAttention.q", "text_model.embeddings.token_embedding", "emb_params",
             "control_model.x", "body.0", "txt_in", "img_in", "guidance_in.in_layer", "model.diffusion_model.input_blocks.0.0"]  # fmt: skip
_SUFFIXES = [
    "lora_down.weight", "down.weight", "alpha", "hada_w1_b", "lokr_w1", "lokr_w2_b", "diff", "oft_blocks", "a2.weight",
    "b1.weight", "lora_A.x.weight", "weight", "bias", "dora_scale", "boft_R", "on_input", "w_norm", "lora.up.weight",
]  # fmt: skip
_NAMES = st.builds("{}.{}".format, st.sampled_from(_MODULES), st.sampled_from(_SUFFIXES)) | st.text(max_size=10)
_SHAPES = st.dictionaries(
    _NAMES | st.sampled_from(_MODULES),
    st.lists(st.integers(0, 1 << 40) | st.sampled_from([768, 3072]), max_size=4),
    max_size=6,
)
_KEYS = ["ss_tag_frequency", "ss_datasets", "ss_dataset_dirs", "ss_network_dim", "ss_network_alpha", "ss_sd_model_name"]
_KEYS += [
    "lora_adapter_metadata",
    "modelspec.architecture",
    "modelspec.title",
    "ss_base_model_version",
    "ss_v2",
    "ot_branch",
]
_JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3) | st.just("subsets"), inner, max_size=3)
    ),
    max_leaves=6,
)
_VALUES = [
    "sdxl_base_v1-0",
    "flux1",
    "wan2.2 i2v",
    "chroma",
    "pony",
    "hubman-tinybase",
    "True",
    "omi_format",
    "2.2 " * 50_000,
]
_METADATA = st.dictionaries(
    st.sampled_from(_KEYS), st.text(max_size=20) | st.sampled_from(_VALUES) | _JSON.map(json.dumps), max_size=4
)


@settings(max_examples=200, deadline=None)
@given(_SHAPES, _METADATA)
def test_whatever_a_header_says_it_is_identified(shapes: dict[str, list[int]], metadata: dict[str, str]) -> None:
    header = Header(metadata, {name: TensorInfo("F16", tuple(shape), (0, 1)) for name, shape in shapes.items()}, 0)
    found = identify(header)
    assert all(isinstance(fact.value, str) for fact in facts(found))
    assert sum(layers(layout_of(header)).values()) == len(layout_of(header).modules)
    assert set(found.reasons) <= {"kind", *_FIELDS}
    assert found.kind in _KINDS


_FIELDS = {*Identity.__struct_fields__, "tucker", "rescale", "bias"}
_KINDS = {"lora", "checkpoint", "embedding", "vae", "controlnet", "t2i-adapter", "ip-adapter", "upscaler", "text-encoder",
          "image-encoder", "motion", "other"}  # fmt: skip


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=60), _SHAPES, _METADATA, st.integers(0, 40))
def test_any_file_is_identified_or_damaged(
    tmp_path: Path, rest: bytes, shapes: dict[str, list[int]], metadata: dict[str, str], size: int
) -> None:
    entries = {name: {"dtype": "F16", "shape": shape, "data_offsets": [0, size]} for name, shape in shapes.items()}
    raw = json.dumps({"__metadata__": metadata, **entries}).encode()
    path = tmp_path / "a.safetensors"
    path.write_bytes(len(raw).to_bytes(8, "little") + raw + rest)
    try:
        found = identify(read_header(path))
    except DamagedFileError:
        return
    assert found.kind in _KINDS


def test_names_without_end_take_no_time_without_end() -> None:
    name = "unet.down_block" + "up_block" * 40_000
    assert (
        _identify({f"{name}.lora_down.weight": ("F16", [4, 4]), f"{name}.attentions.0.x": ("F16", [4])}).kind == "lora"
    )


def test_a_layout_is_remembered_without_mixing_files_up() -> None:
    first, second = small_lora(width=768, rank=4), small_lora(width=2048, rank=16)
    for tensors, architecture, rank in ((first, "sd1", 4), (second, "sdxl", 16), (first, "sd1", 4)):
        found = _identify(tensors)
        assert (found.architecture, found.rank) == (architecture, rank)
