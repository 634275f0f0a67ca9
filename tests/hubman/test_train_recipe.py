"""Recipes, presets and buckets: what is decided before torch is loaded."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from hubman.train.data.buckets import BucketRules, cut, cut_to, fit, nearest
from hubman.train.families import FAMILIES
from hubman.train.learning.batches import BatchPlan, keyed_seed
from hubman.train.presets import preset, showings
from hubman.train.recipe import Kind, Recipe, from_values, read_recipe, write_recipe
from hubman.train.recipe_fields import changed, differences, fields, parse, text_of, value
from hubman.train.recipe_toml import to_toml
from hubman.train.settings.network import RankPattern
from registry.errors import HubError, UsageError

_TYPED = [path for path in fields() if path not in {"trigger", "base", "watch.sample_prompts"}]
"""Texts lose blanks at their ends when they are typed, and prompts can't hold the mark between them."""
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@given(TEXT, st.lists(TEXT, max_size=3), st.floats(0, 1), st.integers(0, 2**32 - 1), st.booleans())
def test_toml_gives_back_every_recipe(text: str, prompts: list[str], rate: float, seed: int, flip: bool) -> None:
    recipe = changed(
        Recipe(base=text, dataset="d", output="o", trigger=text[::-1], seed=seed),
        {
            "watch.sample_prompts": tuple(prompts),
            "optimizer.unet_lr": rate,
            "images.flip": flip,
            "optimizer.args": {text: rate, "betas": (0.9, rate)},
            "network.patterns": (RankPattern(re.escape(text), 4), RankPattern("mid", 8, rate)),
        },
    )
    assert from_values(tomllib.loads(to_toml(recipe))) == recipe
    assert changed(recipe, {path: parse(path, text_of(recipe, path)) for path in _TYPED}) == recipe


def test_a_written_recipe_reads_back_with_its_reasons_as_comments(tmp_path: Path) -> None:
    recipe = preset("style", "sd15", 40, base=str(tmp_path / "base"), dataset=str(tmp_path / "data"), output="Ink é")
    write_recipe(tmp_path / "r.toml", recipe)
    assert read_recipe(tmp_path / "r.toml") == recipe
    rank = fields()["network.rank"]
    assert f"# {rank.reason}; {rank.takes}\nrank = 32\n" in (tmp_path / "r.toml").read_text(encoding="utf-8")


def test_every_field_has_a_reason_and_can_be_typed() -> None:
    recipe = preset("style", "sdxl", 40, base="b", dataset="d")
    for path, field in fields().items():
        assert field.reason, path
        assert parse(path, text_of(recipe, path)) == value(recipe, path), path


def test_a_recipe_of_the_first_version_is_read(tmp_path: Path) -> None:
    old = 'base = "b"\ndataset = "d"\noutput = "o"\nrank = 4\nresolution = 640\nschedule = "linear"\nsample_prompts = ["a"]\n'
    (tmp_path / "old.toml").write_text(old)
    recipe = read_recipe(tmp_path / "old.toml")
    assert (recipe.network.rank, recipe.resolution, recipe.schedule.shape) == (4, 640, "linear")
    assert recipe.watch.sample_prompts == ("a",)
    with pytest.raises(UsageError, match="version 99"):
        from_values({"version": 99, "base": "b", "dataset": "d", "output": "o"})


def test_differences_name_the_fields_that_differ() -> None:
    one = preset("style", "sd15", 40, base="b", dataset="d")
    assert differences(one, changed(one, {"network.rank": 3, "seed": 9})) == {"seed": (0, 9), "network.rank": (32, 3)}
    with pytest.raises(UsageError, match=r"network\.rnk"):
        changed(one, {"network.rnk": 3})


def test_relative_paths_in_a_recipe_start_at_its_folder(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text('base = "models/base"\ndataset = "../data"\noutput = "x"\n')
    recipe = read_recipe(tmp_path / "r.toml")
    assert recipe.base == str(tmp_path / "models/base")
    assert Path(recipe.dataset).resolve() == tmp_path.parent / "data"


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("network.rank = 0", "network.rank"),
        ("rank = 0", "network.rank"),
        ("optimizer.unet_lr = nan", "unet_lr"),
        ('network.rank = "many"', "network.rank"),
        ("network.rnk = 4", "rnk"),
        ("wrong = 1", "wrong"),
        ('kind = "mood"', "kind"),
        ('output = "../x"', "output"),
        ('output = ".x"', "output"),
        ("length.steps = 3\nlength.epochs = 5", "epochs"),
        ("seed = -1", "seed"),
        ("network.rank = ", r"r\.toml"),
        ("images.bucket_low = 2000", "bucket_low"),
        ('network.patterns = [{match = "(", rank = 4}]', "no regular expression"),
        ("images.bucket_step = 12", "bucket_step"),
    ],
)
def test_a_bad_recipe_is_refused_by_field(tmp_path: Path, content: str, named: str) -> None:
    given_fields = {line.split(" ")[0] for line in content.splitlines()}
    rest = [line for line in ('base = "b"', 'dataset = "d"', 'output = "o"') if line.split(" ")[0] not in given_fields]
    (tmp_path / "r.toml").write_text("\n".join([*rest, content]))
    with pytest.raises(UsageError, match=named):
        read_recipe(tmp_path / "r.toml")


