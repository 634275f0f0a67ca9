"""The LoRA layers, the diffusion arithmetic and the file, on a tiny real pipeline."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DDPMScheduler, UNet2DConditionModel
from safetensors import safe_open
from safetensors.torch import load_file
from transformers import CLIPTextConfig, CLIPTextModel

from hubman.train.adapters.network import Network
from hubman.train.adapters.network_plan import form_of
from hubman.train.architectures import load
from hubman.train.architectures.base import Framing, stack
from hubman.train.architectures.clip import Clip
from hubman.train.architectures.parts import Part
from hubman.train.architectures.stable_diffusion import StableDiffusion
from hubman.train.loss.noise_schedule import NoiseSchedule
from hubman.train.output.export import write_lora
from hubman.train.output.metadata import Origin, tag_frequency
from hubman.train.presets import preset
from hubman.train.recipe import Recipe
from hubman.train.recipe_fields import changed
from hubman.train.settings.network import NetworkSettings
from registry.errors import DamagedFileError, HubError, NotFoundError, UsageError
from tests.support.model_files import real_keys
from tests.support.tiny_pipeline import make_tiny_pipeline

CPU = torch.device("cpu")
FRAMINGS = [Framing.whole((64, 64))] * 2


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_pipeline(tmp_path_factory.mktemp("base") / "pipeline")


def recipe_for(base: Path, changes: dict[str, Any] | None = None) -> Recipe:
    recipe = preset("style", "tiny", 20, base=str(base), dataset="data", output="test")
    return changed(recipe, changes or {})


def adapt(architecture: Any, *, conv: bool = True, text: bool = True) -> Network:
    targets = architecture.targets(conv=conv, text=text)
    sizes = NetworkSettings(rank=4, alpha=2.0, conv_rank=2 if conv else 0, conv_alpha=1.0)
    return Network(targets, form_of(sizes), seed=0)


def disturb(network: Network) -> None:
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for adapter in network.layers.values():
            adapter.tensors["lora_up.weight"].normal_(0, 0.02, generator=generator)


def origin_of(recipe: Recipe, architecture: Any, captions: list[str] | None = None) -> Origin:
    captions = captions or ["zvk, a red circle", "zvk, a blue star"]
    return Origin(
        recipe=recipe,
        identity=architecture.identity,
        captions=captions,
        sizes=[(64, 64)] * len(captions),
        dataset_fingerprint="f" * 64,
        batches_per_pass=1,
        step=recipe.length.steps,
        epoch=recipe.length.epochs,
        started_at=1000.5,
        finished_at=1060.25,
        sample_prompt=captions[0],
    )


def test_a_fresh_network_changes_nothing(base: Path) -> None:
    architecture = load(recipe_for(base), CPU)
    x, t = torch.randn(2, 4, 8, 8), torch.tensor([10, 900])
    with torch.no_grad():
        texts = stack(architecture.encode_text(["a red circle", "a star"], 1))
        before = architecture.predict(x, t, texts, FRAMINGS)
        network = adapt(architecture)
        again = stack(architecture.encode_text(["a red circle", "a star"], 1))
        assert torch.equal(again["states"], texts["states"])
        assert torch.equal(architecture.predict(x, t, texts, FRAMINGS), before)
    assert network.delta_norm() == 0


def test_only_the_lora_is_trained(base: Path) -> None:
    architecture = load(recipe_for(base), CPU)
    assert isinstance(architecture, StableDiffusion)
    network = adapt(architecture)
    disturb(network)
    texts = stack(architecture.encode_text(["a red circle"], 1))
    answer = architecture.predict(torch.randn(1, 4, 8, 8), torch.tensor([5]), texts, FRAMINGS[:1])
    answer.square().mean().backward()  # type: ignore[no-untyped-call]
    assert all(parameter.grad is not None for parameter in network.parameters())
    assert all(adapter.base.weight.grad is None for adapter in network.layers.values())
    assert len(network.parameters(part="text")) == 2 * 12
    assert len(network.parameters(part="text")) + len(network.parameters(part="model")) == len(network.parameters())


class _Parts:
    """Modules of SD 1.5's topology, and nothing else of a pipeline."""

    targets = StableDiffusion.targets

    def __init__(self) -> None:
        with torch.device("meta"):
            self.denoiser = UNet2DConditionModel(cross_attention_dim=768)
            config = CLIPTextConfig(
                hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12
            )
            encoder = CLIPTextModel(config)
        self.clips = [Clip("text_encoder", "lora_te", None, Part(lambda: encoder, ()))]


