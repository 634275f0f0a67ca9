"""Axes are exact, grids are drawn once and resume, curves say what the pictures say."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from hubman.generate.curve import Curve, CurvePoint, suggest_strength, write_csv
from hubman.generate.grids.cells import draw_requests
from hubman.generate.guards import grid_guards, guards
from hubman.generate.measure import measure
from hubman.generate.metrics import burn, colour_distance, distance, load_pixels, ssim
from hubman.generate.request import DrawRequest, LoraUse
from hubman.generate.sweep import strength_sweep
from registry.errors import DamagedFileError, NotFoundError, UsageError
from tests.support.painter import Painter

INK = LoraUse(path="ink.safetensors", name="ink", sha256="a" * 64, trigger_words=("inkwash",))
NEON = LoraUse(path="neon.safetensors", name="neon", sha256="b" * 64)
REQUEST = DrawRequest(base="base", prompt="inkwash circle", loras=(INK, NEON))


def test_a_sweep_always_has_strength_zero_and_its_contrast_cells() -> None:
    sweep = strength_sweep(REQUEST, "ink", strengths=[0.8, 0.4], seeds=[1, 2], contrast="a square")
    assert sweep.strengths == (0.0, 0.4, 0.8)
    assert len({request.key() for request in sweep.requests()}) == 12
    assert sweep.grid().axes[0].values == ("0", "0.4", "0.8")
    with pytest.raises(UsageError, match="not in the prompt"):
        strength_sweep(REQUEST, "clay")
    with pytest.raises(UsageError, match="contrast"):
        strength_sweep(REQUEST, "ink", contrast=REQUEST.prompt)


def test_the_curve_follows_the_style_and_suggests_a_strength(tmp_path: Path) -> None:
    sweep = strength_sweep(REQUEST, "ink", strengths=[0.25, 0.5, 1.0], seeds=[1, 2, 3], contrast="a big square")
    list(draw_requests(sweep.requests(), tmp_path, Painter()))
    curve = measure(sweep, tmp_path, clip=lambda paths, _prompt: [0.2 + 0.01 * len(paths)] * len(paths))
    changes = [point.change for point in curve.points]
    assert changes[0] == 0
    assert changes == sorted(changes)
    assert changes[-1] > 0.1
    responses = [point.response for point in curve.points]
    assert responses[0] == 1
    assert all(point.clip == pytest.approx(0.23) for point in curve.points)
    assert suggest_strength(curve).strength in {0.25, 0.5, 1.0}
    write_csv(curve, tmp_path / "curve.csv")
    with (tmp_path / "curve.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["strength"] for row in rows] == ["0", "0.25", "0.5", "1"]
    assert rows[0]["burnt"] == "no"


def test_measuring_an_unfinished_sweep_says_so(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="not drawn"):
        measure(strength_sweep(REQUEST, "ink"), tmp_path)


def _curve(burns: list[float], responses: Sequence[float | None] = (), change: float = 0.2) -> Curve:
    answers = responses or [None] * len(burns)
    points = [
        CurvePoint(
            strength=i * 0.2, change=change if i else 0, change_spread=0, burn=value, burn_spread=0, response=answer
        )
        for i, (value, answer) in enumerate(zip(burns, answers, strict=True))
    ]
    return Curve(lora="ink", points=tuple(points), burn_floor=0.1, seeds=4)


def test_the_suggestion_is_the_largest_strength_that_is_not_burnt() -> None:
    suggestion = suggest_strength(_curve([0, 0.05, 0.1, 0.2, 0.4, 0.6]))
    assert suggestion.strength == pytest.approx(0.6)
    assert "burn from 0.8" in suggestion.reason


def test_the_suggestion_still_obeys_the_prompt() -> None:
    suggestion = suggest_strength(_curve([0] * 6, [1, 1, 0.95, 0.85, 0.7, 0.5]))
    assert suggestion.strength == pytest.approx(0.6)
    assert "followed less from 0.8" in suggestion.reason


def test_one_loud_point_without_a_rise_before_it_is_not_called_burnt() -> None:
    assert suggest_strength(_curve([0, 0.05, 0.04, 0.5, 0.1, 0.1])).strength == 1.0


def test_beyond_the_first_burnt_strength_nothing_is_suggested() -> None:
    assert suggest_strength(_curve([0, 0.1, 0.4, 0.6, 0.58, 0.55])).strength == pytest.approx(0.2)


def test_a_lora_that_changes_nothing_gets_no_suggestion() -> None:
    suggestion = suggest_strength(_curve([0] * 6, change=0))
    assert suggestion.strength is None
    assert "does nothing" in suggestion.reason


def _scene() -> Image.Image:
    y, x = np.mgrid[:96, :96]
    noise = np.random.default_rng(0).normal(0, 0.03, (96, 96, 3))
    wave = np.stack([0.5 + 0.2 * np.sin(x / 9), 0.45 + 0.15 * np.cos(y / 7), 0.4 + 0.1 * np.sin((x + y) / 11)], -1)
    return Image.fromarray(((wave + noise).clip(0, 1) * 255).astype(np.uint8))


def _measured(image: Image.Image, tmp_path: Path) -> float:
    image.save(tmp_path / "now.png")
    _scene().save(tmp_path / "before.png")
    return burn(load_pixels(tmp_path / "now.png"), load_pixels(tmp_path / "before.png"))


@pytest.mark.parametrize("damage", ["saturation", "contrast", "sharpness", "posterise"])
def test_burn_rises_with_every_step_of_damage(tmp_path: Path, damage: str) -> None:
    def damaged(step: int) -> Image.Image:
        scene = _scene()
        if damage == "saturation":
            return ImageEnhance.Color(scene).enhance(1 + step)
        if damage == "contrast":
            return ImageEnhance.Contrast(scene).enhance(1 + 0.7 * step)
        if damage == "sharpness":
            return ImageEnhance.Sharpness(scene).enhance(1 + 4 * step)
        return ImageOps.posterize(scene, 5 - step) if step else scene

    burns = [_measured(damaged(step), tmp_path) for step in range(4)]
    assert burns == sorted(burns)
    assert burns[0] == 0
    assert burns[-1] > 0.1


def test_blur_does_not_burn(tmp_path: Path) -> None:
    assert _measured(_scene().filter(ImageFilter.GaussianBlur(2)), tmp_path) < 0.1


def test_distances_are_zero_for_equal_and_grow_with_the_difference(tmp_path: Path) -> None:
    scene = np.asarray(_scene(), dtype=np.float64) / 255
    assert ssim(scene, scene) == pytest.approx(1)
    assert colour_distance(scene, scene) == 0
    steps = [distance(scene, scene + (1 - scene - scene) * share) for share in (0, 0.3, 0.6, 1)]
    assert steps == sorted(steps)
    assert 0 <= steps[0] < 1e-9
    (tmp_path / "x.png").write_bytes(b"")
    with pytest.raises(DamagedFileError):
        load_pixels(tmp_path / "x.png")


def _codes(**changes: object) -> set[str]:
    return {guard.code for guard in guards(msgspec.structs.replace(REQUEST, **changes))}


def _ink(**changes: object) -> LoraUse:
    return msgspec.structs.replace(INK, **changes)


def test_guards_warn_with_a_fix_that_silences_them() -> None:
    assert _codes(loras=(_ink(strength=0.8),)) == set()
    assert _codes(loras=(_ink(strength=0.95),)) == {"strength-high"}
    assert _codes(loras=(_ink(strength=-0.5),)) == {"strength-negative"}
    assert _codes(loras=(_ink(strength=0.8),), prompt="a circle") == {"trigger-missing"}
    four = tuple(_ink(strength=0.5, name=str(i), sha256=str(i) * 64) for i in range(4))
    assert _codes(loras=four) == {"many-loras"}
    assert _codes(loras=(_ink(strength=0.5), _ink(strength=0.4))) == {"twice"}
    assert _codes(loras=(_ink(strength=0.8, name="lcm"),)) == {"accelerated"}
    for guard in guards(msgspec.structs.replace(REQUEST, prompt="x", loras=(_ink(strength=1.5),))):
        assert guard.fixed is not None
        assert guard.code not in {other.code for other in guards(guard.fixed)}


def test_sliders_may_run_far_but_not_everywhere() -> None:
    assert _codes(loras=(_ink(strength=-9, slider=True),)) == set()
    assert _codes(loras=(_ink(strength=20, slider=True),)) == {"strength-slider"}


def test_large_grids_say_how_long_they_take() -> None:
    assert grid_guards(200) == ()
    assert "10 minutes" in grid_guards(300, seconds_each=2)[0].message