def test_a_missing_recipe_is_named(tmp_path: Path) -> None:
    with pytest.raises(HubError, match="nowhere"):
        read_recipe(tmp_path / "nowhere.toml")


@pytest.mark.parametrize("kind", ["style", "character", "concept"])
@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_every_preset_is_a_valid_recipe_and_its_reasons_name_fields(family: str, kind: Kind) -> None:
    recipe = preset(kind, family, 30)
    assert recipe.family == family
    assert recipe.epoch_ends()[-1] == recipe.length.steps
    assert recipe.optimizer.text_lr == 0 or kind != "style"


def test_showings_follow_the_number_of_images() -> None:
    assert preset("style", "sd15", 30).length.steps == 2250 / 2
    assert [showings("character", n) for n in (15, 30, 80, 200)] == [1250, 1750, 2250, 3500]
    few = preset("style", "sd15", 15)
    assert (few.captions.dropout, few.network.rank, few.length.steps) == (0.1, 16, 750)
    with pytest.raises(UsageError, match="tiny"):
        preset("style", "flux9", 30)


def test_the_digest_follows_what_is_learned_and_the_public_recipe_has_no_path() -> None:
    recipe = preset("style", "tiny", 30, base="/home/someone/base", dataset="/home/someone/data", output="x")
    assert "someone" not in str(recipe.public())
    renamed = changed(recipe, {"output": "y", "dataset": "/elsewhere", "watch.sample_prompts": ("a",)})
    assert renamed.learning_digest == changed(renamed, {"watch.validation_images": 3}).learning_digest
    assert renamed.learning_digest == recipe.learning_digest
    held = changed(recipe, {"watch.held_out": True, "watch.validation_images": 2})
    fewer = changed(held, {"watch.validation_images": 1})
    assert len({each.learning_digest for each in (recipe, held, fewer)}) == 3
    assert changed(recipe, {"network.rank": 4}).learning_digest != recipe.learning_digest


def test_buckets_hold_about_the_area_and_the_embedded_base_has_only_its_square() -> None:
    rules = BucketRules(512, 256, 1024, 64)
    sizes = rules.sizes()
    assert (512, 512) in sizes
    assert {(w, h) for h, w in sizes} == set(sizes)
    assert all(w % 64 == h % 64 == 0 and w * h <= 512 * 512 for w, h in sizes)
    assert BucketRules(64, 64, 64, 64).sizes() == ((64, 64),)
    assert nearest((3000, 2000), sizes) == (640, 384)


@given(st.integers(1, 4000), st.integers(1, 4000))
def test_a_crop_lies_inside_the_image_and_has_the_buckets_aspect(width: int, height: int) -> None:
    left, top, right, bottom = cut((width, height), BucketRules()).box
    assert 0 <= left <= right <= width
    assert 0 <= top <= bottom <= height
    assert right - left == width or bottom - top == height


def test_an_image_is_cut_around_its_centre() -> None:
    picture = Image.new("RGB", (300, 100), "red")
    picture.paste("blue", (100, 0, 200, 100))
    square = fit(picture, cut_to(picture.size, (64, 64)))
    assert square.size == (64, 64)
    assert square.crop((4, 0, 60, 64)).getextrema() == ((0, 0), (0, 0), (255, 255))


@given(st.lists(st.sampled_from([(64, 64), (64, 128), (128, 64)]), min_size=1, max_size=20), st.integers(1, 5))
def test_every_pass_shows_every_image_in_full_batches_of_one_size(sizes: list[tuple[int, int]], batch: int) -> None:
    plan = BatchPlan(sizes, batch, seed=3)
    for which in range(2):
        steps = range(which * plan.batches_per_pass, (which + 1) * plan.batches_per_pass)
        batches = [plan.at(step) for step in steps]
        assert {i for each in batches for i in each} == set(range(len(sizes)))
        assert all(len(each) == batch and len({sizes[i] for i in each}) == 1 for each in batches)


def test_the_order_depends_on_seed_and_step_alone() -> None:
    sizes = [(64, 64)] * 12
    ahead = BatchPlan(sizes, 4, seed=1)
    order = [ahead.at(step) for step in range(9)]
    assert BatchPlan(sizes, 4, seed=1).at(7) == order[7]
    assert [BatchPlan(sizes, 4, seed=2).at(step) for step in range(9)] != order
    assert order[:3] != order[3:6]
    assert 0 <= keyed_seed(0, "a") < 2**63
