"""A run in the library: its epochs as one group, and what two runs differ in."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
import torch
from click.testing import CliRunner, Result

from hubman.civitai import contract
from hubman.cli.main import cli, run
from hubman.train import history
from hubman.train.loop import train
from hubman.train.output.register import register
from hubman.train.output.result import TrainResult
from hubman.train.recipe import Recipe
from registry import library
from registry.database import Registry
from tests.support.training import short_recipe, with_fields

STARTED = "2026-01-01T00:00:00.000Z"


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> list[TrainResult]:
    """Two runs over the same images, at two rates."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("runs")
    first: Recipe = short_recipe(
        folder / "set",
        length__epochs=2,
        watch__validation_images=2,
        watch__samples=1,
        watch__sample_steps=1,
        trigger="zvk",
    )
    second = with_fields(first, optimizer__unet_lr=1e-4, output="other")
    return [train(each, folder / each.output, cache=folder / "cache") for each in (first, second)]


def test_the_epochs_of_a_run_are_versions_of_one_model(registry: Registry, results: list[TrainResult]) -> None:
    version = register(registry, results[0], started_at=STARTED)
    assert register(registry, results[0], started_at=STARTED) == version
    assert library.count(registry) == 1
    model = library.show(registry, library.resolve(registry, "short")[0])
    assert [each.name for each in model.versions] == ["v1.0", "epoch 1"]
    assert model.versions[0].id == version
    assert all(each.trigger_words == ("zvk",) for each in model.versions)
    found = history.run_of(registry, model.versions[1].id)
    assert found.id == version
    assert [(each.epoch, each.step) for each in found.epochs] == [(1, 2), (2, 4)]
    assert [each.version_id for each in found.epochs] == [model.versions[1].id, version]
    assert [each.validation for each in found.epochs] == list(results[0].validation[1:])
    assert all(len(each.samples) == 1 for each in found.epochs)
    assert results[0].best is not None
    assert (found.best, found.reason) == (results[0].best.epoch, results[0].best.reason)
    assert found.versions["torch"] == torch.__version__


@pytest.mark.parametrize(
    ("family", "version", "base"),
    [
        ("tiny", "sd_v1", "Other"),
        ("sd15", "sd_v1", "SD 1.5"),
        ("sd2", "sd_v2_v", "SD 2.1 768"),
        ("pony", "sdxl_base_v1-0", "Pony"),
        ("illustrious", "sdxl_base_v1-0", "Illustrious"),
        ("noobai", "sdxl_base_v1-0", "NoobAI"),
        ("sd35", "5-large", "SD 3.5 Large"),
        ("zimage", "zimage", "ZImageBase"),
        ("zimage_turbo", "zimage", "ZImageTurbo"),
        ("sdxl", "sdxl_base_v1-0", None),
        ("flux", "flux1", None),
    ],
)
def test_a_model_is_of_the_base_that_it_was_trained_on(
    registry: Registry, results: list[TrainResult], family: str, version: str, base: str | None
) -> None:
    """None: members of the family have the same tensors, so only the header tells, and a guess stays a guess."""
    recipe = with_fields(results[1].recipe, family=family)
    result = msgspec.structs.replace(results[1], recipe=recipe, base_model_version=version)
    kept = library.version(registry, register(registry, result, started_at=STARTED))
    if base is None:
        assert kept.sources["base_model"] != "training"
    else:
        assert (kept.base_model, kept.sources["base_model"]) == (base, "training")
        assert base in contract.base_models()


def test_two_runs_differ_in_what_was_changed_and_what_came_of_it(
    registry: Registry, results: list[TrainResult]
) -> None:
    for result in results:
        register(registry, result, started_at=STARTED)
    assert {each.name for each in history.runs(registry)} == {"short", "other"}
    found = history.differences(history.run_of(registry, "short"), history.run_of(registry, "other"))
    fields = {each.field: (each.first, each.second) for each in found}
    assert fields["optimizer.unet_lr"] == (7e-3, 1e-4)
    assert {"output", "run.final_loss", "run.validation"} < fields.keys()
    assert not [field for field in fields if field.startswith(("network", "versions", "run.images", "run.dataset"))]
    assert history.differences(history.run_of(registry, "short"), history.run_of(registry, "short")) == []


def test_the_commands_tell_the_same(home: Path, results: list[TrainResult]) -> None:
    with Registry(home) as registry:
        for result in results:
            register(registry, result, started_at=STARTED)

    def said(*words: str) -> Result:
        return CliRunner().invoke(cli, ["runs", *words])

    assert {each["name"] for each in json.loads(said("ls", "--json").stdout)} == {"short", "other"}
    assert "short" in said().stdout
    assert json.loads(said("short", "--json").stdout)["name"] == "short"
    assert "proposed: epoch" in said("short").stdout
    assert "optimizer.unet_lr" in said("diff", "short", "other").stdout
    assert "no difference" in said("diff", "short", "short").stdout
    assert run(["runs", "none"]) == 1
