"""The drawn world and the rules that recognise it."""

from __future__ import annotations

import random
from collections.abc import Callable
from statistics import mean

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL
from PIL import Image, ImageDraw

from hubman import tinybase
from hubman.tinybase import checker
from hubman.tinybase.drawing import (
    COLOURS,
    SHAPES,
    Paint,
    Scene,
    combinations,
    draw,
    paint_plain,
    random_scene,
    split_combinations,
)
from hubman.tinybase.styles import STYLES, paint_hatched, paint_watched


def test_the_checker_recognises_what_is_drawn_plainly() -> None:
    rng = random.Random(1)
    scenes = [random_scene(rng) for _ in range(120)]
    seen = [checker.look(draw(scene, rng)) for scene in scenes]
    right = [
        (s.shape, s.colour, s.background) == (scene.shape, scene.colour, scene.background)
        for s, scene in zip(seen, scenes, strict=True)
    ]
    assert mean(right) > 0.98


def test_the_checker_does_not_see_shapes_that_are_not_there() -> None:
    rng = random.Random(2)
    seen = checker.look(draw(Scene("circle", "red", "white", "large"), rng))
    assert seen.shape == "circle"
    assert checker.look(draw(Scene("triangle", "red", "white", "large"), rng)).shape == "triangle"


def test_what_overlaps_with_no_shape_has_no_name() -> None:
    picture = Image.new("RGB", (64, 64), COLOURS["white"])
    ImageDraw.Draw(picture).line([(6, 6), (58, 10), (8, 50), (58, 58)], fill=COLOURS["red"], width=5)
    seen = checker.look(picture)
    assert (seen.shape, seen.colour, seen.background) == ("", "red", "white")


def test_the_embedded_vae_keeps_every_shape_recognisable() -> None:
    vae = AutoencoderKL.from_pretrained(tinybase.MODEL, subfolder="vae", dtype=torch.float32).eval()
    rng = random.Random(4)
    scenes = [random_scene(rng) for _ in range(64)]
    pixels = np.stack([np.asarray(draw(scene, rng)) for scene in scenes])
    with torch.no_grad():
        latents = vae.encode(torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1).latent_dist.mode()
        decoded = ((vae.decode(latents).sample.clamp(-1, 1) + 1) * 127.5).byte().permute(0, 2, 3, 1).numpy()
    seen = [checker.look(Image.fromarray(picture)) for picture in decoded]
    assert mean(s.shape == scene.shape for s, scene in zip(seen, scenes, strict=True)) > 0.96


def test_held_out_combinations_are_a_fifth_and_never_trained() -> None:
    trained, held_out = split_combinations()
    assert not set(trained) & set(held_out)
    assert len(held_out) == len(list(combinations())) // 5
    assert {shape for shape, _, _ in trained} == set(SHAPES)
    assert {colour for _, colour, _ in trained} == set(COLOURS)


@pytest.mark.parametrize(
    ("detector", "style"),
    [(checker.hatching, paint_hatched), (checker.watcher, paint_watched)],
    ids=["hatching", "watcher"],
)
def test_a_detector_tells_its_style_from_plain_pictures(detector: Callable[[Image.Image], float], style: Paint) -> None:
    rng = random.Random(3)
    scenes = [Scene(shape, "red", "yellow", "large") for shape in SHAPES if shape != "ring"]
    plain = mean(detector(draw(scene, rng, paint_plain)) for scene in scenes)
    styled = mean(detector(draw(scene, rng, style)) for scene in scenes)
    assert styled > plain + 0.3


def test_the_same_seed_draws_the_same_picture() -> None:
    for paint in (paint_plain, *STYLES.values()):
        first, second = (draw(random_scene(r), r, paint).tobytes() for r in (random.Random(5), random.Random(5)))
        assert first == second


def test_captions_name_everything() -> None:
    assert Scene("heart", "red", "blue", "small").caption == "a small red heart on a blue background"
    assert Scene("heart", "red", "blue").caption == "a red heart on a blue background"
