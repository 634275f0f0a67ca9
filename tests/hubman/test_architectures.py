"""Every architecture end to end on a small model of its real class: what it says, trains, writes and draws."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from hubman.generate.bank import Bank
from hubman.generate.engine import LocalEngine
from hubman.generate.pipeline import load_base
from hubman.generate.request import DrawRequest, LoraUse
from hubman.lora.load import load_lora
from hubman.progress import silent
from hubman.train.architectures import load, load_model
from hubman.train.architectures.base import Framing, stack
from hubman.train.architectures.model import Model
from hubman.train.data.dataset import read_dataset
from hubman.train.encoding.encoded import Encoded
from hubman.train.encoding.material import TextStates
from hubman.train.loop import train
from hubman.train.output.result import TrainResult
from hubman.train.presets import preset
from hubman.train.recipe import Recipe
from hubman.train.recipe_fields import changed
from hubman.train.training import Training
from registry.errors import HubError, UsageError
from registry.headers import read_header
from tests.support.ldm_checkpoint import save_checkpoint
from tests.support.original_transformer import save_transformer
from tests.support.tiny_bases import MAKERS, make_tiny_flux, make_tiny_sdxl

CPU = torch.device("cpu")
FAMILIES = ("sd15", "sdxl", "flux", "sd35", "zimage")
SIDE = 64
PROMPT = "a red circle"


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    opened.cache_clear()
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All bases, by their family."""
    folder = tmp_path_factory.mktemp("bases")
    for name, make in MAKERS.items():
        make(folder / name)
    make_tiny_sdxl(folder / "sdxl_v", velocity=True)
    make_tiny_flux(folder / "schnell", dev=False)
    return folder


@cache
def opened(path: Path) -> Model:
    return load_model(path, CPU, torch.float32, mixed=True)


def request(base: Path, **changes: Any) -> DrawRequest:
    plain = DrawRequest(base=str(base), prompt=PROMPT, seed=7, steps=3, cfg=4.0, width=SIDE, height=2 * SIDE)
    return msgspec.structs.replace(plain, sampler="Euler", **changes)


def pixels(picture: Image.Image) -> Any:
    return np.asarray(picture.convert("RGB"), dtype=np.int16)


