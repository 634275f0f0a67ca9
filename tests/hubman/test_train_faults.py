"""What goes wrong around a training ends in one clear line, and the run goes on once it is mended."""

from __future__ import annotations

import random
import resource
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from hubman.jobs import runner, store
from hubman.train.loop import train
from hubman.train.recipe import Recipe, write_recipe
from hubman.train.recipe_data import read_data
from hubman.train.run import run_training
from registry.database import Registry
from registry.errors import HubError
from tests.support.training import short_recipe

KILLS = 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return tmp_path_factory.mktemp("faults")


@pytest.fixture(scope="module")
def recipe(folder: Path) -> Recipe:
    return short_recipe(
        folder / "set", length__steps=4, length__epochs=2, length__batch=2, watch__save_every=1, watch__samples=1,
        watch__sample_steps=1, watch__validation_images=1,
    )  # fmt: skip


@pytest.fixture(scope="module")
def weights(recipe: Recipe, folder: Path) -> dict[str, torch.Tensor]:
    """Those of a run that nothing disturbs."""
    found: dict[str, torch.Tensor] = load_file(train(recipe, folder / "whole", cache=folder / "cache").path)
    return found


def same(weights: dict[str, torch.Tensor], path: Path) -> bool:
    other = load_file(path)
    return weights.keys() == other.keys() and all(torch.equal(weights[name], other[name]) for name in weights)


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """No file grows beyond ``size`` bytes, as on a disk that is full: writing fails with an error of the system."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("size", [0, 30_000])
def test_a_full_disk_is_told_in_one_line_and_the_run_goes_on(
    recipe: Recipe, weights: dict[str, torch.Tensor], size: int, tmp_path: Path
) -> None:
    with largest_file(size), pytest.raises(HubError) as failed:
        train(recipe, tmp_path / "run", cache=tmp_path / "cache")
    assert "cannot write" in str(failed.value)
    assert "free space" in str(failed.value)
    assert "\n" not in str(failed.value)
    assert not list(tmp_path.rglob("*.tmp"))
    assert same(weights, train(recipe, tmp_path / "run", cache=tmp_path / "cache", resume=True).path)


def test_a_job_that_cannot_write_fails_with_that_line_and_is_resumed(
    registry: Registry, recipe: Recipe, weights: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    write_recipe(tmp_path / "in.toml", recipe)
    job = store.add(registry, "train", "train", {"recipe": str(tmp_path / "in.toml"), "force": True})
    samples = job.events_path.parent / "run" / "samples"
    samples.parent.mkdir()
    samples.write_text("a file is in the way")
    failed = runner.run(registry, job.id)
    assert failed.state == "failed"
    assert failed.error
    assert "samples" in failed.error
    samples.unlink()
    with registry.transaction() as db:
        db.execute("UPDATE jobs SET state = 'queued', error = NULL WHERE id = ?", (job.id,))
    done = runner.run(registry, job.id)
    assert done.state == "done", done.error
    assert same(weights, Path((done.result or {})["path"]))


def test_an_image_that_is_damaged_after_the_checks_is_named(
    recipe: Recipe, weights: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    dataset = read_data(recipe, tmp_path)
    image = Path(recipe.dataset) / "3.png"
    content = image.read_bytes()
    image.write_bytes(content[: len(content) // 2])
    try:
        with pytest.raises(HubError, match=r"3\.png"):
            train(recipe, tmp_path, dataset=dataset)
    finally:
        image.write_bytes(content)
    assert same(weights, train(recipe, tmp_path, resume=True).path)


def test_a_caption_that_is_no_text_is_named(recipe: Recipe, weights: dict[str, torch.Tensor], tmp_path: Path) -> None:
    write_recipe(tmp_path / "in.toml", recipe)
    caption = Path(recipe.dataset) / "2.txt"
    content = caption.read_bytes()
    caption.write_bytes(b"\xff\xfe\x00broken")
    try:
        with pytest.raises(HubError, match=r"2\.(txt|png)") as failed:
            run_training(tmp_path / "in.toml", tmp_path / "run")
        assert "\n" not in str(failed.value)
    finally:
        caption.write_bytes(content)
    assert same(weights, run_training(tmp_path / "in.toml", tmp_path / "run", resume=True, force=True).path)


def _work(recipe: Recipe, run: Path, cache: Path) -> None:
    torch.set_num_threads(1)
    train(recipe, run, cache=cache, resume=True)


def test_killed_at_random_instants_it_ends_with_the_very_same_weights(
    recipe: Recipe, weights: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    context, rng = get_context("fork"), random.Random()
    killed, latest = 0, 1.5
    while killed < KILLS:
        child = context.Process(target=_work, args=(recipe, tmp_path / "run", tmp_path / "cache"))
        child.start()
        child.join(rng.uniform(0, latest))
        child.kill()
        child.join()
        assert child.exitcode in {0, -signal.SIGKILL}
        if child.exitcode == 0:
            # It was done before: once more from the beginning, and sooner.
            shutil.rmtree(tmp_path / "run")
            latest /= 2
        killed += child.exitcode != 0
    result = train(recipe, tmp_path / "run", cache=tmp_path / "cache", resume=True)
    assert same(weights, result.path)
    assert len(result.validation) == 3
