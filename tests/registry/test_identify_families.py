"""Each architecture in each way in which its LoRAs and checkpoints are written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from registry.headers import Header, TensorInfo, read_header
from registry.identify import Identity, identify
from tests.support.adapters import MODELS, Model, Shapes, checkpoint, files
from tests.support.model_files import Tensors, small_lora, write_model


def _identify(tensors: Tensors, metadata: dict[str, str] | None = None) -> Identity:
    infos = {name: TensorInfo(dtype, tuple(shape), (0, 1)) for name, (dtype, shape) in tensors.items()}
    return identify(Header(metadata or {}, infos, 0))


_LORAS = [
    pytest.param(model, naming, tensors, id=f"{model}-{number}-{trainer}")
    for number, model in enumerate(MODELS)
    for trainer, naming, tensors in files(model)
]


@pytest.mark.parametrize(("model", "naming", "tensors"), _LORAS)
def test_a_lora_tells_its_architecture(tmp_path: Path, model: Model, naming: str, tensors: Shapes) -> None:
    found = identify(read_header(write_model(tmp_path / "a.safetensors", tensors, model.metadata or {})))
    assert (found.architecture, found.variant, found.base_model) == (model.architecture, model.variant, model.base)
    assert (found.kind, found.network_type, found.rank, found.format) == ("lora", "lora", 4, naming)
    assert found.parts == (("unet" if model.architecture in _UNETS else "transformer"),)
    assert {"kind", "architecture", "network_type", "rank", "alpha", "parts", "format", "dtype"} <= set(found.reasons)
    assert ("variant" in found.reasons) == (model.variant is not None)
    assert found.contradictions == ()


_UNETS = {"sd1", "sd2", "sdxl", "kolors", "cascade"}


def _checkpoints() -> Iterator[object]:
    for number, model in enumerate(MODELS):
        for modules in (model.own, model.diffusers):
            for prefix in ("", "model.diffusion_model.") if modules and model.architecture != "anima" else ():
                yield pytest.param(model, checkpoint(modules or {}, prefix), id=f"{model}-{number}-{prefix or 'bare'}")


@pytest.mark.parametrize(("model", "tensors"), _checkpoints())
def test_a_checkpoint_tells_its_architecture(tmp_path: Path, model: Model, tensors: Shapes) -> None:
    found = identify(read_header(write_model(tmp_path / "a.safetensors", tensors, model.metadata or {})))
    assert (found.kind, found.architecture, found.variant) == ("checkpoint", model.architecture, model.variant)
    assert (found.network_type, found.rank, found.dtype) == (None, None, "bf16")


def test_anima_has_cosmos_blocks_and_an_adapter_for_its_text_model() -> None:
    blocks = {f"net.blocks.{i}.self_attn.q_proj.weight": ("BF16", [2048, 2048]) for i in range(28)}
    adapter = {"net.llm_adapter.blocks.0.self_attn.q_proj.weight": ("BF16", [1024, 1024])}
    assert _identify(blocks).architecture == "cosmos"
    assert _identify({**blocks, **adapter}).architecture == "anima"


@pytest.mark.parametrize(
    ("tensors", "architecture", "form"),
    [
        ({"double_blocks.0.processor.qkv_lora1.down.weight": ("F16", [16, 3072]),
          "double_blocks.0.processor.qkv_lora1.up.weight": ("F16", [9216, 16]),
          "double_blocks.0.processor.proj_lora2.down.weight": ("F16", [16, 3072]),
          "double_blocks.0.processor.proj_lora2.up.weight": ("F16", [3072, 16])}, "flux", "xlabs"),
        ({"double_blocks.0.img_attn.qkv.lora_A.weight": ("F32", [128, 3072]),
          "double_blocks.0.img_attn.qkv.lora_B.weight": ("F32", [9216, 128]),
          "double_blocks.0.img_attn.qkv.lora_B.bias": ("F32", [9216]),
          "double_blocks.0.img_attn.norm.key_norm.scale": ("F32", [128])}, "flux", "bfl"),
        ({"transformer.single_transformer_blocks.0.attn.to_q.lora_down.weight": ("F16", [16, 3072]),
          "transformer.single_transformer_blocks.0.attn.to_q.lora_up.weight": ("F16", [3072, 16]),
          "clip_l.text_model.encoder.layers.0.mlp.fc1.lora_down.weight": ("F16", [16, 768]),
          "t5.encoder.block.0.layer.0.SelfAttention.q.lora_down.weight": ("F16", [16, 4096])}, "flux", "omi"),
        ({"unet.down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.lora_down.weight": ("F16", [16, 2048]),
          "clip_g.text_model.encoder.layers.0.mlp.fc1.lora_down.weight": ("F16", [16, 1280])}, "sdxl", "omi"),
    ],
)  # fmt: skip
def test_rarer_names_are_read(tensors: Tensors, architecture: str, form: str) -> None:
    found = _identify(tensors, {"ot_branch": "omi_format"} if form == "omi" else {})
    assert (found.kind, found.architecture, found.format, found.modules) == ("lora", architecture, form, found.modules)
    assert found.modules == sum("down" in name or "lora_A" in name for name in tensors)


def test_omi_files_name_their_text_encoders() -> None:
    names = ("transformer.single_transformer_blocks.0.attn.to_q", "clip_l.text_model.x", "t5.encoder.x")
    found = _identify({f"{name}.lora_down.weight": ("F16", [16, 3072]) for name in names}, {"ot_branch": "omi_format"})
    assert found.part_modules == {"transformer": 1, "te1": 1, "te3": 1}


# what the metadata may say -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stated", "family"),
    [
        ({"ss_sd_model_name": "ponyDiffusionV6XL"}, "Pony"),
        ({"ss_sd_model_name": "waiNSFWIllustrious_v120"}, "Illustrious"),
        ({"modelspec.merged_from": "NoobAI-XL-v1.1"}, "NoobAI"),
        ({"ss_tag_frequency": '{"10_x": {"score_9": 20, "zxq": 20}}'}, "Pony"),
    ],
)
def test_families_inside_sdxl_are_guesses_with_their_reason(stated: dict[str, str], family: str) -> None:
    found = _identify(small_lora(width=2048), stated)
    assert (found.architecture, found.base_model, found.guesses) == ("sdxl", family, ("base_model",))
    assert found.reasons["base_model"].startswith("a guess: ")
    assert _identify(small_lora(width=768), stated).base_model == "SD 1.5"


def test_the_hash_of_the_base_is_no_guess() -> None:
    known = {"ss_new_sd_model_hash": "67ab2fd8ec439a89b3fedb15cc65f54336af163c7eb5e4f2acc98f090a29b0b3"}
    found = _identify(small_lora(width=2048), known)
    assert (found.base_model, found.guesses) == ("Pony", ())


def test_what_the_metadata_gets_wrong_is_said_and_the_shapes_win() -> None:
    metadata = {"ss_base_model_version": "sd_v1", "modelspec.architecture": "flux-1-dev/lora", "ss_network_dim": "128"}
    found = _identify(small_lora(width=2048, rank=4), metadata)
    assert (found.architecture, found.rank) == ("sdxl", 4)
    assert found.contradictions == (
        "modelspec.architecture says flux-1-dev/lora, but cross-attention takes 2048 inputs: that is sdxl",
        "ss_base_model_version says sd_v1, but cross-attention takes 2048 inputs: that is sdxl",
        "ss_network_dim says 128, but no module has that rank: it was resized",
    )


@pytest.mark.parametrize(
    ("metadata", "architecture"),
    [
        ({"modelspec.architecture": "stable-diffusion-xl-v1-base/lora"}, "sdxl"),
        ({"modelspec.architecture": "stable-diffusion-v2-768-v/lora"}, "sd2"),
        ({"modelspec.architecture": "stable-diffusion-3-5-large/lora"}, "sd3"),
        ({"ss_base_model_version": "5-medium"}, "sd3"),
        ({"ss_base_model_version": "flux1"}, "flux"),
        ({"ss_base_model_version": "zimage:turbo"}, "z-image"),
        ({"ss_network_module": "networks.lora_wan"}, "wan"),
        ({"ss_network_module": "networks.lora_anima"}, "anima"),
        ({"ss_v2": "True"}, "sd2"),
        ({"ss_v2": "True", "ss_base_model_version": "sdxl_base_v1-0"}, "sdxl"),
        ({"ss_network_module": "networks.lora"}, None),
    ],
)
def test_metadata_decides_where_the_tensors_tell_nothing(metadata: dict[str, str], architecture: str | None) -> None:
    found = _identify({"m.lora_down.weight": ("F16", [4, 99]), "m.lora_up.weight": ("F16", [99, 4])}, metadata)
    assert found.architecture == architecture
    assert found.contradictions == ()


def test_sd1_is_told_by_the_convolution_before_its_attention() -> None:
    module = "lora_unet_down_blocks_0_attentions_0_proj_in"
    assert _identify({f"{module}.lora_down.weight": ("F16", [4, 320, 1, 1])}).architecture == "sd1"
    assert _identify({f"{module}.lora_down.weight": ("F16", [4, 320])}).architecture is None


def test_v_prediction_is_told_by_its_marker_or_the_metadata() -> None:
    unet = {"model.diffusion_model.input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight": ("F16", [640, 2048])}
    assert _identify(unet).prediction is None
    assert _identify({**unet, "v_pred": ("F16", []), "ztsnr": ("F16", [])}).prediction == "v"
    assert _identify(small_lora(), {"modelspec.prediction_type": "epsilon"}).prediction == "epsilon"
    assert _identify(small_lora(width=1024), {"ss_base_model_version": "sd_v2_v"}).prediction == "v"


@pytest.mark.parametrize(
    ("extra", "variant"),
    [
        ({"guidance_in.in_layer.weight": ("BF16", [3072, 256]), "img_in.weight": ("BF16", [3072, 64])}, "dev"),
        ({"guidance_in.in_layer.weight": ("BF16", [3072, 256]), "img_in.weight": ("BF16", [3072, 384])}, "fill"),
        ({"img_in.weight": ("BF16", [3072, 64])}, "schnell"),
    ],
)
def test_checkpoints_of_flux_tell_which_they_are(extra: Shapes, variant: str) -> None:
    block = {"double_blocks.0.img_attn.qkv.weight": ("BF16", [9216, 3072]),
             "double_blocks.0.img_attn.norm.key_norm.scale": ("BF16", [128])}  # fmt: skip
    assert _identify({**block, **extra}).variant == variant


def test_a_checkpoint_that_takes_a_mask_is_for_inpainting() -> None:
    ldm = "model.diffusion_model.input_blocks"
    found = _identify({
        f"{ldm}.0.0.weight": ("F16", [320, 9, 3, 3]),
        f"{ldm}.1.1.transformer_blocks.0.attn2.to_k.weight": ("F16", [320, 768]),
    })  # fmt: skip
    assert (found.kind, found.architecture, found.variant) == ("checkpoint", "sd1", "inpainting")


def _attention(pattern: str, count: int, width: int, *names: str) -> Shapes:
    modules = [f"transformer.{pattern.format(i)}.{name}" for i in range(count) for name in names]
    return {f"{module}.lora_{side}.weight": ("F16", [4, width]) for module in modules for side in "AB"}


@pytest.mark.parametrize(
    ("tensors", "architecture", "is_guess"),
    [
        (_attention("transformer_blocks.{}", 4, 3072, "attn.to_q"), "flux", True),
        (_attention("transformer_blocks.{}", 4, 3072, "attn.to_q", "ff_context.net.0.proj"), "flux", False),
        (_attention("transformer_blocks.{}", 20, 3072, "attn.to_q", "ff_context.net.0.proj"), "hunyuan-video", False),
        (_attention("transformer_blocks.{}", 48, 3072, "ff.net.0.proj", "ff_context.net.0.proj"), "mochi", False),
        (_attention("transformer_blocks.{}", 60, 3072, "attn.to_q"), "qwen", False),
        (_attention("transformer_blocks.{}", 54, 2048, "attn.to_q", "ff_context.net.0.proj"), "hunyuan-video", False),
        (_attention("transformer_blocks.{}", 28, 4096, "ff.net.0.proj"), "ltx", True),
        (_attention("transformer_blocks.{}", 28, 4096, "attn1.to_q", "attn2.to_q"), "ltx", False),
    ],
)
def test_an_architecture_that_fits_with_others_is_a_guess(tensors: Shapes, architecture: str, is_guess: bool) -> None:
    found = _identify(tensors)
    assert found.architecture == architecture
    assert ("architecture" in found.guesses) == is_guess


def test_metadata_makes_a_guess_certain() -> None:
    shallow = _attention("transformer_blocks.{}", 4, 3072, "attn.to_q")
    assert "architecture" not in _identify(shallow, {"modelspec.architecture": "flux-1-dev/lora"}).guesses
    said = _identify(shallow, {"ss_base_model_version": "qwen_image"})
    assert (said.architecture, said.guesses, said.contradictions) == ("qwen", (), ())
