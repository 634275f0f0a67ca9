"""Settings that contradict each other are found, and each says in one line what to do."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hubman.train.clashes import clashes, refuse_clashes
from hubman.train.families import FAMILIES
from hubman.train.loss.process import Prediction
from hubman.train.presets import preset
from hubman.train.recipe import Recipe
from hubman.train.recipe_fields import changed, fields
from registry.errors import UsageError

PLAIN = changed(Recipe(base="b", dataset="d", output="o"), {"loss.min_snr_gamma": 0.0})
PRODIGY = {"optimizer.name": "prodigy", "optimizer.unet_lr": 1.0}


@pytest.mark.parametrize(
    ("prediction", "changes", "field"),
    [
        ("epsilon", {"noise.zero_terminal_snr": True}, "noise.zero_terminal_snr"),
        ("flow", {"noise.zero_terminal_snr": True}, "noise.zero_terminal_snr"),
        ("v", {"noise.zero_terminal_snr": True, "loss.min_snr_gamma": 5.0}, "loss.min_snr_gamma"),
        ("flow", {"loss.min_snr_gamma": 5.0}, "loss.min_snr_gamma"),
        ("flow", {"loss.debiased": True}, "loss.debiased"),
        (None, {"loss.debiased": True, "loss.min_snr_gamma": 5.0}, "loss.debiased"),
        (None, {"noise.multires_iterations": 6, "noise.offset": 0.1}, "noise.multires_iterations"),
        ("epsilon", {"timesteps.shift": 3.0}, "timesteps.shift"),
        (None, {"optimizer.lora_plus": 16.0, "network.type": "lokr"}, "optimizer.lora_plus"),
        (None, {**PRODIGY, "optimizer.unet_lr": 1e-4}, "optimizer.unet_lr"),
        (None, {**PRODIGY, "optimizer.text_lr": 0.5}, "optimizer.text_lr"),
        (None, {**PRODIGY, "optimizer.text_lr": 1.0, "optimizer.text2_lr": 0.1}, "optimizer.text2_lr"),
        (None, {**PRODIGY, "optimizer.lora_plus": 4.0}, "optimizer.lora_plus"),
        (
            None,
            {"network.type": "dora", "network.dora_axis": "output", "network.rank_dropout": 0.1},
            "network.rank_dropout",
        ),
        (None, {"file.bake_rank": 8}, "file.bake_rank"),
        (None, {"prior.weight": 1.0}, "prior.caption"),
        (None, {"loss.masked": True}, "loss.masked"),
    ],
)
def test_a_clash_is_found_and_named(prediction: Prediction | None, changes: dict[str, Any], field: str) -> None:
    recipe = changed(PLAIN, changes)
    (found,) = clashes(recipe, prediction)
    assert found.fields[0] == field
    assert set(found.fields) <= set(fields())
    assert "\n" not in str(found)
    assert field in found.hint
    with pytest.raises(UsageError) as raised:
        refuse_clashes(recipe, prediction)
    assert found.what in str(raised.value)


@pytest.mark.parametrize(
    ("prediction", "changes"),
    [
        ("v", {"noise.zero_terminal_snr": True}),
        ("flow", {"timesteps.shift": 3.0}),
        (None, {"timesteps.shift": 3.0}),
        ("epsilon", {"loss.min_snr_gamma": 5.0}),
        (None, {**PRODIGY, "optimizer.text_lr": 1.0}),
        (None, {"optimizer.lora_plus": 16.0, "network.type": "dora"}),
        (None, {"prior.weight": 1.0, "prior.caption": "woman"}),
        (None, {"loss.masked": True, "images.masks": "alpha"}),
    ],
)
def test_what_goes_together_is_let_pass(prediction: Prediction | None, changes: dict[str, Any]) -> None:
    refuse_clashes(changed(PLAIN, changes), prediction)


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_no_preset_clashes_with_itself(family: str) -> None:
    for kind in ("style", "character", "concept"):
        recipe = preset(kind, family, 30)
        flow = recipe.timesteps.sampling == "logit_normal"
        assert clashes(recipe, "flow" if flow else "epsilon") == ()


def test_several_clashes_are_counted() -> None:
    recipe = changed(PLAIN, {"prior.weight": 1.0, "loss.masked": True, "loss.min_snr_gamma": 5.0})
    with pytest.raises(UsageError, match=r"and 2 more"):
        refuse_clashes(recipe, "flow")


def base_folder(folder: Path, scheduler: dict[str, Any]) -> str:
    """What tells a base's family and prediction: no weights."""
    for name, content in {
        "model_index.json": {"_class_name": "StableDiffusionPipeline"},
        "unet/config.json": {"cross_attention_dim": 768, "in_channels": 4},
        "scheduler/scheduler_config.json": scheduler,
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps(content))
    return str(folder)


def test_the_base_itself_says_what_it_predicts(tmp_path: Path) -> None:
    base = base_folder(tmp_path, {"prediction_type": "epsilon"})
    recipe = changed(PLAIN, {"base": base, "noise.zero_terminal_snr": True})
    assert [clash.fields for clash in clashes(recipe)] == [("noise.zero_terminal_snr",)]
    assert clashes(recipe, "v") == ()
    assert clashes(changed(recipe, {"base": "nowhere"})) == ()


def test_a_base_that_ends_in_noise_is_trained_without_min_snr(tmp_path: Path) -> None:
    ended = base_folder(tmp_path / "a", {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True})
    plain = base_folder(tmp_path / "b", {"prediction_type": "v_prediction"})
    gammas = [preset("style", "sd15", 30, base=base).loss.min_snr_gamma for base in (ended, plain)]
    assert gammas == [0.0, 5.0]


def test_clashes_are_found_without_torch() -> None:
    code = "import sys, hubman.train.clashes; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=False).returncode == 0
