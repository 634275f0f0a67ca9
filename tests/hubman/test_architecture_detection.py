"""What a base is, read off its header or its folder's configuration; and the modules that each family trains."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import FluxTransformer2DModel, SD3Transformer2DModel, UNet2DConditionModel, ZImageTransformer2DModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from hubman import bases
from hubman.generate.device import dtype_for
from hubman.train.architectures import KINDS
from hubman.train.architectures.clip import Clip
from hubman.train.architectures.detect import Detected, detect
from hubman.train.architectures.flux import Flux
from hubman.train.architectures.layouts import LAYOUTS
from hubman.train.architectures.parts import Part
from hubman.train.architectures.sd3 import StableDiffusion3
from hubman.train.architectures.sdxl import StableDiffusionXL
from hubman.train.architectures.zimage import ZImage
from hubman.train.families import FAMILIES
from registry.errors import DamagedFileError, HubError, NotFoundError
from tests.support.model_files import real_keys, write_model

UNET = "model.diffusion_model."
SDXL = {"conditioner.embedders.0.transformer.text_model.x": (4,), f"{UNET}input_blocks.0.0.weight": (320, 4, 3, 3)}
CROSS = f"{UNET}input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"


def checkpoint(path: Path, shapes: dict[str, tuple[int, ...]], **metadata: str) -> Path:
    return write_model(path, {name: ("F16", shape) for name, shape in shapes.items()}, metadata)


@pytest.mark.parametrize(
    ("name", "shapes", "metadata", "family", "kind"),
    [
        ("sd_xl_base_1.0", SDXL, {}, "sdxl", "sdxl"),
        ("ponyDiffusionV6XL", SDXL, {}, "pony", "sdxl"),
        ("Illustrious-XL-v0.1", SDXL, {}, "illustrious", "sdxl"),
        ("waiNSFWIllustrious_v140", SDXL, {}, "illustrious", "sdxl"),
        ("noobaiXLNAIXL_epsilonPred11", SDXL, {}, "noobai", "sdxl"),
        ("merge", SDXL, {"modelspec.title": "A mix of NoobAI"}, "noobai", "sdxl"),
        ("v1-5", {CROSS: (320, 768)}, {}, "sd15", "sd"),
        ("v2-1", {CROSS: (320, 1024)}, {}, "sd2", "sd"),
        (
            "flux1-dev",
            {"double_blocks.0.img_attn.qkv.weight": (9, 3), "single_blocks.0.linear1.weight": (21, 3)},
            {},
            "flux",
            "flux",
        ),
        ("sd3.5_large", {f"{UNET}joint_blocks.0.x_block.attn.qkv.weight": (9, 3)}, {}, "sd35", "sd3"),
        (
            "z_image_turbo",
            {"noise_refiner.0.attention.qkv.weight": (9, 3), "cap_embedder.1.weight": (3, 3)},
            {},
            "zimage_turbo",
            "zimage",
        ),
    ],
)
def test_a_single_file_tells_its_family(
    tmp_path: Path, name: str, shapes: dict[str, tuple[int, ...]], metadata: dict[str, str], family: str, kind: str
) -> None:
    found = detect(checkpoint(tmp_path / f"{name}.safetensors", shapes, **metadata))
    assert (found.family, found.kind) == (family, kind)
    assert KINDS[family] == kind
    assert family in FAMILIES
    assert not found.layout or (LAYOUTS / found.layout / "model_index.json").is_file()


@pytest.mark.parametrize(
    ("markers", "metadata", "expected"),
    [
        ((), {}, (False, False)),
        (("v_pred",), {}, (True, False)),
        (("v_pred", "ztsnr"), {}, (True, True)),
        ((), {"modelspec.prediction_type": "v"}, (True, False)),
        ((), {"modelspec.prediction_type": "epsilon"}, (False, False)),
    ],
)
@pytest.mark.parametrize("shapes", [SDXL, {CROSS: (320, 768)}])
def test_markers_tell_the_prediction(
    tmp_path: Path, shapes: Any, markers: tuple[str, ...], metadata: dict[str, str], expected: tuple[bool, bool]
) -> None:
    found = detect(checkpoint(tmp_path / "x.safetensors", {**shapes, **dict.fromkeys(markers, (0,))}, **metadata))
    assert (found.v_prediction, found.zero_terminal_snr) == expected


def folder(path: Path, pipeline: str, **configs: dict[str, Any]) -> Path:
    path.mkdir()
    (path / "model_index.json").write_text(json.dumps({"_class_name": pipeline}))
    for part, config in configs.items():
        (path / part).mkdir()
        name = "scheduler_config.json" if part == "scheduler" else "config.json"
        (path / part / name).write_text(json.dumps(config))
    return path


@pytest.mark.parametrize(
    ("name", "pipeline", "configs", "expected"),
    [
        ("x", "StableDiffusionPipeline", {"unet": {"cross_attention_dim": 768}}, Detected("sd15", "sd")),
        ("x", "StableDiffusionPipeline", {"unet": {"cross_attention_dim": 128}}, Detected("tiny", "sd")),
        (
            "x",
            "StableDiffusionPipeline",
            {"unet": {"cross_attention_dim": 1024}, "scheduler": {"prediction_type": "v_prediction"}},
            Detected("sd2", "sd", v_prediction=True),
        ),
        (
            "noobai-v",
            "StableDiffusionXLPipeline",
            {"unet": {}, "scheduler": {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True}},
            Detected("noobai", "sdxl", v_prediction=True, zero_terminal_snr=True),
        ),
        ("x", "FluxPipeline", {"transformer": {"guidance_embeds": True}}, Detected("flux", "flux", variant="dev")),
        ("x", "FluxPipeline", {"transformer": {}}, Detected("flux", "flux", variant="schnell")),
        ("x", "StableDiffusion3Pipeline", {"transformer": {"num_layers": 38}}, Detected("sd35", "sd3", variant="38")),
        ("x", "ZImagePipeline", {"transformer": {"n_layers": 30}}, Detected("zimage", "zimage", variant="30")),
    ],
)
def test_a_folder_tells_its_family(
    tmp_path: Path, name: str, pipeline: str, configs: dict[str, Any], expected: Detected
) -> None:
    assert detect(folder(tmp_path / name, pipeline, **configs)) == expected


def test_flow_models_are_drawn_in_bf16_where_fp16_overflows() -> None:
    for device in ("cuda", "mps"):
        dtypes = [dtype_for(device, kind, has_bf16=True) for kind in ("flux", "sd3", "sdxl", "sd")]
        assert dtypes == [torch.bfloat16, torch.bfloat16, torch.float16, torch.float16]
        assert dtype_for(device, "flux", has_bf16=False) == torch.float32
    assert {dtype_for("cpu", kind, has_bf16=True) for kind in ("flux", "sdxl")} == {torch.float32}


def test_pictures_are_drawn_with_what_suits_the_base(tmp_path: Path) -> None:
    flux = folder(tmp_path / "flux", "FluxPipeline", transformer={})
    turbo = folder(tmp_path / "Z-Image-Turbo", "ZImagePipeline", transformer={})
    sdxl = folder(tmp_path / "sdxl", "StableDiffusionXLPipeline", unet={})
    assert bases.drawing(flux) == {"cfg": 3.5, "sampler": "Euler"}
    assert bases.drawing(turbo) == {"cfg": 1.0, "sampler": "Euler"}
    assert bases.drawing(sdxl) == bases.drawing(tmp_path / "none") == {}
    assert bases.drawing(bases.find("tiny")) == {"cfg": 3.0, "sampler": "DDIM"}


def test_every_family_has_an_adapter() -> None:
    assert KINDS.keys() == FAMILIES.keys()


def test_the_shipped_base_is_known_by_its_width() -> None:
    assert detect(Path(__file__).parents[2] / "hubman" / "tinybase" / "model").family == "tiny"


def test_what_cannot_be_trained_says_why(tmp_path: Path) -> None:
    inpainting = {**SDXL, f"{UNET}input_blocks.0.0.weight": (320, 9, 3, 3)}
    cases: list[tuple[Path, type[HubError], str]] = [
        (tmp_path / "none", NotFoundError, "is not there"),
        (checkpoint(tmp_path / "i.safetensors", inpainting), HubError, "inpainting"),
        (checkpoint(tmp_path / "u.safetensors", {"x": (1,)}), HubError, "not a checkpoint of a known family"),
        (folder(tmp_path / "kontext", "FluxKontextPipeline"), HubError, "FluxKontextPipeline, which is of no known"),
        (folder(tmp_path / "i", "StableDiffusionPipeline", unet={"in_channels": 9}), HubError, "inpainting"),
        (
            folder(tmp_path / "fill", "FluxPipeline", transformer={"in_channels": 384, "out_channels": 64}),
            HubError,
            "given pictures",
        ),
    ]
    (tmp_path / "empty").mkdir()
    (tmp_path / "old.ckpt").write_bytes(b"pickle")
    (tmp_path / "broken.safetensors").write_bytes(b"nonsense that is long enough")
    cases += [
        (tmp_path / "empty", DamagedFileError, "model_index.json"),
        (tmp_path / "old.ckpt", HubError, "never opened"),
        (tmp_path / "broken.safetensors", DamagedFileError, "broken.safetensors cannot be loaded"),
    ]
    for path, error, message in cases:
        with pytest.raises(error, match=message):
            detect(path)


def test_detection_needs_no_torch(tmp_path: Path) -> None:
    checkpoint(tmp_path / "x.safetensors", SDXL)
    code = (
        "import sys; from pathlib import Path; from hubman.train.architectures.detect import detect;"
        f"print(detect(Path({str(tmp_path / 'x.safetensors')!r})).family, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["sdxl", "False"]


class _Whole:
    """The modules of a base in full topology, without memory, and nothing else of it."""

    def __init__(self, denoiser: Any, clips: list[Clip], names: Any = None) -> None:
        self.denoiser, self.clips, self._names = denoiser, clips, names


def _clip(component: str, key: str, encoder: Any) -> Clip:
    return Clip(component, key, None, Part(lambda: encoder, ()))


@pytest.mark.parametrize(("file", "conv"), [("sdxl_kohya_lora_r8", False), ("sdxl_kohya_locon_r8_c4", True)])
def test_the_keys_and_shapes_of_sdxl_are_exactly_those_of_kohyas_scripts(file: str, conv: bool) -> None:
    layout = LAYOUTS / "sdxl"
    with torch.device("meta"):
        unet = UNet2DConditionModel.from_config(UNet2DConditionModel.load_config(str(layout / "unet")))
        one = CLIPTextModel(CLIPTextConfig.from_pretrained(str(layout / "text_encoder")))
        two = CLIPTextModelWithProjection(CLIPTextConfig.from_pretrained(str(layout / "text_encoder_2")))
    whole: Any = _Whole(unet, [_clip("text_encoder", "lora_te1", one), _clip("text_encoder_2", "lora_te2", two)])
    found = {}
    for target in StableDiffusionXL.targets(whole, conv=conv, text=True):
        out, *rest = target.layer.weight.shape
        rank = 4 if target.wide else 8
        found[f"{target.key}.lora_down.weight"] = [rank, *rest]
        found[f"{target.key}.lora_up.weight"] = [out, rank, *[1] * (len(rest) - 1)]
        found[f"{target.key}.alpha"] = []
    wanted = {name: shape for name, (_, shape) in real_keys(file)[1].items()}
    assert len(found) == 3 * (1052 if conv else 986)
    assert found == wanted


def _named(adapter: Any, transformer: Any) -> set[str]:
    whole: Any = _Whole(transformer, [], adapter._restore(None, transformer))
    targets = adapter.targets(whole, conv=True, text=False)
    for target in targets:
        assert target.layer.weight is not None
    assert len({target.key for target in targets}) == len(targets)
    return {target.key for target in targets}


def test_the_keys_of_flux_are_those_of_kohyas_scripts() -> None:
    with torch.device("meta"):
        found = _named(Flux, FluxTransformer2DModel())
    parts = ["attn_qkv", "attn_proj", "mlp_0", "mlp_2", "mod_lin"]
    double = {f"double_blocks_{i}_{side}_{part}" for i in range(19) for side in ("img", "txt") for part in parts}
    single = {f"single_blocks_{i}_{part}" for i in range(38) for part in ("linear1", "linear2", "modulation_lin")}
    assert found == {f"lora_unet_{name}" for name in double | single}
    assert len(found) == 304


@pytest.mark.parametrize(("depth", "twice"), [(38, ()), (24, tuple(range(13)))])
def test_the_keys_of_sd35_are_those_of_kohyas_scripts(depth: int, twice: tuple[int, ...]) -> None:
    with torch.device("meta"):
        found = _named(
            StableDiffusion3, SD3Transformer2DModel(num_layers=depth, dual_attention_layers=twice, qk_norm="rms_norm")
        )
    parts = ["attn_qkv", "attn_proj", "mlp_fc1", "mlp_fc2", "adaLN_modulation_1"]
    wanted = {f"{i}_{side}_block_{part}" for i in range(depth) for side in ("x", "context") for part in parts}
    wanted -= {f"{depth - 1}_context_block_{part}" for part in ("attn_proj", "mlp_fc1", "mlp_fc2")}
    wanted |= {f"{i}_x_block_attn2_{part}" for i in twice for part in ("qkv", "proj")}
    assert found == {f"lora_unet_joint_blocks_{name}" for name in wanted}


def test_the_keys_of_zimage_are_those_that_comfyui_loads() -> None:
    with torch.device("meta"):
        found = _named(ZImage, ZImageTransformer2DModel())
    parts = ["attention_qkv", "attention_out", *(f"feed_forward_w{i}" for i in (1, 2, 3))]
    stacks = {"layers": 30, "noise_refiner": 2, "context_refiner": 2}
    wanted = {f"{stack}_{i}_{part}" for stack, depth in stacks.items() for i in range(depth) for part in parts}
    wanted |= {f"{stack}_{i}_adaLN_modulation_0" for stack in ("layers", "noise_refiner") for i in range(stacks[stack])}
    assert found == {f"lora_unet_{name}" for name in wanted}
