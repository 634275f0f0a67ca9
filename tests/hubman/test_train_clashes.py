"""Settings that contradict each other are found, and each says in one line what to do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hubman.train.clashes import clashes, refuse_clashes
from hubman.train.families import FAMILIES
from hubman.train.presets import preset
from hubman.train.process import Prediction
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
        (None, {**PRODIGY, "optimizer.lora_plus": 4.0}, "optimizer.lora_plus"),
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


def test_clashes_are_found_without_torch() -> None:
    code = "import sys, hubman.train.clashes; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=False).returncode == 0
