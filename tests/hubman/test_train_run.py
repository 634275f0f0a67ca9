"""What happens around the steps of a run: pausing, what is followed, what it tells, and training in company."""

from __future__ import annotations

import math
import os
import socket
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from hubman.progress import Progress
from hubman.train.loop import train
from hubman.train.metrics import read_metrics
from hubman.train.output.best import best_epoch
from hubman.train.recipe import Recipe
from hubman.train.reporting import SMOOTH, smoothed
from registry.errors import CancelledError, UsageError
from registry.headers import read_header
from tests.support.training import short_recipe, with_fields


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return tmp_path_factory.mktemp("short")


@pytest.fixture(scope="module")
def recipe(folder: Path) -> Recipe:
    return short_recipe(folder / "set")


@pytest.fixture(scope="module")
def plain(recipe: Recipe, folder: Path) -> dict[str, torch.Tensor]:
    """The weights of a run that nothing disturbs."""
    weights: dict[str, torch.Tensor] = load_file(train(recipe, folder / "plain", cache=folder / "cache").path)
    return weights


def same(weights: dict[str, torch.Tensor], path: Path) -> bool:
    other = load_file(path)
    return weights.keys() == other.keys() and all(torch.equal(weights[name], other[name]) for name in weights)


def test_a_pause_keeps_what_is_loaded_and_changes_nothing(
    recipe: Recipe, plain: dict[str, torch.Tensor], folder: Path, tmp_path: Path
) -> None:
    pause = tmp_path / "pause"
    pause.touch()
    stages: list[str] = []

    def report(event: Progress) -> None:
        stages.append(event.stage)
        if event.stage == "paused":
            pause.unlink()

    result = train(recipe, tmp_path / "run", report, should_pause=pause.exists, cache=folder / "cache")
    assert same(plain, result.path)
    assert stages.count("paused") == stages.count("load base") == 1
    assert stages.index("paused") < stages.index("train")


def test_a_paused_run_can_be_stopped_and_goes_on_later(
    recipe: Recipe, plain: dict[str, torch.Tensor], folder: Path, tmp_path: Path
) -> None:
    paused: list[Progress] = []

    def report(event: Progress) -> None:
        paused.extend([event] if event.stage == "paused" else [])

    with pytest.raises(CancelledError, match="after 1 of 4"):
        train(
            recipe, tmp_path, report, should_stop=lambda: bool(paused), should_pause=lambda: True,
            cache=folder / "cache",
        )  # fmt: skip
    (so_far,) = (tmp_path / "stopped").iterdir()
    assert so_far.name == "short-step00000001.safetensors"
    assert load_file(so_far).keys() == plain.keys()
    assert same(plain, train(recipe, tmp_path, resume=True, cache=folder / "cache").path)


def test_a_run_goes_on_without_the_file_that_it_began_from(
    recipe: Recipe, plain: dict[str, torch.Tensor], folder: Path, tmp_path: Path
) -> None:
    save_file(plain, first := tmp_path / "first.safetensors")
    further = with_fields(recipe, network__start_from=str(first), length__steps=2, watch__save_every=1)
    whole = load_file(train(further, tmp_path, cache=folder / "cache").path)
    (tmp_path / "checkpoints" / "step-00000002.safetensors").unlink()
    first.unlink()
    assert same(whole, train(further, tmp_path, cache=folder / "cache", resume=True).path)


@pytest.mark.parametrize("stage", ["encode images", "encode captions", "sample"])
def test_a_run_stops_between_two_items_before_its_first_step(recipe: Recipe, stage: str, tmp_path: Path) -> None:
    seen: list[Progress] = []

    def asked() -> bool:
        return sum(event.stage == stage for event in seen) == 1

    drawing = with_fields(recipe, watch__samples=2, watch__sample_steps=1)
    with pytest.raises(CancelledError, match="stopped"):
        train(drawing, tmp_path, seen.append, should_stop=asked)
    last = seen[-1]
    assert (last.stage, last.done) == (stage, 1)
    assert last.total > 1
    assert not (tmp_path / "checkpoints").exists()
    assert list((tmp_path / "cache").rglob("*.safetensors"))