# What Stable Diffusion 1.x draws is held in test_generate_engine.
@pytest.mark.parametrize("name", [*FAMILIES[1:], "sdxl_v", "schnell"])
def test_a_picture_is_that_of_diffusers_own_pipeline(folder: Path, name: str) -> None:
    from diffusers import DiffusionPipeline

    pipeline = DiffusionPipeline.from_pretrained(str(folder / name), local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    # FLUX is told the guidance; Z-Image's own pipeline counts it from 0.
    told = {"sdxl": {"negative_prompt": ""}, "sdxl_v": {"negative_prompt": ""}, "sd35": {"negative_prompt": ""}}
    settings: dict[str, Any] = {"guidance_scale": 3.0 if name == "zimage" else 4.0, **told.get(name, {})}
    if name == "schnell":
        settings["max_sequence_length"] = 256
    wanted = pipeline(
        PROMPT,
        width=SIDE,
        height=2 * SIDE,
        num_inference_steps=3,
        generator=torch.Generator().manual_seed(7),
        **settings,
    ).images[0]
    found = opened(folder / name).draw(request(folder / name))
    assert np.abs(pixels(found) - pixels(wanted)).max() <= 1
    assert pixels(wanted).std() > 1


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    for i in range(5):
        values = rng.integers(0, 256, (20 + 4 * i, 24, 3), dtype=np.uint8)
        Image.fromarray(values).save(folder / f"{i}.png")
        (folder / f"{i}.txt").write_text(f"zvk, a circle, {i}")
    return folder


def recipe_for(folder: Path, data: Path, name: str, **fields: Any) -> Recipe:
    small = {
        "network.rank": 2,
        "network.alpha": 2.0,
        "network.conv_rank": 0,
        "network.conv_alpha": 0.0,
        "length.steps": 3,
        "length.epochs": 1,
        "length.batch": 2,
        "length.accumulate": 1,
        "optimizer.unet_lr": 1e-2,
        "schedule.shape": "constant",
        "images.resolutions": (SIDE,),
        "images.bucket_low": SIDE,
        "images.bucket_high": SIDE,
        "images.bucket_step": 64,
        "machine.dtype": "fp32",
        "file.dtype": "fp32",
        "watch.sample_prompts": (PROMPT,),
        "watch.sample_steps": 2,
        "watch.validation_images": 1,
    }
    start = preset("style", name, 30, base=str(folder / name), dataset=str(data), output="test")
    return changed(start, small | {field.replace("__", "."): value for field, value in fields.items()})


@pytest.fixture(scope="module")
def trained(
    folder: Path, data: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[Recipe, TrainResult]]:
    """Three steps of each, text encoders included where there are CLIPs."""
    found = {}
    for name in FAMILIES:
        recipe = recipe_for(folder, data, name, optimizer__text_lr=0.0 if name == "zimage" else 1e-2)
        found[name] = (recipe, train(recipe, tmp_path_factory.mktemp(name)))
    return found


MODULES = {"sd15": 48 + 12, "sdxl": 132 + 24, "flux": 13 + 12, "sd35": 19 + 24, "zimage": 17}


@pytest.mark.parametrize("name", FAMILIES)
def test_a_training_writes_a_file_that_the_engine_draws_the_samples_from(
    trained: dict[str, tuple[Recipe, TrainResult]], tmp_path: Path, name: str
) -> None:
    recipe, result = trained[name]
    assert result.modules == MODULES[name]
    assert result.delta_norm > 0
    sample = next(each for each in result.samples if each.epoch == 1)
    use = LoraUse(path=str(result.path), name="test", sha256=result.sha256)
    wanted = DrawRequest(
        base=recipe.base,
        prompt=PROMPT,
        loras=(use,),
        seed=recipe.seed,
        steps=recipe.watch.sample_steps,
        cfg=recipe.watch.sample_guidance,
        width=SIDE,
        height=SIDE,
        sampler="DPM++ 2M" if name.startswith("sd") and name != "sd35" else "Euler",
        clip_skip=recipe.captions.clip_skip,
    )
    (drawn,) = LocalEngine(device=CPU).draw([wanted], tmp_path)
    (plain,) = LocalEngine(device=CPU).draw([msgspec.structs.replace(wanted, loras=())], tmp_path)
    found, kept, before = (pixels(Image.open(path)) for path in (drawn.path, sample.path, plain.path))
    assert np.abs(found - kept).max() <= 1
    assert np.abs(found - before).max() > 1


@pytest.mark.parametrize(
    ("name", "version", "architecture", "module"),
    [
        ("sd15", "sd_v1", "stable-diffusion-v1/lora", "networks.lora"),
        ("sdxl", "sdxl_base_v1-0", "stable-diffusion-xl-v1-base/lora", "networks.lora"),
        ("flux", "flux1", "flux-1-dev/lora", "networks.lora_flux"),
        ("sd35", "5-medium", "stable-diffusion-3-5-medium/lora", "networks.lora_sd3"),
        ("zimage", "zimage", "z-image/lora", "networks.lora_zimage"),
    ],
)
def test_a_file_names_its_base_as_readers_expect(
    trained: dict[str, tuple[Recipe, TrainResult]], name: str, version: str, architecture: str, module: str
) -> None:
    entries = read_header(trained[name][1].path).metadata
    assert entries["ss_base_model_version"] == version
    assert entries["modelspec.architecture"] == architecture
    assert entries["ss_network_module"] == module
    assert ("modelspec.prediction_type" in entries) == (name in ("sd15", "sdxl"))
    assert entries["ss_sd_model_name"] == name


@pytest.mark.parametrize("name", FAMILIES)
def test_a_reloaded_file_predicts_what_was_trained(trained: dict[str, tuple[Recipe, TrainResult]], name: str) -> None:
    _, result = trained[name]
    base = load_base(Path(result.recipe.base), device=CPU)
    lora = load_lora(result.path, base.table, base="tiny")
    assert lora.coverage.matched == lora.coverage.total == MODULES[name]
    model = base.model
    texts = stack(model.encode_text([PROMPT, "a star"], 1))
    noisy, times = torch.randn(2, 4, 8, 8), model.process.at((0.3, 0.8))
    framings = [Framing.whole((SIDE, SIDE))] * 2
    bank = Bank(model.roots, base.modules)
    bank.install([lora])
    with torch.no_grad():
        bank.set_strengths(model.denoiser_name, [[1.0]] * 2)
        found = model.predict(noisy, times, texts, framings)
        bank.remove()
        plain = model.predict(noisy, times, texts, framings)
        for site, factors in lora.factors.items():
            if site.component == model.denoiser_name:
                base.modules[site].weight += factors.delta()  # type: ignore[operator]
        merged = model.predict(noisy, times, texts, framings)
    assert torch.allclose(found, merged, atol=1e-4)
    assert not torch.allclose(found, plain, atol=1e-3)


def test_sdxl_is_told_how_each_picture_was_cut(folder: Path) -> None:
    model = opened(folder / "sdxl")
    texts = stack(model.encode_text([PROMPT], 1))
    noisy, times = torch.randn(1, 4, 8, 8), torch.tensor([500])
    found = model.predict(noisy, times, texts, [Framing((90, 30), (8, 0), (32, 16))])
    told = {"text_embeds": texts["pooled"], "time_ids": torch.tensor([[30.0, 90, 0, 8, 16, 32]])}
    wanted = model.denoiser(noisy, times, texts["states"], added_cond_kwargs=told).sample
    assert torch.equal(found, wanted)


def test_a_single_file_of_sdxl_is_its_folder(folder: Path, tmp_path: Path) -> None:
    """Weights and tokenizers are the folder's; by the marker tensors prediction and schedule are those of v."""
    file = save_checkpoint(folder / "sdxl", tmp_path / "x.safetensors", markers=("v_pred", "ztsnr"))
    one = opened(folder / "sdxl_v")
    other = load_model(file, CPU, torch.float32, mixed=True, layout=folder / "sdxl")
    assert other.identity.prediction == "v"
    for name, root in one.roots.items():
        expected, found = root.state_dict(), other.roots[name].state_dict()
        assert expected.keys() == found.keys()
        assert all(torch.allclose(expected[key], found[key]) for key in expected), name
    drawn = [pixels(model.draw(request(file))) for model in (one, other)]
    assert np.abs(drawn[0] - drawn[1]).max() <= 1


def test_a_base_with_zero_terminal_snr_ends_in_pure_noise(folder: Path) -> None:
    process = opened(folder / "sdxl_v").process
    latents, noise, last = torch.randn(1, 4, 8, 8), torch.randn(1, 4, 8, 8), torch.tensor([999])
    assert torch.equal(process.add_noise(latents, noise, last), noise)
    assert torch.equal(process.target(latents, noise, last), -latents)


@pytest.mark.parametrize("name", ["sdxl", "flux", "sd35"])
def test_a_text_of_two_chunks_is_read_whole(folder: Path, name: str) -> None:
    model = opened(folder / name)
    long = ", ".join(["red"] * 70)
    one, two = (model.encode_text([long], 1, chunks=chunks)[0] for chunks in (1, 2))
    extra = 0 if name == "flux" else 77
    assert two["states"].shape[0] == one["states"].shape[0] + extra
    assert torch.allclose(one["pooled"], two["pooled"], atol=1e-5)


def test_a_recipe_for_another_architecture_is_refused(folder: Path, data: Path) -> None:
    recipe = changed(recipe_for(folder, data, "flux"), {"base": str(folder / "sdxl")})
    with pytest.raises(UsageError, match="the recipe is for flux, but sdxl is of the family sdxl"):
        load(recipe, CPU)


def test_a_sampler_that_cannot_undo_a_flow_is_refused(folder: Path) -> None:
    with pytest.raises(UsageError, match="cannot undo flow matching"):
        opened(folder / "flux").draw(msgspec.structs.replace(request(folder / "flux"), sampler="Euler a"))


@pytest.mark.parametrize("sampler", ["DPM++ 2M", "UniPC"])
def test_a_solver_draws_nearly_what_euler_draws_with_many_steps(folder: Path, sampler: str) -> None:
    model = opened(folder / "sd35")
    many, solved = (
        model.draw(msgspec.structs.replace(request(folder / "sd35", steps=steps, cfg=1.0), sampler=name))
        for name, steps in (("Euler", 30), (sampler, 12))
    )
    assert np.abs(pixels(many) - pixels(solved)).mean() < 6


def test_encoders_that_were_given_back_say_the_same_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hubman.train.architectures.parts.WORTH_RELEASING", 0)
    model = load_model(folder / "sd35", CPU, torch.float32, mixed=True)
    picture = Image.new("RGB", (SIDE, SIDE), "red")
    before = model.encode_text([PROMPT], 1)[0], model.encode_image(picture)
    model.release("text")
    model.release("image")
    again = model.encode_text([PROMPT], 1)[0], model.encode_image(picture)
    assert all(torch.equal(before[0][name], again[0][name]) for name in before[0])
    assert torch.equal(before[1].mean, again[1].mean)
    names = {source.path.name for source in model.encoder_sources("text")}
    assert names == {f"{kind}{end}" for kind in ("text_encoder", "tokenizer") for end in ("", "_2", "_3")}


@pytest.mark.parametrize(("name", "encoder"), [("flux", "_2"), ("sd35", "_3"), ("sdxl", "_2")])
def test_a_step_with_a_trained_clip_asks_no_frozen_encoder(
    folder: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, encoder: str
) -> None:
    monkeypatch.setattr("hubman.train.architectures.parts.WORTH_RELEASING", 0)
    recipe = recipe_for(folder, data, name, optimizer__text_lr=1e-2, network__dropout=0.0, watch__validation_images=0)
    recipe = changed(recipe, {"optimizer.text2_lr": 0.0 if name == "sdxl" else -1.0})
    dataset = read_dataset(data)
    training = Training(recipe, dataset, tmp_path / "checkpoints", tmp_path / "cache", silent)
    model = training.architecture
    assert isinstance(model, Model)
    load = model.parts.load

    def refuse(component: str) -> Any:
        assert component != f"text_encoder{encoder}", "a frozen encoder was loaded"
        return load(component)

    monkeypatch.setattr(model.parts, "load", refuse)
    before = [each.detach().clone() for each in training.network.parameters(part="text")]
    training.step(0)
    training.release_encoders()
    training.step(1)
    assert any(not torch.equal(*each) for each in zip(before, training.network.parameters(part="text"), strict=True))
    monkeypatch.undo()
    captions = ["zvk, a circle, 1", PROMPT]
    trained = recipe.optimizer.trained_text
    with torch.no_grad():
        known = [model.read_frozen(caption, 1, 1, trained) for caption in captions]
        split, whole = (stack(model.encode_text(captions, 1, 1, said)) for said in (known, ()))
    assert all(torch.allclose(split[entry], whole[entry], atol=1e-6) for entry in whole)


def test_how_many_tokens_count_is_known_without_asking_the_device(folder: Path, tmp_path: Path) -> None:
    model = opened(folder / "zimage")
    captions = [PROMPT, "a star"]
    elsewhere = TextStates(Encoded(model, tmp_path, "fp32"), 1, torch.device("meta")).of(captions)
    assert (elsewhere["states"].device.type, elsewhere["mask"].device.type) == ("meta", "cpu")
    lengths = [len(model.read_long([caption])[0]["mask"].nonzero()) for caption in captions]
    assert elsewhere["mask"].sum(dim=1).tolist() == lengths
    assert lengths[0] != lengths[1]


@pytest.mark.parametrize("name", ["flux", "sd35", "zimage"])
def test_a_file_in_diffusers_names_changes_what_diffusers_changes(folder: Path, tmp_path: Path, name: str) -> None:
    """diffusers splits the fused layers; peft on the unfused model is the truth."""
    from diffusers import DiffusionPipeline
    from peft import LoraConfig

    pipeline = DiffusionPipeline.from_pretrained(str(folder / name), local_files_only=True)
    plain = pipeline.transformer
    places = ["to_q", "to_k", "to_v", "to_out.0", "add_q_proj", "add_k_proj", "add_v_proj", "to_add_out", "proj_mlp"]
    plain.add_adapter(LoraConfig(r=2, lora_alpha=3, target_modules=places, init_lora_weights=False))
    stored = {
        f"transformer.{key.replace('.default', '')}": weight.detach().clone()
        for key, weight in plain.state_dict().items()
        if "lora_" in key
    }
    for key in [key for key in stored if "lora_A" in key]:
        stored[f"{key.split('.lora_A')[0]}.alpha"] = torch.tensor(3.0)
    file = tmp_path / "x.safetensors"
    save_file({key: weight.contiguous() for key, weight in stored.items()}, file)
    base = load_base(folder / name, device=CPU)
    lora = load_lora(file, base.table, base="tiny")
    assert lora.coverage.matched == lora.coverage.total
    assert all(site.of is None for site in lora.changes)
    model = base.model
    bank = Bank(model.roots, base.modules)
    bank.install([lora])
    texts = stack(model.encode_text([PROMPT], 1))
    noisy, times = torch.randn(1, 4, 8, 8), model.process.at((0.4,))
    framings = [Framing.whole((SIDE, SIDE))]
    with torch.no_grad():
        before = model.predict(noisy, times, texts, framings)
        bank.set_strengths("transformer", [[1.0]])
        found = model.predict(noisy, times, texts, framings)
        model.denoiser = plain
        wanted = model.predict(noisy, times, texts, framings)
    assert torch.allclose(found, wanted, atol=1e-4)
    assert not torch.allclose(found, before, atol=1e-2)


@pytest.mark.parametrize(
    ("name", "path", "original"),
    [
        ("flux", "time_text_embed.guidance_embedder.linear_2", "guidance_in.out_layer"),
        ("flux", "single_transformer_blocks.0.proj_out", "single_blocks.0.linear2"),
        ("sd35", "proj_out", "final_layer.linear"),
        ("zimage", "layers.0.attention.to_out.0", "layers.0.attention.out"),
    ],
)
def test_every_spelling_of_a_module_leads_to_it(folder: Path, name: str, path: str, original: str) -> None:
    table = load_base(folder / name, device=CPU).table
    spellings = [f"lora_unet_{original.replace('.', '_')}", f"diffusion_model.{original}", f"transformer.{path}"]
    assert {table[spelling].path for spelling in spellings} == {path}


@pytest.mark.parametrize("name", ["sd35", "zimage"])
def test_a_transformer_in_one_file_is_joined_by_the_folder_beside_it(folder: Path, tmp_path: Path, name: str) -> None:
    """diffusers' own reading of the original names is the truth: of the fused layers and of swapped halves."""
    (tmp_path / "beside").symlink_to(folder / name)
    file = save_transformer(folder / name, tmp_path / "tuned.safetensors")
    tuned = load_model(file, CPU, torch.float32, mixed=True)
    assert tuned.identity.name == "tuned"
    before, found = (model.denoiser.state_dict() for model in (opened(folder / name), tuned))
    assert before.keys() == found.keys()
    assert all(torch.equal(before[key], found[key]) for key in before)
    drawn = [pixels(model.draw(request(file))) for model in (opened(folder / name), tuned)]
    assert np.abs(drawn[0] - drawn[1]).max() <= 1
    assert tuned.encoder_sources("image")[0].path == tmp_path / "beside" / "vae"


def test_a_single_file_without_its_tokenizer_says_what_to_give(tmp_path: Path) -> None:
    from tests.support.model_files import write_model

    names = ("double_blocks.0.img_attn.qkv.weight", "single_blocks.0.linear1.weight")
    file = write_model(tmp_path / "flux1-dev.safetensors", dict.fromkeys(names, ("F16", (4, 4))))
    with pytest.raises(HubError, match="lacks the tokenizer") as raised:
        opened(file)
    assert "diffusers' format" in str(raised.value)
