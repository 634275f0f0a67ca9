"""The embedded base as it ships: ordinary files that ordinary loaders read, and pictures of what a prompt says."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionPipeline
from PIL import Image
from transformers import CLIPImageProcessorPil, CLIPModel, CLIPTokenizer

from hubman import tinybase
from hubman.tinybase.drawing import SHAPES, draw
from hubman.tinybase.score import held_out_scenes, score

SCORE = Path(tinybase.__file__).parent / "score.json"


@pytest.fixture(scope="module")
def pipeline() -> Any:
    found = StableDiffusionPipeline.from_pretrained(tinybase.MODEL, safety_checker=None, dtype=torch.float32)
    found.set_progress_bar_config(disable=True)
    return found


def drawn(pipeline: Any, prompts: list[str]) -> list[Image.Image]:
    generators = [torch.Generator().manual_seed(number) for number in range(len(prompts))]
    pictures: list[Image.Image] = pipeline(
        prompts, num_inference_steps=16, guidance_scale=tinybase.GUIDANCE, generator=generators
    ).images
    return pictures


def test_its_score_on_two_hundred_held_out_prompts_is_ninety_percent() -> None:
    told = json.loads(SCORE.read_text())
    assert told["prompts"] == 200
    assert told["guidance"] == tinybase.GUIDANCE
    assert told["all"] >= 0.9


def test_it_draws_combinations_that_it_never_saw(pipeline: Any) -> None:
    scenes = held_out_scenes(48)
    pictures = [
        picture
        for start in range(0, len(scenes), 16)
        for picture in drawn(pipeline, [scene.caption for scene in scenes[start : start + 16]])
    ]
    assert score(pictures, scenes)["all"] >= 0.85


def test_words_that_it_never_saw_degrade_a_picture_and_do_not_break_it(pipeline: Any) -> None:
    strange = ["a magnificent zebra at dusk", "水彩 🎨 ﷽", "", "ring " * 200]
    for picture in drawn(pipeline, strange):
        assert picture.size == (64, 64)
        assert len(picture.getcolors(4096) or ()) > 1


def test_its_clip_tells_shapes_apart() -> None:
    clip = CLIPModel.from_pretrained(tinybase.CLIP).eval()
    tokenizer = CLIPTokenizer.from_pretrained(tinybase.CLIP)
    processor = CLIPImageProcessorPil.from_pretrained(tinybase.CLIP)
    rng = random.Random(8)
    scenes = held_out_scenes(48)
    pixels = processor([draw(scene, rng) for scene in scenes], return_tensors="pt").pixel_values
    right = 0
    for scene, picture in zip(scenes, pixels, strict=True):
        captions = [scene.caption.replace(scene.shape, shape) for shape in SHAPES]
        tokens = tokenizer(captions, padding=True, return_tensors="pt")
        with torch.no_grad():
            likeness = clip(**tokens, pixel_values=picture[None]).logits_per_image[0]
        right += SHAPES[int(likeness.argmax())] == scene.shape
    assert right / len(scenes) >= 0.9


def test_what_ships_is_small_and_names_no_folder_of_who_made_it() -> None:
    files = [path for folder in (tinybase.MODEL, tinybase.CLIP) for path in folder.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 15e6
    assert not [path for path in files if path.name == "config.json" and "_name_or_path" in path.read_text()]