def test_held_out_images_are_followed_and_not_trained(recipe: Recipe, folder: Path, tmp_path: Path) -> None:
    honest = with_fields(
        recipe,
        watch__held_out=True,
        watch__validation_images=2,
        length__epochs=2,
        machine__checkpointing="on",
    )
    result = train(honest, tmp_path / "honest", cache=folder / "cache")
    assert result.images == 4
    entries = read_header(result.path).metadata
    names = ("num_train_images", "num_validation_images", "validation_split", "gradient_checkpointing")
    assert [entries[f"ss_{name}"] for name in names] == ["8", "2", "0.3333", "True"]
    assert len(result.validation) == 3
    assert result.best is not None
    assert "look at the samples" not in result.best.reason
    with pytest.raises(UsageError, match="holding out 4 of 6"):
        train(with_fields(honest, watch__validation_images=4), tmp_path / "few", cache=folder / "cache")


def test_a_line_of_the_metrics_and_the_progress_tell_everything(recipe: Recipe, folder: Path, tmp_path: Path) -> None:
    events: list[Progress] = []
    changed = with_fields(recipe, optimizer__text_lr=1e-4, watch__validation_images=1)
    result = train(changed, tmp_path, events.append, cache=folder / "cache")
    lines = [line for line in read_metrics(result.metrics_path) if "loss" in line]
    smooth = None
    for step, line in enumerate(lines):
        smooth = smoothed(smooth, line["loss"], step)
        assert line["smooth"] == pytest.approx(smooth, abs=1e-6)
        assert len(line["rates"]) == 2
        assert line["lr"] == max(line["rates"].values())
    assert result.delta_norms.keys() == {"unet", "text_encoder"}
    assert math.hypot(*result.delta_norms.values()) == pytest.approx(result.delta_norm)
    (told,) = [event.message for event in events if event.stage == "check"]
    sizes = ", ".join(f"{component} {norm:.4g}" for component, norm in result.delta_norms.items())
    assert told == f"read back: {result.modules} modules, size of the change: {sizes}"
    last = [event for event in events if event.stage == "train"][-1]
    assert last.data["eta"] == 0
    assert last.data["speed"] > 0
    assert 100 << 20 < last.data["memory"] <= last.data["memory_peak"]
    forecasts = [event for event in events if event.stage == "forecast"]
    assert [event.data["corrected"] for event in forecasts] == [False, True]
    assert forecasts[1].data["memory"] == pytest.approx(last.data["memory_peak"], rel=0.05)
    assert result.forecast is not None
    assert result.forecast.corrected
    assert result.versions["torch"] == torch.__version__


def test_the_smoothed_loss_is_the_plain_mean_at_first() -> None:
    value = None
    for step, loss in enumerate([1.0, 2.0, 6.0]):
        value = smoothed(value, loss, step)
    assert value == pytest.approx(3.0)
    assert smoothed(1.0, 2.0, 10_000) == pytest.approx(SMOOTH + 2 * (1 - SMOOTH))


def test_a_proposal_from_trained_images_says_so() -> None:
    honest, trained = (best_epoch([(0, 0.2), (1, 0.1)], held_out=held_out) for held_out in (True, False))
    assert honest is not None
    assert trained is not None
    assert trained.reason.startswith(honest.reason)
    assert "look at the samples too" in trained.reason


def _member(rank: int, port: int, recipe: Recipe, run: Path, cache: Path) -> None:
    os.environ |= {
        "WORLD_SIZE": "2", "RANK": str(rank), "LOCAL_RANK": str(rank), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
    }  # fmt: skip
    torch.set_num_threads(1)
    train(recipe, run, cache=cache)


def test_two_processes_train_as_one_does_with_twice_the_batch(recipe: Recipe, folder: Path, tmp_path: Path) -> None:
    small: dict[str, Any] = {"length__batch": 2, "length__steps": 3, "file__dtype": "fp32"}
    alone = train(with_fields(recipe, **small, length__accumulate=2), tmp_path / "alone", cache=folder / "cache")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # The learning is the recipe's, but each takes half of the batches of a step.
    shared = with_fields(recipe, **small)
    context = get_context("fork")
    arguments = (port, shared, tmp_path / "team", folder / "cache")
    members = [context.Process(target=_member, args=(rank, *arguments)) for rank in range(2)]
    for member in members:
        member.start()
    for member in members:
        member.join()
    assert [member.exitcode for member in members] == [0, 0]
    one, other = load_file(alone.path), load_file(tmp_path / "team" / "short.safetensors")
    assert one.keys() == other.keys()
    assert all(torch.allclose(one[name], other[name], atol=1e-5) for name in one)
    assert alone.forecast is not None
    assert alone.forecast.effective_batch == 4