def test_the_keys_of_sd15_are_exactly_those_of_kohyas_scripts() -> None:
    parts: Any = _Parts()
    plain = {target.key for target in StableDiffusion.targets(parts, conv=False, text=False)}
    whole = StableDiffusion.targets(parts, conv=True, text=True)
    keys = {target.key for target in whole}
    assert len(plain) == 192
    assert len(keys) == len(whole) == 278 + 72
    assert "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_out_0" in plain
    assert "lora_te_text_model_encoder_layers_11_mlp_fc2" in keys
    assert sum(target.wide for target in whole) == 44 + 6
    network = Network(whole, form_of(NetworkSettings(rank=8, alpha=4.0, conv_rank=4, conv_alpha=1.0)), seed=0)
    shapes = {
        f"{key}.{suffix}": list(tensor.shape)
        for key, adapter in network.layers.items()
        for suffix, tensor in adapter.file_tensors().items()
    }
    real = real_keys("sds_single_te")[1]
    assert len(shapes) == 3 * 350
    assert shapes == {name: shape for name, (_, shape) in real.items()}


def test_the_file_is_kohyas_format(base: Path, tmp_path: Path) -> None:
    recipe = recipe_for(
        base,
        {"trigger": "zvk", "network.rank": 4, "network.alpha": 2.0, "network.conv_rank": 2, "network.conv_alpha": 1.0},
    )
    architecture = load(recipe, CPU)
    network = adapt(architecture)
    disturb(network)
    path = tmp_path / "test.safetensors"
    written = write_lora(path, network, origin_of(recipe, architecture))
    tensors = load_file(path)
    assert len(tensors) == 3 * written.modules == 3 * len(network.layers)
    assert all(tensor.dtype == torch.float16 for tensor in tensors.values())
    key = "lora_unet_mid_block_attentions_0_proj_in"
    assert tensors[f"{key}.alpha"].shape == ()
    assert float(tensors[f"{key}.alpha"]) == 2
    assert tensors[f"{key}.lora_down.weight"].shape == (4, 64, 1, 1)
    assert tensors["lora_unet_mid_block_resnets_0_conv1.lora_down.weight"].shape == (2, 64, 3, 3)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == written.sha256
    assert written.delta_norm > 0
    assert [each.name for each in tmp_path.iterdir()] == ["test.safetensors"]


def test_the_header_says_how_it_was_made_and_nothing_private(base: Path, tmp_path: Path) -> None:
    recipe = recipe_for(base, {"trigger": "zvk", "dataset": "/home/someone/secret"})
    architecture = load(recipe, CPU)
    network = adapt(architecture, conv=False, text=False)
    path = tmp_path / "test.safetensors"
    write_lora(path, network, origin_of(recipe, architecture))
    with safe_open(path, framework="pt") as file:
        entries = file.metadata()
    raw = path.read_bytes()
    header = int.from_bytes(raw[:8], "little")
    assert entries["sshs_model_hash"] == hashlib.sha256(raw[8 + header :]).hexdigest()
    assert entries["sshs_legacy_hash"] == "e3b0c442"
    assert entries["modelspec.hash_sha256"] == "0x" + entries["sshs_model_hash"]
    assert entries["ss_base_model_version"] == "sd_v1"
    assert entries["ss_sd_model_name"] == base.name
    assert entries["ss_network_dim"] == "8"
    assert entries["ss_v2"] == "False"
    assert entries["ss_resolution"] == "(64, 64)"
    assert entries["modelspec.architecture"] == "stable-diffusion-v1/lora"
    assert entries["modelspec.resolution"] == "64x64"
    assert entries["modelspec.trigger_phrase"] == "zvk"
    assert "ss_new_sd_model_hash" not in entries
    (tags,) = json.loads(entries["ss_tag_frequency"]).values()
    assert next(iter(tags)) == "zvk"
    assert b"someone" not in raw
    assert str(base).encode() not in raw


# Entries that depend on the base being a file, or that only runs with a validation split have.
_NOT_OURS = {"ss_sd_model_hash", "ss_new_sd_model_hash", "ss_sd_scripts_commit_hash"}


