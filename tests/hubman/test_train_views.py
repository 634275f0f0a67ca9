"""How images are cut, and in which views they are trained: resolutions, kept sizes, crops, repeats, masks."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from hubman import tinybase
from hubman.progress import silent
from hubman.train import architectures
from hubman.train.data.buckets import BucketRules, cut, cut_to, cuts, fit
from hubman.train.data.dataset import DatasetImage, read_dataset
from hubman.train.data.masks import has_mask, load_mask
from hubman.train.data.views import View, showings, views
from hubman.train.encoding.encoded import Encoded
from hubman.train.encoding.material import encode_items
from hubman.train.learning.batches import BatchPlan
from hubman.train.presets import preset
from hubman.train.recipe_fields import changed
from hubman.train.settings.data import ImageSettings
from registry.errors import DamagedFileError

KEPT = BucketRules(512, no_upscale=True)
SIDE = st.integers(1, 4000)


def halves(path: Path, size: tuple[int, int] = (300, 100)) -> DatasetImage:
    """Red on the left, blue on the right."""
    picture = Image.new("RGB", size, "red")
    picture.paste("blue", (size[0] // 2, 0, *size))
    picture.save(path)
    return next(image for image in read_dataset(path.parent).images if image.path == path)


@pytest.mark.parametrize(
    ("size", "scaled", "bucket"),
    [
        ((1920, 1080), (683, 384), (640, 384)),
        ((500, 400), (500, 400), (448, 384)),
        ((512, 512), (512, 512), (512, 512)),
        ((2000, 2000), (512, 512), (512, 512)),
        ((100, 1000), (100, 1000), (64, 960)),
    ],
)
def test_images_that_are_not_enlarged_are_cut_as_by_sd_scripts(
    size: tuple[int, int], scaled: tuple[int, int], bucket: tuple[int, int]
) -> None:
    how = cut(size, KEPT)
    assert (how.scaled, how.bucket) == (scaled, bucket)


@given(SIDE, SIDE, st.floats(0, 1), st.floats(0, 1), st.booleans())
def test_every_cut_lies_inside_its_image(width: int, height: int, across: float, down: float, kept: bool) -> None:
    how = cut((width, height), BucketRules(512, no_upscale=kept), (across, down))
    left, top, right, bottom = how.box
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height
    assert how.bucket[0] % 64 == how.bucket[1] % 64 == 0
    assert 0 < how.kept <= 1
    assert 0 <= how.top_left[0] <= how.scaled[0]
    assert 0 <= how.top_left[1] <= how.scaled[1]


@given(st.integers(64, 4000), st.integers(64, 4000))
def test_nothing_is_enlarged_that_shall_keep_its_size(width: int, height: int) -> None:
    how = cut((width, height), KEPT)
    assert how.scaled[0] <= max(width, 64)
    assert how.scaled[1] <= max(height, 64)
    assert how.bucket[0] * how.bucket[1] <= max(512 * 512, 64 * max(width, height))


def test_sdxl_is_told_where_in_the_scaled_image_the_crop_lies() -> None:
    how = cut_to((2000, 1000), (512, 512))
    assert how.scaled == (1024, 512)
    assert how.box == (500, 0, 1500, 1000)
    assert how.top_left == (256, 0)
    assert cut_to((2000, 1000), (512, 512), (1.0, 0.5)).top_left == (512, 0)


def test_several_resolutions_give_one_cut_each_and_equal_ones_once() -> None:
    rules = [BucketRules(512), BucketRules(768, 256, 1536)]
    assert [how.bucket for how in cuts((1000, 1000), rules)] == [(512, 512), (768, 768)]
    kept = [msgspec.structs.replace(each, no_upscale=True) for each in rules]
    assert [how.bucket for how in cuts((400, 400), kept)] == [(384, 384)]


def shown(image: DatasetImage, **settings: object) -> list[View]:
    return list(views(image, msgspec.convert(settings, ImageSettings)))


def test_an_image_is_shown_at_every_resolution_as_often_as_the_others(tmp_path: Path) -> None:
    image = halves(tmp_path / "a.png", (400, 400))
    plain = shown(image, resolutions=[256, 320], repeats=3)
    assert [(view.cut.bucket, view.repeats) for view in plain] == [((256, 256), 3), ((320, 320), 3)]
    small = halves(tmp_path / "b.png", (260, 260))
    kept = shown(small, resolutions=[320, 512], repeats=3, no_upscale=True)
    assert [(view.cut.bucket, view.repeats) for view in kept] == [((256, 256), 6)]


def test_a_folders_repeats_multiply_those_of_the_recipe(tmp_path: Path) -> None:
    (tmp_path / "4_x").mkdir()
    halves(tmp_path / "4_x" / "a.png", (256, 256))
    (image,) = read_dataset(tmp_path).images
    assert [view.repeats for view in shown(image, resolutions=[256], repeats=2)] == [8]


def test_mirrored_and_moved_views_have_pixels_of_their_own(tmp_path: Path) -> None:
    image = halves(tmp_path / "a.png")
    found = shown(image, resolutions=[64], bucket_low=64, bucket_high=64, flip=True, random_crop=True)
    assert len(found) == 8 == showings(ImageSettings(flip=True, random_crop=True))
    assert len({view.pixels for view in found}) == 8
    assert len({view.picture().tobytes() for view in found}) == 8 - 2  # the outermost crops are of one colour
    square = halves(tmp_path / "b.png", (100, 100))
    (whole,) = shown(square, resolutions=[64], bucket_low=64, bucket_high=64, random_crop=True)
    assert (whole.repeats, whole.pixels) == (4, square.picture.pixels)
    left = whole.picture().getpixel((0, 0))
    (mirror,) = [v for v in shown(square, resolutions=[64], bucket_low=64, bucket_high=64, flip=True) if v.mirrored]
    assert left == (255, 0, 0)
    assert mirror.picture().getpixel((0, 0)) == (0, 0, 255)


@given(st.lists(st.tuples(st.sampled_from([(64, 64), (64, 128)]), st.integers(1, 4)), min_size=1), st.integers(1, 5))
def test_a_pass_shows_each_image_as_often_as_it_is_repeated(
    images: list[tuple[tuple[int, int], int]], batch: int
) -> None:
    sizes, repeats = zip(*images, strict=True)
    plan = BatchPlan(sizes, batch, seed=3, repeats=repeats)
    order = [i for step in range(plan.batches_per_pass) for i in plan.at(step)]
    for index, times in enumerate(repeats):
        assert order.count(index) >= times
    surplus = len(order) - sum(repeats)
    assert surplus < batch * len(set(sizes))


def test_what_is_encoded_is_what_the_views_say(tmp_path: Path) -> None:
    (tmp_path / "3_x" / "masks").mkdir(parents=True)
    halves(tmp_path / "3_x" / "a.png", (200, 100))
    Image.new("L", (2, 1), 255).save(tmp_path / "3_x" / "masks" / "a.png")
    dataset = read_dataset(tmp_path)
    values = {"images.resolutions": (64, 128), "images.bucket_high": 128, "images.flip": True, "images.repeats": 2}
    masks = {"images.masks": "folder", "loss.masked": True}
    recipe = changed(preset("style", "tiny", 30, base=str(tinybase.MODEL), dataset=str(tmp_path)), values | masks)
    encoded = Encoded(architectures.load(recipe, torch.device("cpu")), tmp_path / "cache", "fp32")
    items = encode_items(dataset, encoded, recipe, silent)
    assert [(item.size, item.repeats) for item in items] == [((64, 64), 6)] * 2 + [((128, 64), 6)] * 2
    assert [tuple(item.latent.mean.shape[-2:]) for item in items] == [(8, 8)] * 2 + [(8, 16)] * 2
    assert [item.framing.crop for item in items] == [(32, 0)] * 2 + [(0, 0)] * 2
    assert all(item.mask is not None and item.mask.shape == item.size[::-1] for item in items)
    one, mirrored = items[:2]
    assert not torch.equal(one.latent.mean, mirrored.latent.mean)
    assert encoded.missed == 4
    encode_items(dataset, encoded, recipe, silent)
    assert encoded.missed == 4


# masks ----------------------------------------------------------------------------------------------------------------


def test_a_mask_is_cut_as_its_image_is(tmp_path: Path) -> None:
    (tmp_path / "masks").mkdir()
    mask = Image.new("L", (300, 100), 0)
    mask.paste(255, (150, 0, 300, 100))
    mask.save(tmp_path / "masks" / "a.png")
    image = halves(tmp_path / "a.png")
    values = load_mask(image, cut_to((300, 100), (64, 64)), "folder")
    assert (values.dtype, values.shape) == (torch.float32, (64, 64))
    assert torch.equal(values, torch.cat([torch.zeros(64, 32), torch.ones(64, 32)], 1))
    picture = fit(Image.open(image.path), cut_to((300, 100), (64, 64)))
    assert [picture.getpixel((x, 5)) for x in (28, 36)] == [(255, 0, 0), (0, 0, 255)]


def test_a_mask_of_another_size_is_stretched_and_follows_the_bucket_by_area(tmp_path: Path) -> None:
    (tmp_path / "masks").mkdir()
    mask = Image.new("L", (2, 1), 0)
    mask.putpixel((1, 0), 255)
    mask.save(tmp_path / "masks" / "a.png")
    image = halves(tmp_path / "a.png", (128, 64))
    values = load_mask(image, cut_to((128, 64), (128, 64)), "folder")
    assert values.shape == (64, 128)
    assert values.mean().item() == pytest.approx(0.5, abs=0.01)
    assert values[0, 0] == 0
    assert values[0, -1] == 1


def test_the_alpha_channel_is_a_mask_where_that_is_chosen(tmp_path: Path) -> None:
    picture = Image.new("RGBA", (64, 64), (255, 0, 0, 0))
    picture.paste((255, 0, 0, 255), (0, 0, 64, 32))
    picture.save(tmp_path / "a.png")
    (image,) = read_dataset(tmp_path).images
    how = cut_to((64, 64), (64, 64))
    assert load_mask(image, how, "alpha").mean(1).tolist() == [1.0] * 32 + [0.0] * 32
    assert [has_mask(image, source) for source in ("none", "folder", "alpha")] == [False, False, True]
    assert load_mask(image, how, "none").min() == 1


def test_a_damaged_mask_is_named(tmp_path: Path) -> None:
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / "a.png").write_bytes(b"no picture")
    image = halves(tmp_path / "a.png")
    with pytest.raises(DamagedFileError, match=r"a\.png cannot be decoded"):
        load_mask(image, cut_to((300, 100), (64, 64)), "folder")
