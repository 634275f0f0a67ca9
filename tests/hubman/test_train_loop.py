"""Whole trainings on a tiny real pipeline: what they leave, how they stop, and how a killed one goes on."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image, ImageChops
from safetensors.torch import load_file

from hubman.lora.keys import Site, alias_table
from hubman.lora.load import load_lora
from hubman.progress import Progress
from hubman.tinybase.drawing import draw, random_scene
from hubman.tinybase.styles import STYLES
from hubman.train.learning.rates import rate_at
from hubman.train.loop import train
from hubman.train.metrics import read_metrics
from hubman.train.output.result import TrainResult
from hubman.train.presets import preset
from hubman.train.recipe import Recipe, write_recipe
from hubman.train.recipe_fields import changed
from hubman.train.run import read_result, run_training
from registry.errors import CancelledError, HubError, UsageError
from registry.headers import read_header
from tests.support.tiny_pipeline import make_tiny_pipeline

ROOT = Path(__file__).parents[2]
STEPS = 12


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    """Twelve steps on six hatched scenes, with everything in it that draws at random."""
    folder = tmp_path_factory.mktemp("training")
    (folder / "data").mkdir()
    rng = random.Random(0)
    for i in range(6):
        scene = random_scene(rng)
        draw(scene, rng, STYLES["hatching"]).save(folder / "data" / f"{i}.png")
        (folder / "data" / f"{i}.txt").write_text(f"{scene.caption}, hatched, drawing")
    base = make_tiny_pipeline(folder / "base")
    changes: dict[str, Any] = {
        "trigger": "zvk",
        "length.steps": STEPS,
        "length.epochs": 2,
        "length.batch": 2,
        "network.rank": 4,
        "network.alpha": 4.0,
    }
    changes |= {
        "captions.dropout": 0.2,
        "captions.shuffle": True,
        "noise.offset": 0.03,
        "watch.save_every": 5,
        "watch.validation_images": 2,
        "watch.sample_steps": 2,
    }
    start = preset("style", "tiny", 6, base=str(base), dataset=str(folder / "data"), output="hatch")
    return changed(start, changes)


@pytest.fixture(scope="module")
def finished(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainResult, Path, list[Progress]]:
    run_dir = tmp_path_factory.mktemp("run")
    write_recipe(run_dir / "in.toml", recipe)
    events: list[Progress] = []
    return run_training(run_dir / "in.toml", run_dir, report=events.append), run_dir, events


def weights(path: Path) -> dict[str, torch.Tensor]:
    tensors: dict[str, torch.Tensor] = load_file(path)
    return tensors


def same(one: Path, other: Path) -> bool:
    a, b = weights(one), weights(other)
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def stopped_after(steps: int, recipe: Recipe, folder: Path) -> None:
    begun = 0

    def pause() -> bool:
        """Asked before each step."""
        nonlocal begun
        begun += 1
        return False

    train(recipe, folder, should_pause=pause, should_stop=lambda: begun == steps)


def test_a_training_leaves_all_that_its_result_names(finished: tuple[TrainResult, Path, list[Progress]]) -> None:
    result, run_dir, _ = finished
    assert result.path == run_dir / "hatch.safetensors"
    assert result.modules == 48 + 31  # the attention part; convolutions and time projections
    assert result.delta_norm > 0
    assert result.delta_norms == {"unet": pytest.approx(result.delta_norm)}
    assert not result.warnings
    assert [file.step for file in result.epoch_files] == [6]
    assert [(sample.epoch, sample.path.name) for sample in result.samples] == [
        (epoch, f"epoch-{epoch:02}-{i}.png") for epoch in range(3) for i in range(2)
    ]
    assert all(Image.open(sample.path).size == (64, 64) for sample in result.samples)
    assert len(result.validation) == 3
    assert len({round(loss, 9) for loss in result.validation}) == 3
    assert read_result(run_dir) == result
    lines = read_metrics(result.metrics_path)
    assert [line["step"] for line in lines if "loss" in line] == list(range(1, STEPS + 1))
    tail = [line["loss"] for line in lines if "loss" in line][-1]
    assert result.final_loss == pytest.approx(tail)


def test_progress_counts_the_steps_and_says_how_long(finished: tuple[TrainResult, Path, list[Progress]]) -> None:
    events = [event for event in finished[2] if event.stage == "train"]
    assert [event.done for event in events] == sorted(event.done for event in events)
    assert events[-1].done == events[-1].total == STEPS
    assert {"step", "loss", "lr", "eta"} <= events[-1].data.keys()
    assert sum(len(event.data["losses"]) for event in events) == STEPS
    assert {"read images", "load base", "encode images", "sample", "validate"} <= {event.stage for event in finished[2]}


def test_the_lora_fits_its_base_by_the_generation_panes_names(
    recipe: Recipe, finished: tuple[TrainResult, Path, list[Progress]]
) -> None:
    from diffusers import UNet2DConditionModel

    unet = UNet2DConditionModel.from_pretrained(f"{recipe.base}/unet")
    layers = (torch.nn.Linear, torch.nn.Conv2d)
    sites = [Site("unet", path, tuple(m.weight.shape)) for path, m in unet.named_modules() if isinstance(m, layers)]
    loaded = load_lora(finished[0].path, alias_table(sites), base="tiny")
    assert loaded.coverage.complete
    assert len(loaded.factors) == finished[0].modules


def test_the_samples_change_with_the_training(finished: tuple[TrainResult, Path, list[Progress]]) -> None:
    first, last = (Image.open(finished[0].samples[i].path) for i in (0, 4))
    assert ImageChops.difference(first, last).getbbox() is not None


def test_the_same_recipe_gives_the_same_weights(
    recipe: Recipe, finished: tuple[TrainResult, Path, list[Progress]], tmp_path: Path
) -> None:
    assert same(train(recipe, tmp_path).path, finished[0].path)
    other = changed(recipe, {"seed": 1})
    assert not same(train(other, tmp_path / "other").path, finished[0].path)


def test_it_computes_with_the_threads_of_its_recipe_and_gives_them_back(recipe: Recipe, tmp_path: Path) -> None:
    seen = set()

    def see(progress: Progress) -> None:
        if progress.stage == "train":
            seen.add(torch.get_num_threads())

    torch.set_num_threads(2)
    short = changed(recipe, {"machine.threads": 1, "length.steps": 2, "length.epochs": 1, "watch.samples": 0})
    try:
        train(short, tmp_path, see)
        assert seen == {1}
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)


def test_a_stopped_training_keeps_a_checkpoint_and_goes_on(
    recipe: Recipe, finished: tuple[TrainResult, Path, list[Progress]], tmp_path: Path
) -> None:
    with pytest.raises(CancelledError, match="after 4 of 12"):
        stopped_after(4, recipe, tmp_path)
    newest = max((tmp_path / "checkpoints").iterdir())
    shutil.copy(newest, tmp_path / "checkpoints" / "step-00000099.safetensors")
    (tmp_path / "checkpoints" / "step-00000099.safetensors").write_bytes(newest.read_bytes()[:500])
    with (tmp_path / "metrics.jsonl").open("ab") as metrics:
        metrics.write(b'{"step": 9, "lo')
    result = train(recipe, tmp_path, resume=True)
    assert same(result.path, finished[0].path)
    assert result.validation == pytest.approx(finished[0].validation)
    steps = [line["step"] for line in read_metrics(result.metrics_path) if "loss" in line]
    assert steps == list(range(1, STEPS + 1))


@pytest.mark.parametrize("what", ["recipe", "dataset", "base model"])
def test_a_changed_training_is_not_resumed(recipe: Recipe, tmp_path: Path, what: str) -> None:
    with pytest.raises(CancelledError):
        stopped_after(2, recipe, tmp_path)
    other = recipe
    match what:
        case "recipe":
            other = changed(recipe, {"optimizer.unet_lr": 1e-5})
        case "dataset":
            shutil.copytree(recipe.dataset, tmp_path / "data")
            (tmp_path / "data" / "0.txt").write_text("another caption")
            other = changed(recipe, {"dataset": str(tmp_path / "data")})
        case _:
            other = changed(recipe, {"base": str(make_tiny_pipeline(tmp_path / "base", seed=5))})
    with pytest.raises(HubError, match=f"the {what} changed"):
        train(other, tmp_path, resume=True)


def test_a_text_encoder_and_convolutions_are_trained_when_asked(recipe: Recipe, tmp_path: Path) -> None:
    whole = changed(
        recipe,
        {
            "optimizer.text_lr": 1e-3,
            "network.conv_rank": 2,
            "network.conv_alpha": 1.0,
            "length.steps": 2,
            "length.epochs": 1,
            "images.flip": True,
        },
    )
    result = train(whole, tmp_path)
    tensors = weights(result.path)
    # An image that is also mirrored is one image.
    (counted,) = json.loads(read_header(result.path).metadata["ss_dataset_dirs"]).values()
    assert counted["img_count"] == 6
    assert float(tensors["lora_te_text_model_encoder_layers_0_mlp_fc1.lora_up.weight"].abs().max()) > 0
    assert float(tensors["lora_unet_mid_block_resnets_0_conv1.lora_up.weight"].abs().max()) > 0


def test_a_part_at_a_rate_of_0_is_left_as_it_is(recipe: Recipe, tmp_path: Path) -> None:
    short = {"length.steps": 1, "length.epochs": 1, "watch.validation_images": 0, "watch.samples": 0}
    rates = {"optimizer.unet_lr": 0.0, "optimizer.text_lr": 1e-3}
    result = train(changed(recipe, {**rates, **short}), tmp_path / "text")
    assert result.delta_norm > 0
    assert {name.split("_")[1] for name in weights(result.path)} == {"te"}
    with pytest.raises(UsageError, match="nothing is trained"):
        train(changed(recipe, {"optimizer.unet_lr": 0.0, **short}), tmp_path / "none")


def test_half_precision_trains(recipe: Recipe, tmp_path: Path) -> None:
    half = changed(recipe, {"machine.dtype": "bf16", "length.steps": 2, "length.epochs": 1})
    assert train(half, tmp_path).delta_norm > 0


def test_a_lora_that_learned_nothing_is_told(recipe: Recipe, tmp_path: Path) -> None:
    still = changed(
        recipe, {"optimizer.unet_lr": 1e-30, "length.steps": 1, "length.epochs": 1, "watch.validation_images": 0}
    )
    result = train(still, tmp_path)
    assert result.delta_norm == 0
    assert "changes nothing" in result.warnings[0]
    assert result.validation == ()


def test_an_exploding_loss_stops_with_the_step_and_spoils_no_checkpoint(recipe: Recipe, tmp_path: Path) -> None:
    wild = changed(
        recipe,
        {
            "optimizer.unet_lr": 10.0,
            "network.alpha": 60000.0,
            "optimizer.max_grad_norm": 0.0,
            "schedule.warmup": 0.0,
            "watch.validation_images": 0,
        },
    )
    with pytest.raises(HubError, match="not finite"):
        train(changed(wild, {"length.steps": 200, "length.epochs": 1, "watch.save_every": 1}), tmp_path)
    for checkpoint in (tmp_path / "checkpoints").iterdir():
        assert all(bool(torch.isfinite(tensor).all()) for tensor in load_file(checkpoint).values())


def test_prodigy_logs_its_step_size_and_says_that_it_is_stuck(recipe: Recipe, tmp_path: Path) -> None:
    changes = {"optimizer.name": "prodigy", "optimizer.unet_lr": 1.0, "optimizer.args": {"d_coef": 1e-12}}
    short = {"length.steps": 20, "length.epochs": 1, "length.batch": 1, "watch.validation_images": 0}
    result = train(changed(recipe, {**changes, **short, "watch.sample_steps": 1}), tmp_path)
    assert [line["d"] for line in read_metrics(result.metrics_path)] == pytest.approx([1e-6] * 20)
    assert any("prodigy finds no rate" in warning for warning in result.warnings)


def test_settings_that_clash_are_refused_before_the_first_step(recipe: Recipe, tmp_path: Path) -> None:
    ended = changed(recipe, {"noise.zero_terminal_snr": True, "loss.min_snr_gamma": 0.0})
    with pytest.raises(UsageError, match="v-prediction"):
        train(ended, tmp_path)
    with pytest.raises(UsageError, match="prior preservation"):
        train(changed(recipe, {"prior.weight": 1.0, "base": "nowhere"}), tmp_path)


def test_a_dataset_with_errors_is_refused_unless_forced(recipe: Recipe, tmp_path: Path) -> None:
    shutil.copytree(recipe.dataset, tmp_path / "data")
    (tmp_path / "data" / "broken.png").write_bytes(b"not a picture")
    shutil.copy(tmp_path / "data" / "0.png", tmp_path / "data" / "copy.png")
    short = changed(recipe, {"dataset": str(tmp_path / "data"), "length.steps": 1, "length.epochs": 1})
    write_recipe(tmp_path / "in.toml", short)
    with pytest.raises(UsageError, match=r"broken\.png"):
        run_training(tmp_path / "in.toml", tmp_path / "run")
    result = run_training(tmp_path / "in.toml", tmp_path / "run", force=True)
    assert result.images == 6
    header = (tmp_path / "run" / "hatch.safetensors").read_bytes()
    assert b"broken.png" not in header


@pytest.mark.parametrize(
    ("schedule", "start", "middle", "end"),
    [("constant", 0.1, 1.0, 1.0), ("linear", 0.1, 0.5, 0.0), ("cosine", 0.1, 0.5, 0.0)],
)
def test_the_rate_warms_up_and_follows_its_schedule(schedule: Any, start: float, middle: float, end: float) -> None:
    course = {"length.steps": 110, "schedule.warmup": 10 / 110, "schedule.shape": schedule}
    recipe = changed(Recipe(base="b", dataset="d", output="o"), course)
    rate: Callable[[int], float] = lambda step: rate_at(step, recipe)  # noqa: E731  shorter than a function
    assert rate(0) == pytest.approx(start)
    assert rate(9) == rate(10) == 1.0
    assert rate(60) == pytest.approx(middle)
    assert rate(109) == pytest.approx(end, abs=0.02)


def test_the_trained_header_counts_what_was_seen(finished: tuple[TrainResult, Path, list[Progress]]) -> None:
    from safetensors import safe_open

    with safe_open(finished[0].path, framework="pt") as file:
        entries = file.metadata()
    assert entries["ss_steps"] == entries["ss_max_train_steps"] == str(STEPS)
    (tags,) = json.loads(entries["ss_tag_frequency"]).values()
    assert tags["zvk"] == tags["hatched"] == 6
    assert json.loads(entries["hubman.recipe"])["trigger"] == "zvk"
    assert entries["hubman.dataset_fingerprint"] == finished[0].dataset_fingerprint


def test_a_finished_training_that_is_resumed_is_the_same_file(
    finished: tuple[TrainResult, Path, list[Progress]],
) -> None:
    result, run_dir, _ = finished
    assert run_training(run_dir / "in.toml", run_dir, resume=True) == result