def test_every_entry_that_kohyas_scripts_write_is_there(base: Path, tmp_path: Path) -> None:
    recipe = recipe_for(base)
    architecture = load(recipe, CPU)
    path = tmp_path / "test.safetensors"
    write_lora(path, adapt(architecture, conv=False, text=False), origin_of(recipe, architecture))
    with safe_open(path, framework="pt") as file:
        ours = set(file.metadata())
    kohya = """adaptive_noise_scale base_model_version cache_latents caption_dropout_every_n_epochs caption_dropout_rate
    caption_tag_dropout_rate clip_skip dataset_dirs datasets debiased_estimation epoch face_crop_aug_range fp8_base
    fp8_base_unet full_fp16 gradient_accumulation_steps gradient_checkpointing huber_c huber_scale huber_schedule
    ip_noise_gamma ip_noise_gamma_random_strength learning_rate loss_type lowram lr_scheduler lr_warmup_steps
    max_grad_norm max_token_length max_train_steps max_validation_steps min_snr_gamma mixed_precision
    multires_noise_discount multires_noise_iterations network_alpha network_dim network_dropout network_module
    new_sd_model_hash noise_offset noise_offset_random_strength num_batches_per_epoch num_epochs num_reg_images
    num_train_images num_validation_images optimizer output_name prior_loss_weight resize_interpolation
    scale_weight_norms sd_model_hash sd_model_name sd_scripts_commit_hash seed session_id steps tag_frequency
    text_encoder_lr training_comment training_finished_at training_started_at unet_lr v2 validate_every_n_epochs
    validate_every_n_steps validation_seed validation_split zero_terminal_snr"""
    assert {f"ss_{name}" for name in kohya.split()} - _NOT_OURS <= ours


def test_the_legacy_hash_is_of_the_training_entries_alone(base: Path, tmp_path: Path) -> None:
    from safetensors.torch import save

    from hubman.lora.writing import serialise

    tensors = {"a": torch.arange(400_000, dtype=torch.float32)}
    (tmp_path / "x").write_bytes(serialise(tensors, {"ss_a": "1", "hubman.b": "2"}))
    with safe_open(tmp_path / "x", framework="pt") as file:
        entries = file.metadata()
    window = save(tensors, {"ss_a": "1"})[0x100000:0x110000]
    assert entries["sshs_legacy_hash"] == hashlib.sha256(window).hexdigest()[:8] != "e3b0c442"


def test_non_finite_weights_are_refused_and_nothing_is_written(base: Path, tmp_path: Path) -> None:
    recipe = recipe_for(base)
    architecture = load(recipe, CPU)
    network = adapt(architecture)
    adapter = next(iter(network.layers.values()))
    for bad in (float("nan"), 1e6):  # the second is finite in fp32 only
        with torch.no_grad():
            adapter.tensors["lora_up.weight"].fill_(bad)
        with pytest.raises(HubError, match="not finite"):
            write_lora(tmp_path / "bad.safetensors", network, origin_of(recipe, architecture))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("file_dtype", ["fp16", "bf16", "fp32"])
def test_every_file_dtype_reads_back(base: Path, tmp_path: Path, file_dtype: str) -> None:
    recipe = recipe_for(base, {"file.dtype": file_dtype})
    architecture = load(recipe, CPU)
    network = adapt(architecture)
    disturb(network)
    assert write_lora(tmp_path / "x.safetensors", network, origin_of(recipe, architecture)).modules > 48


def test_the_trigger_leads_the_tags() -> None:
    assert list(tag_frequency(["zvk, a, b", "zvk, a"], "zvk").items()) == [("zvk", 2), ("a", 2), ("b", 1)]
    assert tag_frequency(["a", "a, b"], "") == {"a": 2, "b": 1}


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_noise_and_targets_are_those_of_diffusers(prediction: str) -> None:
    scheduler: Any = DDPMScheduler(beta_schedule="scaled_linear", prediction_type=prediction)
    schedule = NoiseSchedule.of(scheduler.alphas_cumprod, v_prediction=prediction == "v_prediction", device=CPU)
    x, noise, t = torch.randn(3, 4, 8, 8), torch.randn(3, 4, 8, 8), torch.tensor([0, 500, 999])
    assert torch.allclose(schedule.add_noise(x, noise, t), scheduler.add_noise(x, noise, t), atol=1e-6)
    wanted = noise if prediction == "epsilon" else scheduler.get_velocity(x, noise, t)
    assert torch.allclose(schedule.target(x, noise, t), wanted, atol=1e-6)


def test_an_earlier_text_layer_is_read_when_asked(base: Path) -> None:
    architecture = load(recipe_for(base), CPU)
    last, earlier = (architecture.encode_text(["a red circle"], skip)[0]["states"] for skip in (1, 2))
    assert last.shape == earlier.shape == (77, 32)
    assert not torch.allclose(last, earlier)


def test_bases_that_cannot_be_used_are_named(base: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="missing"):
        load(recipe_for(tmp_path / "missing"), CPU)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DamagedFileError, match="empty"):
        load(recipe_for(tmp_path / "empty"), CPU)
    (tmp_path / "model.ckpt").write_bytes(b"pickle")
    with pytest.raises(HubError, match="never opened"):
        load(recipe_for(tmp_path / "model.ckpt"), CPU)
    with pytest.raises(UsageError, match="sdxl"):
        load(recipe_for(base, {"family": "sdxl"}), CPU)
