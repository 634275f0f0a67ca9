"""Conversions keep every module's change, and what they write loads in diffusers and PEFT themselves."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from hubman.cli.main import run
from hubman.generate.pipeline import Base, load_base
from hubman.lora.change import Change
from hubman.lora.convert import convert
from hubman.lora.load import load_lora
from hubman.lora.names import Names
from hubman.lora.trees import sites_of_architecture
from registry.errors import HubError, UsageError
from tests.support import adapter_formulas as formulas
from tests.support.tiny_bases import make_tiny_flux, make_tiny_sd3
from tests.support.tiny_pipeline import make_tiny_pipeline

LINEAR = "mid_block.attentions.0.transformer_blocks.0.attn1.to_q"
POINT, WIDE = "mid_block.attentions.0.proj_in", "mid_block.resnets.0.conv1"
TEXT = "encoder.layers.0.self_attn.q_proj"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_pipeline(tmp_path_factory.mktemp("base") / "pipeline")


@pytest.fixture(scope="module")
def base(folder: Path) -> Base:
    return load_base(folder, device=torch.device("cpu"), dtype=torch.float32)


@pytest.fixture(scope="module")
def names(base: Base) -> Names:
    return Names(base.name, tuple(base.modules), base.weight_of)


def kohya_key(path: str) -> str:
    return ("lora_te_text_model_" if path == TEXT else "lora_unet_") + path.replace(".", "_")


def make(base: Base, file: Path, kind: str, dtype: torch.dtype = torch.float32, **metadata: str) -> Path:
    """A kohya file of one kind over a Linear, convolutions of both sizes and a text encoder's Linear."""
    tensors: dict[str, Tensor] = {}
    weights = {site.path: base.weight_of(site) for site in base.modules}
    for seed, path in enumerate((LINEAR, POINT, WIDE, TEXT)):
        of_kind = formulas.MATRIX.get(kind) or (formulas.CONV[kind] if path == WIDE else formulas.lora)
        for name, array in of_kind(formulas.Case(weights[path].numpy(), seed))[0].items():
            tensors[f"{kohya_key(path)}.{name}"] = torch.tensor(array).to(dtype)
    save_file(tensors, file, metadata)
    return file


def changes(file: Path, base: Base) -> dict[str, Change]:
    lora = load_lora(file, base.table, base=base.name, weight_of=base.weight_of)
    return {site.path: change for site, change in lora.changes.items()}


def deltas(file: Path, base: Base) -> dict[str, Tensor]:
    return {path: change.factors.delta() for path, change in changes(file, base).items() if change.factors}


