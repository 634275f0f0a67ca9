"""What pictures say in numbers: burning and distances rise with what was done, and with nothing else."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from hubman.generate.metrics.burn import burn_features, burn_ratio
from hubman.generate.metrics.distance import (
    Distances,
    colour_distance,
    content_distance,
    distances,
    layout_distance,
    ssim,
)
from hubman.generate.metrics.effect import effect, obedience
from hubman.generate.metrics.pixels import LONGEST, Array, load_pixels
from hubman.generate.metrics.style import StyleWay, style_features
from hubman.generate.metrics.texture import texture, texture_distance
from registry.errors import DamagedFileError
from tests.support.patient import PATIENT

SIDE = 64
FEW = settings(PATIENT, max_examples=12)


def _scene(seed: int = 0) -> Image.Image:
    """Clouds of colour with fine grain and a shape in front: the statistics of photographs, different for each seed."""
    rng = np.random.default_rng(seed)
    fy, fx = np.fft.fftfreq(SIDE)[:, None], np.fft.fftfreq(SIDE)[None, :]
    falloff = 1 / np.maximum(np.hypot(fx, fy), 1 / SIDE) ** 1.5
    clouds = [np.fft.ifft2(np.fft.fft2(rng.normal(size=(SIDE, SIDE))) * falloff).real for _ in range(3)]
    picture = np.stack([0.47 + 0.07 * each / each.std() for each in clouds], axis=-1)
    y, x = np.mgrid[:SIDE, :SIDE]
    inside = (x - rng.uniform(20, 44)) ** 2 + (y - rng.uniform(20, 44)) ** 2 < rng.uniform(60, 250)
    picture[inside] += rng.uniform(-0.15, 0.15, 3)
    picture += rng.normal(0, 0.015, picture.shape)
    return Image.fromarray((picture.clip(0, 1) * 255).astype(np.uint8))


def _array(image: Image.Image) -> Array:
    return np.asarray(image, dtype=np.float64) / 255


def _damaged(scene: Image.Image, damage: str, step: int) -> Image.Image:
    if damage == "saturation":
        return ImageEnhance.Color(scene).enhance(1 + step)
    if damage == "contrast":
        return ImageEnhance.Contrast(scene).enhance(1 + 0.7 * step)
    if damage == "sharpness":
        return ImageEnhance.Sharpness(scene).enhance(1 + 4 * step)
    return ImageOps.posterize(scene, 5 - step) if step else scene


def _burn(picture: Image.Image, reference: Image.Image) -> float:
    return burn_ratio(burn_features(_array(picture)), burn_features(_array(reference)))


@pytest.mark.parametrize("damage", ["saturation", "contrast", "sharpness", "posterise"])
@FEW
@given(seed=st.integers(0, 10_000))
def test_burn_rises_with_every_step_of_damage(damage: str, seed: int) -> None:
    scene = _scene(seed)
    burns = [_burn(_damaged(scene, damage, step), scene) for step in range(4)]
    assert burns == sorted(burns)
    assert burns[0] == 0
    assert burns[-1] > 0.1


@FEW
@given(seed=st.integers(0, 10_000), radius=st.floats(0.5, 4))
def test_blur_does_not_burn(seed: int, radius: float) -> None:
    scene = _scene(seed)
    assert _burn(scene.filter(ImageFilter.GaussianBlur(radius)), scene) < 0.1


LADDERS: dict[str, Callable[[Image.Image, int], Image.Image]] = {
    "blur": lambda scene, step: scene.filter(ImageFilter.GaussianBlur(1.5 * step)),
    "fade to grey": lambda scene, step: ImageEnhance.Color(scene).enhance(1 - 0.3 * step),
    "darken": lambda scene, step: ImageEnhance.Brightness(scene).enhance(1 - 0.2 * step),
    "paint over": lambda scene, step: Image.blend(scene, scene.transpose(Image.Transpose.ROTATE_90), 0.3 * step),
}


@pytest.mark.parametrize("ladder", LADDERS)
@FEW
@given(seed=st.integers(0, 10_000))
def test_distances_rise_with_every_step_of_a_real_change(ladder: str, seed: int) -> None:
    scene = _scene(seed)
    steps = [distances(_array(scene), _array(LADDERS[ladder](scene, step))) for step in range(4)]
    overall = [each.overall for each in steps]
    assert all(low < high for low, high in pairwise(overall))
    assert steps[0] == Distances(structure=0, colour=0, layout=0, texture=0) or steps[0].overall < 1e-9
    assert all(0 <= each.texture <= 1 and 0 <= each.colour <= 1 and 0 <= each.layout <= 1 for each in steps)


def test_distances_are_zero_for_equal_and_grow_with_the_difference(tmp_path: Path) -> None:
    scene = _array(_scene())
    assert ssim(scene, scene) == pytest.approx(1)
    assert colour_distance(scene, scene) == layout_distance(scene, scene) == texture_distance(scene, scene) == 0
    steps = [distances(scene, scene + (1 - scene - scene) * share).overall for share in (0, 0.3, 0.6, 1)]
    assert steps == sorted(steps)
    assert 0 <= steps[0] < 1e-9
    assert layout_distance(scene, scene[:, ::-1]) > 0.2
    (tmp_path / "x.png").write_bytes(b"")
    with pytest.raises(DamagedFileError):
        load_pixels(tmp_path / "x.png")


@FEW
@given(seed=st.integers(0, 10_000), tint=st.floats(-0.1, 0.1), contrast=st.floats(0.4, 1.0))
def test_content_is_apart_whatever_the_light_and_tint(seed: int, tint: float, contrast: float) -> None:
    one, other = _array(_scene(seed)), _array(_scene(seed + 1))

    def styled(pixels: Array) -> Array:
        return (pixels - 0.5) * contrast + 0.5 + tint * np.array([1, 0, -1])

    assert content_distance(one, one) == pytest.approx(0, abs=1e-9)
    assert content_distance(one, styled(one)) < 0.2
    assert content_distance(styled(one), styled(other)) == pytest.approx(content_distance(one, other), rel=0.15)
    flat = np.full_like(one, 0.5)
    assert (content_distance(flat, flat), content_distance(flat, one)) == (0, 1)


def test_everything_is_measured_at_256_pixels(tmp_path: Path) -> None:
    Image.new("RGB", (1024, 512), "red").save(tmp_path / "large.png")
    assert load_pixels(tmp_path / "large.png").shape == (LONGEST // 2, LONGEST, 3)


def _lines(angle: float, period: float) -> Array:
    y, x = np.mgrid[:64, :64]
    wave = 0.5 + 0.3 * np.sin((x * np.cos(angle) + y * np.sin(angle)) * 2 * np.pi / period)
    return np.repeat(wave[..., None], 3, axis=-1)


def test_texture_tells_direction_and_scale_and_not_place() -> None:
    upright, level, shifted = _lines(0, 6), _lines(np.pi / 2, 6), np.roll(_lines(0, 6), 3, axis=1)
    assert texture(upright)[0].argmax() == 0
    assert texture(level)[0].argmax() == 4
    assert texture_distance(upright, shifted) < 0.05
    assert texture_distance(upright, level) > 0.6
    assert texture_distance(upright, _lines(0, 20)) > 0.3
    assert texture(np.ones((2, 2, 3))).tolist() == np.zeros((3, 8)).tolist()


def test_the_way_to_the_training_images_has_two_ends_and_a_middle() -> None:
    plain = [style_features(_array(_scene(seed))) for seed in range(8)]

    def styled(seed: int, share: float) -> Array:
        scene = _array(_scene(seed))
        return style_features((scene + share * 0.3 * (_lines(0.5, 5)[:1, :1] - 0.5 + _tile(scene))).clip(0, 1))

    training = [styled(seed, 1) for seed in range(20, 40)]
    way = StyleWay.between(plain, training)
    assert way is not None
    gone = [[way.gone(styled(seed, share), plain[seed]) for seed in range(8)] for share in (0, 0.3, 0.6, 1)]
    places = [float(np.median(each)) for each in gone]
    assert places == sorted(places)
    assert places[0] == 0
    assert places[-1] == pytest.approx(1, abs=0.2)
    assert StyleWay.between(plain, training[:3]) is None
    assert StyleWay.between(plain, [style_features(_array(_scene(seed))) for seed in range(50, 70)]) is None


def _tile(scene: Array) -> Array:
    return np.tile(_lines(0.5, 5), (2, 2, 1))[: scene.shape[0], : scene.shape[1]]


def test_an_effect_is_consistent_when_all_pictures_move_the_same_way() -> None:
    rng = np.random.default_rng(0)
    before = rng.normal(size=(6, 32))
    shift = np.eye(32)[0] * 0.5
    length, consistency = effect(before + shift, before)
    assert length == pytest.approx(0.5)
    assert consistency == pytest.approx(1)
    _, scattered = effect(before + rng.normal(size=(6, 32)), before)
    assert scattered is not None
    assert abs(scattered) < 0.3
    assert effect(before, before) == (0, None)


def test_obedience_is_how_much_better_pictures_suit_their_own_prompt() -> None:
    prompt, contrast = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    obeying, mute = np.array([[1.0, 0.0]]), np.array([[0.7, 0.7]])
    assert obedience(obeying, np.array([[0.0, 1.0]]), prompt, contrast) == [2]
    assert obedience(mute, mute, prompt, contrast) == [0]
