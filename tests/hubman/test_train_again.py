"""A training once more from the file that it left, and what one is going to take before it starts."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from hubman import tinybase
from hubman.cli.main import cli, run
from hubman.jobs import store
from hubman.train.again import differences_of_versions, recipe_of
from hubman.train.architectures.model import Model
from hubman.train.capacity.base_size import BaseSize, base_size
from hubman.train.data.dataset import read_dataset
from hubman.train.loop import train
from hubman.train.output.register import register
from hubman.train.output.result import TrainResult
from hubman.train.recipe import Recipe, read_recipe, write_recipe
from hubman.train.recipe_fields import changed
from hubman.train.settings.network import NetworkSettings
from hubman.train.training import Training
from registry.database import Registry
from registry.errors import NotFoundError, UsageError
from tests.support.jobs import fake_job
from tests.support.training import short_recipe, with_fields


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    torch.set_num_threads(1)
    return short_recipe(
        tmp_path_factory.mktemp("short"), length__steps=2, network__conv_rank=2, network__conv_alpha=1.0
    )


@pytest.fixture(scope="module")
def trained(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> TrainResult:
    return train(recipe, tmp_path_factory.mktemp("run"))


def test_the_recipe_in_a_file_makes_the_same_weights_again(
    registry: Registry, recipe: Recipe, trained: TrainResult, tmp_path: Path
) -> None:
    again = recipe_of(registry, trained.path, base=recipe.base, dataset=recipe.dataset)
    assert again == recipe
    one, other = load_file(trained.path), load_file(train(again, tmp_path).path)
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_training_of_this_machine_knows_its_base_and_its_images(
    registry: Registry, recipe: Recipe, trained: TrainResult, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="not trained on this machine: say --base and --dataset"):
        recipe_of(registry, trained.path)
    write_recipe(tmp_path / "in.toml", recipe)
    request = {"recipe": str(tmp_path / "in.toml")}
    fake_job(registry, "train", "train", request, state="done", result={"sha256": trained.sha256})
    assert recipe_of(registry, trained.path) == recipe
    further = recipe_of(registry, trained.path, further=True)
    assert further.network.start_from == str(trained.path)
    assert further.learning_digest != recipe.learning_digest
    elsewhere = recipe_of(registry, trained.path, dataset="/other")
    assert (elsewhere.dataset, elsewhere.base) == ("/other", recipe.base)


@pytest.fixture(scope="module")
def begun(recipe: Recipe, trained: TrainResult, tmp_path_factory: pytest.TempPathFactory) -> TrainResult:
    """A training that went on from another one and kept its words back."""
    fields = {"network__start_from": str(trained.path), "captions__prefix": "inked", "file__privacy": "private"}
    return train(with_fields(recipe, **fields, length__epochs=2), tmp_path_factory.mktemp("begun"))


def test_what_a_file_keeps_back_is_asked_for(
    registry: Registry, recipe: Recipe, trained: TrainResult, begun: TrainResult
) -> None:
    ask = partial(recipe_of, registry, begun.path, base=recipe.base, dataset=recipe.dataset)
    with pytest.raises(UsageError, match=r"network\.start_from, captions\.prefix") as wanting:
        ask()
    assert "\n" not in str(wanting.value)
    given = ("network.start_from", "captions.prefix")
    said = {"network.start_from": str(trained.path), "captions.prefix": "inked"}
    assert changed(ask(given=given), said) == begun.recipe
    further = ask(given=("captions.prefix",), further=True)
    assert further.network.start_from == str(begun.path)


def test_every_file_of_a_run_here_repeats_all_of_it(registry: Registry, begun: TrainResult, tmp_path: Path) -> None:
    write_recipe(tmp_path / "in.toml", begun.recipe)
    version = register(registry, begun, started_at="")
    request = {"recipe": str(tmp_path / "in.toml")}
    job = fake_job(registry, "train", "train", request, state="done", result={"version_id": version})
    with registry.transaction() as db:
        db.executemany(
            "INSERT INTO jobs (id, kind, title, state, folder, request, created_at) "
            "VALUES (?, 'train', '', 'done', '/', '{}', '9')", [(f"later-{i}",) for i in range(200)],
        )  # fmt: skip
    files = sorted((registry.models_folder / "trained").glob("*.safetensors"))
    assert len(files) == 2
    shutil.copy(begun.epoch_files[0].path, stopped := Path(job.folder) / "stopped.safetensors")
    for file in (*files, stopped):
        assert recipe_of(registry, file) == begun.recipe
        given_both = recipe_of(registry, file, base=begun.recipe.base, dataset="/other")
        assert given_both == changed(begun.recipe, {"dataset": "/other"})


def test_a_file_without_a_recipe_is_told_so(registry: Registry, tmp_path: Path) -> None:
    save_file({"x": torch.zeros(1)}, tmp_path / "found.safetensors", {"ss_network_dim": "4"})
    with pytest.raises(NotFoundError, match="carries no recipe"):
        recipe_of(registry, tmp_path / "found.safetensors")
    with pytest.raises(NotFoundError, match="no file"):
        recipe_of(registry, tmp_path / "gone.safetensors")


def test_other_versions_are_named(trained: TrainResult, tmp_path: Path) -> None:
    assert differences_of_versions(trained.path) == {}
    assert trained.versions["torch"] == torch.__version__
    with safe_open(trained.path, framework="pt") as file:
        metadata = file.metadata()
    said = json.loads(metadata["hubman.versions"])
    metadata["hubman.versions"] = json.dumps({**said, "torch": "1.0", "lost": "2"})
    save_file(load_file(trained.path), tmp_path / "old.safetensors", metadata)
    assert differences_of_versions(tmp_path / "old.safetensors") == {
        "lost": ("2", "none"), "torch": ("1.0", torch.__version__),
    }  # fmt: skip


def test_headers_count_what_is_loaded(recipe: Recipe, tmp_path: Path) -> None:
    training = Training(
        recipe, read_dataset(Path(recipe.dataset)), tmp_path / "checkpoints", tmp_path / "cache", lambda _: None
    )
    loaded = sum(each.numel() for each in training.network.parameters())
    size = base_size(Path(recipe.base), recipe.network)
    frozen = sum(each.numel() for each in training.architecture.denoiser.parameters())
    assert size.parameters == frozen - loaded
    assert size.trained == pytest.approx(loaded, rel=0.1)
    assert isinstance(training.architecture, Model)
    readers = sum(each.numel() for clip in training.architecture.clips for each in clip.encoder.parameters())
    assert training.architecture.loaded("text") == size.reading == readers
    with pytest.raises(NotFoundError, match="no model that predicts"):
        base_size(tmp_path, recipe.network)


@pytest.mark.parametrize(
    "blocks",
    [
        ("double_blocks.0.img_attn.qkv", "single_blocks.0.linear1"),
        ("joint_blocks.0.x_block.attn.qkv", "joint_blocks.0.context_block.mlp.fc1"),
        ("layers.0.attention.qkv", "noise_refiner.0.feed_forward.w1"),
    ],
    ids=["flux", "sd35", "zimage"],
)
@pytest.mark.parametrize("prefix", ["", "model.diffusion_model."])
def test_blocks_are_counted_by_their_original_names(blocks: tuple[str, str], prefix: str, tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    names = (*blocks, "final_layer.linear")
    save_file({f"{prefix}{name}.weight": torch.zeros(12, 4) for name in names}, file)
    assert base_size(file, NetworkSettings(rank=2)) == BaseSize(3 * 48, 2 * 2 * (12 + 4))


def test_a_dry_run_starts_nothing(home: Path, recipe: Recipe, tmp_path: Path) -> None:
    write_recipe(tmp_path / "in.toml", recipe)
    done = CliRunner().invoke(cli, ["train", str(tmp_path / "in.toml"), "--dry-run", "--json"])
    said = json.loads(done.stdout)
    assert said["fits"]
    assert said["steps"] == 2
    assert said["total"] == sum(said["need"].values())
    with Registry(home) as registry:
        assert store.latest(registry) == []
    assert run(["train", str(tmp_path / "in.toml"), "--continue"]) == 2
    assert run(["train", "--from", str(tmp_path / "none.safetensors")]) == 1


def test_paths_on_the_command_line_are_from_here(
    home: Path, recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_recipe(tmp_path / "in.toml", recipe)
    monkeypatch.chdir(tmp_path)
    words = ["--set", "network.start_from=begun.safetensors", "--name", "other", "--base", "tiny"]
    assert run(["train", "in.toml", "--detach", *words]) == 0
    with Registry(home) as registry:
        (job,) = store.latest(registry)
        store.kill(job)
        found = read_recipe(Path(job.folder) / "recipe.toml")
    assert found.network.start_from == str(tmp_path / "begun.safetensors")
    assert (found.output, found.base) == ("other", str(tinybase.MODEL))


@pytest.mark.parametrize(
    ("words", "option"),
    [
        (["in.toml", "--preset", "concept"], "--preset"),
        (["--resume", "--steps", "9"], "--steps"),
        (["--resume", "in.toml"], "recipe"),
    ],
)
def test_what_would_not_count_is_refused(
    words: list[str], option: str, home: Path, recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_recipe(tmp_path / "in.toml", recipe)
    with Registry(home) as registry:
        fake_job(registry, "train", "train", {}, state="failed")
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(cli, ["train", *words])
    assert isinstance(done.exception, UsageError)
    assert done.exception.hint == f"leave {option} out"