def assert_same(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    for path, delta in one.items():
        assert float((delta - other[path]).norm()) <= 1e-6 * float(delta.norm())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("kind", ["LoRA", "LoCon Tucker", "LoHa", "DoRA output"])
def test_to_diffusers_and_back(base: Base, names: Names, tmp_path: Path, kind: str, dtype: torch.dtype) -> None:
    source = make(base, tmp_path / "a.safetensors", kind, dtype, ss_output_name="a", ssmd_author="me")
    there = convert(source, "diffusers", tmp_path / "b.safetensors", names)
    again = convert(tmp_path / "b.safetensors", "kohya", tmp_path / "c.safetensors", names)
    assert there.error <= 1e-6
    assert again.modules == 4
    assert_same(deltas(source, base), deltas(tmp_path / "b.safetensors", base))
    assert_same(deltas(source, base), deltas(tmp_path / "c.safetensors", base))
    with safe_open(tmp_path / "c.safetensors", framework="pt") as file:
        entries = file.metadata()
    assert (entries["ss_output_name"], entries["ssmd_author"]) == ("a", "me")
    assert json.loads(entries["hubman.converted"])["to"] == "kohya"
    assert {"sshs_model_hash", "ss_network_module", "ss_network_dim"} <= entries.keys()


@pytest.mark.parametrize("kind", ["LoRA", "DoRA output"])
def test_to_peft_and_back(base: Base, names: Names, tmp_path: Path, kind: str) -> None:
    source = make(base, tmp_path / "a.safetensors", kind)
    convert(source, "peft", tmp_path / "b", names)
    assert {path.name for path in (tmp_path / "b").iterdir()} == {"unet", "text_encoder"}
    convert(tmp_path / "b", "kohya", tmp_path / "c.safetensors", names)
    assert_same(deltas(source, base), deltas(tmp_path / "c.safetensors", base))


@pytest.mark.parametrize("kind", [*formulas.MATRIX, *formulas.CONV])
def test_kohya_from_any_names_keeps_every_kind(base: Base, names: Names, tmp_path: Path, kind: str) -> None:
    source = make(base, tmp_path / "a.safetensors", kind)
    renamed = {
        name.replace("lora_unet_mid_block_attentions_0", "lora_unet_middle_block_1").replace(
            "lora_te_", "lora_te1_"
        ): tensor
        for name, tensor in load_file(source).items()
    }
    save_file(renamed, tmp_path / "ldm.safetensors")
    convert(tmp_path / "ldm.safetensors", "kohya", tmp_path / "b.safetensors", names)
    assert load_file(tmp_path / "b.safetensors").keys() == load_file(source).keys()
    assert_same(deltas(source, base), deltas(tmp_path / "b.safetensors", base))


def test_diffusers_itself_loads_what_was_converted(base: Base, names: Names, folder: Path, tmp_path: Path) -> None:
    from diffusers import StableDiffusionPipeline

    source = make(base, tmp_path / "a.safetensors", "LoRA")
    convert(source, "diffusers", tmp_path / "b.safetensors", names)
    pipeline: Any = StableDiffusionPipeline.from_pretrained(str(folder), safety_checker=None, local_files_only=True)
    pipeline.load_lora_weights(str(tmp_path), weight_name="b.safetensors")
    loaded = {**dict(pipeline.unet.named_modules()), **dict(pipeline.text_encoder.named_modules())}
    for path, wanted in deltas(source, base).items():
        layer: Any = loaded.get(path, loaded.get(f"text_model.{path}"))
        (adapter,) = layer.r
        torch.testing.assert_close(layer.get_delta_weight(adapter).detach(), wanted, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("kind", ["LoRA", "DoRA output"])
def test_peft_itself_loads_what_was_converted(
    base: Base, names: Names, folder: Path, tmp_path: Path, kind: str
) -> None:
    from peft import PeftModel

    source = make(base, tmp_path / "a.safetensors", kind)
    tensors = load_file(source)
    # Alphas and ranks that differ between modules, in the UNet alone.
    tensors[f"{kohya_key(LINEAR)}.alpha"] = torch.tensor(0.75)
    for part in ("lora_down.weight", "lora_up.weight"):
        name = f"{kohya_key(WIDE)}.{part}"
        tensors[name] = tensors[name][:2].contiguous() if "down" in part else tensors[name][:, :2].contiguous()
    only = {name: tensor for name, tensor in tensors.items() if name.startswith("lora_unet_")}
    save_file(only, tmp_path / "unet.safetensors")
    convert(tmp_path / "unet.safetensors", "peft", tmp_path / "peft", names)
    unet = UNet2DConditionModel.from_pretrained(str(folder / "unet"))
    model: Any = PeftModel.from_pretrained(unet, str(tmp_path / "peft"))
    for path, wanted in deltas(tmp_path / "unet.safetensors", base).items():
        layer = model.base_model.model.get_submodule(path)
        before = layer.get_base_layer().weight.detach().clone()
        layer.merge()
        torch.testing.assert_close(layer.get_base_layer().weight.detach() - before, wanted, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", ["LoHa", "LoKr", "LoKr full"])
def test_what_peft_itself_writes_is_read_as_peft_computes_it(
    base: Base, names: Names, folder: Path, tmp_path: Path, kind: str
) -> None:
    from peft import LoHaConfig, LoKrConfig, get_peft_model

    sizes = {"target_modules": [LINEAR, POINT, WIDE], "r": 99 if kind == "LoKr full" else 3, "alpha": 12}
    config = LoHaConfig(**sizes) if kind == "LoHa" else LoKrConfig(**sizes)
    unet = UNet2DConditionModel.from_pretrained(str(folder / "unet"))
    model: Any = get_peft_model(unet, config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.normal_(0, 0.2)
    model.save_pretrained(str(tmp_path / "peft"))
    convert(tmp_path / "peft", "kohya", tmp_path / "b.safetensors", names)
    for path, delta in deltas(tmp_path / "b.safetensors", base).items():
        wanted = model.base_model.model.get_submodule(path).get_delta_weight("default").detach()
        torch.testing.assert_close(delta, wanted, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", ["full", "Diag-OFT", "GLoRA", "IA3 input", "DoRA input"])
def test_what_a_format_cannot_say_is_refused_and_nothing_is_written(
    base: Base, names: Names, tmp_path: Path, kind: str
) -> None:
    source = make(base, tmp_path / "a.safetensors", kind)
    for to, out in (("diffusers", tmp_path / "b.safetensors"), ("peft", tmp_path / "b")):
        with pytest.raises(HubError, match=r"low-rank|input axis"):
            convert(source, to, out, names)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == [source]


@pytest.mark.parametrize("part", ["w_norm", "diff_b"])
def test_a_norm_or_a_bias_is_not_sent_to_bake(base: Base, names: Names, tmp_path: Path, part: str) -> None:
    site = next(site for site in base.modules if site.component == "unet" and site.is_norm == (part == "w_norm"))
    key = f"lora_unet_{site.path.replace('.', '_')}.{part}"
    save_file({key: torch.ones(site.shape[0])}, tmp_path / "a.safetensors")
    for bake in (0, 4):
        with pytest.raises(HubError, match="changes a norm or a bias") as refused:
            convert(tmp_path / "a.safetensors", "diffusers", tmp_path / "b.safetensors", names, bake=bake)
        assert ("--bake" in str(refused.value)) == bool(bake)


@pytest.mark.parametrize("kind", ["DoRA input", "LoKr", "Diag-OFT"])
def test_baking_makes_a_plain_lora(base: Base, names: Names, tmp_path: Path, kind: str) -> None:
    source = make(base, tmp_path / "a.safetensors", kind)
    done = convert(source, "kohya", tmp_path / "b.safetensors", names, bake=64)
    assert done.kept > 0.999999
    assert {name.partition(".")[2] for name in load_file(tmp_path / "b.safetensors")} == {
        "lora_down.weight",
        "lora_up.weight",
        "alpha",
    }
    for path, delta in deltas(tmp_path / "b.safetensors", base).items():
        torch.testing.assert_close(delta, deltas(source, base)[path], atol=1e-5, rtol=1e-4)


def test_modules_without_a_place_stop_it(base: Base, names: Names, tmp_path: Path) -> None:
    source = make(base, tmp_path / "a.safetensors", "LoRA")
    stray = {
        "lora_unet_nowhere.lora_down.weight": torch.zeros(2, 4),
        "lora_unet_nowhere.lora_up.weight": torch.zeros(4, 2),
    }
    save_file({**load_file(source), **stray}, source)
    with pytest.raises(HubError, match="would be lost"):
        convert(source, "kohya", tmp_path / "b.safetensors", names)
    assert not (tmp_path / "b.safetensors").exists()


@given(alpha=st.floats(0.01, 300), rank=st.integers(1, 9))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_scale_survives_in_half_precision(
    base: Base, names: Names, tmp_path_factory: pytest.TempPathFactory, alpha: float, rank: int
) -> None:
    folder = tmp_path_factory.mktemp("scale")
    key = kohya_key(LINEAR)
    tensors = {"lora_down.weight": torch.randn(rank, 64).half(), "lora_up.weight": torch.randn(64, rank).half()}
    named = {f"{key}.{name}": tensor for name, tensor in tensors.items()}
    save_file({**named, f"{key}.alpha": torch.tensor(alpha)}, folder / "a.safetensors")
    assert convert(folder / "a.safetensors", "diffusers", folder / "b.safetensors", names).error <= 1e-6
    assert_same(deltas(folder / "a.safetensors", base), deltas(folder / "b.safetensors", base))


def test_the_command_converts_tells_and_never_overwrites(
    base: Base, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = make(base, tmp_path / "a.safetensors", "LoRA")
    assert run(["convert", str(source), "--to", "diffusers", "--base", str(folder), "--json"]) == 0
    done = json.loads(capsys.readouterr().out)
    assert done["modules"] == 4
    assert done["files"] == [str(tmp_path / "a.diffusers.safetensors")]
    assert run(["convert", str(source), "--to", "diffusers", "--base", str(folder)]) == 2
    assert run(["convert", str(source), "--to", "kohya", "--bake", "4"]) == 2
    assert run(["convert", str(tmp_path / "none"), "--to", "kohya"]) == 2
    (tmp_path / "broken.safetensors").write_bytes(b"broken")
    assert run(["convert", str(tmp_path / "broken.safetensors"), "--to", "kohya"]) == 1


def test_sdxl_is_written_in_ldm_names(tmp_path: Path) -> None:
    names = Names("sdxl", sites_of_architecture("sdxl"))
    path = "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k"
    tensors = {
        f"unet.{path}.lora_A.weight": torch.randn(4, 2048),
        f"unet.{path}.lora_B.weight": torch.randn(640, 4),
        "text_encoder_2.text_model.encoder.layers.31.mlp.fc1.lora_A.weight": torch.randn(4, 1280),
        "text_encoder_2.text_model.encoder.layers.31.mlp.fc1.lora_B.weight": torch.randn(5120, 4),
        "text_encoder.text_model.encoder.layers.0.mlp.fc1.lora_A.weight": torch.randn(4, 768),
        "text_encoder.text_model.encoder.layers.0.mlp.fc1.lora_B.weight": torch.randn(3072, 4),
    }
    header = {"unet.r": 4, "unet.lora_alpha": 2, "text_encoder.lora_alpha": 8, "text_encoder.use_rslora": True}
    save_file(tensors, tmp_path / "a.safetensors", {"lora_adapter_metadata": json.dumps(header)})
    convert(tmp_path / "a.safetensors", "kohya", tmp_path / "b.safetensors", names)
    written = load_file(tmp_path / "b.safetensors")
    alphas = {name.removesuffix(".alpha"): float(alpha) for name, alpha in written.items() if name.endswith(".alpha")}
    assert alphas == {
        "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k": 2.0,
        "lora_te2_text_model_encoder_layers_31_mlp_fc1": 4.0,
        "lora_te1_text_model_encoder_layers_0_mlp_fc1": 16.0,
    }
    with safe_open(tmp_path / "b.safetensors", framework="pt") as file:
        entries = file.metadata()
    assert entries["ss_base_model_version"] == "sdxl_base_v1-0"
    assert "lora_adapter_metadata" not in entries


def test_a_folder_of_peft_comes_back_without_naming_its_base(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    modules = {
        "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k": (640, 2048),
        "lora_te1_text_model_encoder_layers_0_mlp_fc1": (3072, 768),
        "lora_te2_text_model_encoder_layers_0_mlp_fc1": (5120, 1280),
    }
    tensors: dict[str, Tensor] = {}
    for key, (rows, columns) in modules.items():
        tensors |= {f"{key}.lora_down.weight": torch.randn(2, columns), f"{key}.lora_up.weight": torch.randn(rows, 2)}
        tensors[f"{key}.alpha"] = torch.tensor(1.0)
    source, again = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    save_file(tensors, source)
    assert run(["convert", str(source), "--to", "peft"]) == 0
    assert run(["convert", str(tmp_path / "a.peft"), "--to", "kohya", "--out", str(again)]) == 0
    assert load_file(again).keys() == tensors.keys()
    (tmp_path / "empty").mkdir()
    assert run(["convert", str(tmp_path / "empty"), "--to", "kohya"]) == 2
    assert "empty holds no adapter_model.safetensors" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(("name", "make_base"), [("flux", make_tiny_flux), ("sd3", make_tiny_sd3)])
def test_fused_layers_of_transformers_are_split_for_diffusers_and_joined_for_kohya(
    tmp_path: Path, name: str, make_base: Callable[[Path], Path]
) -> None:
    folder = make_base(tmp_path / "base")
    base = load_base(folder, device=torch.device("cpu"), dtype=torch.float32)
    tensors: dict[str, Tensor] = {}
    for site in base.modules:
        original = base.model.original_names.get(site.path)
        if site.component == "transformer" and original and not site.path.endswith("modulation"):
            key = f"lora_unet_{original.replace('.', '_')}"
            tensors[f"{key}.lora_down.weight"] = torch.randn(2, *site.shape[1:])
            tensors[f"{key}.lora_up.weight"] = torch.randn(site.shape[0], 2, *[1] * (len(site.shape) - 2))
            tensors[f"{key}.alpha"] = torch.tensor(1.0)
    save_file(tensors, tmp_path / "a.safetensors")
    there = ["convert", str(tmp_path / "a.safetensors"), "--to", "diffusers", "--base", str(folder)]
    back = ["convert", str(tmp_path / "a.diffusers.safetensors"), "--to", "kohya", "--base", str(folder)]
    assert run(there) == 0
    assert run(back) == 0
    plain = type(base.model.denoiser).from_pretrained(str(folder / "transformer"))
    written = load_file(tmp_path / "a.diffusers.safetensors")
    for module in {key.removeprefix("transformer.").partition(".lora_")[0] for key in written}:
        assert isinstance(plain.get_submodule(module), torch.nn.Linear | torch.nn.Conv2d)
    again = tmp_path / "a.diffusers.kohya.safetensors"
    assert load_file(again).keys() == tensors.keys()
    # The parts share their down matrix, so joining them makes the rank no larger.
    assert {tuple(tensor.shape) for tensor in load_file(again).values()} == {tuple(t.shape) for t in tensors.values()}
    assert_same(deltas(tmp_path / "a.safetensors", base), deltas(again, base))
    assert_same(deltas(tmp_path / "a.safetensors", base), deltas(tmp_path / "a.diffusers.safetensors", base))
    with safe_open(again, framework="pt") as file:
        assert file.metadata()["ss_base_model_version"] == base.model.identity.base_model_version


def test_an_unknown_base_is_said_so() -> None:
    with pytest.raises(HubError, match="the modules of wan are not known"):
        sites_of_architecture("wan")
    with pytest.raises(UsageError, match="is there already"):
        convert(Path(__file__), "kohya", Path(__file__), Names("x", ()))
