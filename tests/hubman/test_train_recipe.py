"""Recipes, presets and buckets: what is decided before torch is loaded."""

from __future__ import annotations

import tomllib
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from hubman.train.batches import BatchPlan, keyed_seed
from hubman.train.buckets import BucketRules, cut, cut_to, fit, nearest
from hubman.train.presets import FAMILIES, REASONS, preset, showings
from hubman.train.recipe import Kind, Recipe, read_recipe, to_toml, write_recipe
from registry.errors import HubError, UsageError

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@given(TEXT, st.lists(TEXT, max_size=3), st.floats(0, 1), st.integers(0, 2**32 - 1), st.booleans())
def test_toml_gives_back_every_recipe(text: str, prompts: list[str], rate: float, seed: int, flip: bool) -> None:
    recipe = Recipe(
        base=text,
        dataset="d",
        output="o",
        trigger=text[::-1],
        sample_prompts=tuple(prompts),
        unet_lr=rate,
        seed=seed,
        flip=flip,
    )
    written = to_toml(recipe, {"seed": "a reason\nin two lines"})
    assert msgspec.convert(tomllib.loads(written), Recipe) == recipe


def test_a_written_recipe_reads_back_with_its_reasons_as_comments(tmp_path: Path) -> None:
    recipe = preset("style", "sd15", 40, base=str(tmp_path / "base"), dataset=str(tmp_path / "data"), output="Ink é")
    write_recipe(tmp_path / "r.toml", recipe, REASONS)
    assert read_recipe(tmp_path / "r.toml") == recipe
    assert f"# {REASONS['rank']}\nrank = 32\n" in (tmp_path / "r.toml").read_text(encoding="utf-8")


def test_relative_paths_in_a_recipe_start_at_its_folder(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text('base = "models/base"\ndataset = "../data"\noutput = "x"\n')
    recipe = read_recipe(tmp_path / "r.toml")
    assert recipe.base == str(tmp_path / "models/base")
    assert Path(recipe.dataset).resolve() == tmp_path.parent / "data"


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("rank = 0", "rank"),
        ("unet_lr = nan", "unet_lr"),
        ('rank = "many"', "rank"),
        ("wrong = 1", "wrong"),
        ('kind = "mood"', "kind"),
        ('output = "../x"', "output"),
        ('output = ".x"', "output"),
        ("steps = 3\nepochs = 5", "epochs"),
        ("seed = -1", "seed"),
        ("rank = ", r"r\.toml"),
        ("bucket_low = 2000", "bucket_low"),
        ("bucket_step = 12", "bucket_step"),
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
    assert recipe.epoch_ends()[-1] == recipe.steps
    assert recipe.text_lr == 0 or kind != "style"
    assert set(REASONS) <= {field.name for field in msgspec.structs.fields(Recipe)}


def test_showings_follow_the_number_of_images() -> None:
    assert preset("style", "sd15", 30).steps == 2250 / 2
    assert [showings("character", n) for n in (15, 30, 80, 200)] == [1250, 1750, 2250, 3500]
    assert preset("style", "sd15", 10).caption_dropout == 0.1
    with pytest.raises(UsageError, match="tiny"):
        preset("style", "flux9", 30)


def test_the_digest_follows_what_is_learned_and_the_public_recipe_has_no_path() -> None:
    recipe = preset("style", "tiny", 30, base="/home/someone/base", dataset="/home/someone/data", output="x")
    assert "someone" not in str(recipe.public())
    renamed = msgspec.structs.replace(recipe, output="y", dataset="/elsewhere", sample_prompts=("a",))
    assert renamed.learning_digest == recipe.learning_digest
    assert msgspec.structs.replace(recipe, rank=4).learning_digest != recipe.learning_digest


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
