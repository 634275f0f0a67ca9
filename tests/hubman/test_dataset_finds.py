"""The checks on sets of sixty pictures find exactly the bad ones; what they compare stays quick for thousands."""

from __future__ import annotations

import random
from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFilter, ImageOps

from hubman.train.checks import Finding, Rules, check, worth_leaving
from hubman.train.checks.twins import NEAR_BITS, near_groups
from hubman.train.data.dataset import DatasetImage, read_dataset
from hubman.train.data.pictures import Picture
from hubman.train.presets import FEW
from tests.support.training_pictures import captioned, drawing, framed, photo, stamped

RULES = Rules(resolution=192, trigger="zvk", batch=2)
SIZES = ((192, 192), (224, 192), (192, 224))


def by_code(findings: tuple[Finding, ...]) -> dict[str, set[str | None]]:
    found: dict[str, set[str | None]] = defaultdict(set)
    for finding in findings:
        found[finding.code].add(finding.image)
    return dict(found)


def told(folder: Path, rules: Rules = RULES) -> dict[str, set[str | None]]:
    return by_code(check(read_dataset(folder), rules))


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Finding, ...]:
    """What is found in photographs and drawings, half of each; ten of the sixty are bad, each in its way."""
    folder = tmp_path_factory.mktemp("mixed")
    for number in range(25):
        captioned(folder / f"p{number:02}.png", photo(number, SIZES[number % 3]), f"zvk, photograph {number}")
        captioned(folder / f"d{number:02}.png", drawing(number, SIZES[number % 3]), f"zvk, drawing {number}")
    bad = {
        "soft-photo.png": photo(90, SIZES[0]).filter(ImageFilter.GaussianBlur(2)),
        "soft-drawing.png": drawing(90, SIZES[0]).filter(ImageFilter.GaussianBlur(2)),
        "tiny.png": photo(91, (90, 90)),
        "wide.png": photo(92, (900, 192)),
        "film.png": framed(photo(93, (192, 148)), 22),
        "z-again.bmp": photo(4, SIZES[1]),
        "z-mirrored.jpg": ImageOps.mirror(drawing(7, SIZES[1])),
        "z-smaller.png": photo(2, SIZES[2]).resize((180, 210)),
    }
    for name, picture in bad.items():
        captioned(folder / name, picture, f"zvk, {name.partition('.')[0]}")
    whole = (folder / "p00.png").read_bytes()
    (folder / "cut.png").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.webp").write_bytes(b"")
    return check(read_dataset(folder), RULES)


def test_exactly_the_bad_ones_of_sixty_are_found(mixed: tuple[Finding, ...]) -> None:
    found = by_code(mixed)
    assert found.pop("damaged") == {"cut.png", "empty.webp"}
    assert found.pop("too-small") == {"tiny.png"}
    assert found.pop("aspect") == {"wide.png"}
    assert found.pop("blurred") == {"soft-photo.png", "soft-drawing.png"}
    assert found.pop("border") == {"film.png"}
    assert found.pop("duplicate") == {"z-again.bmp"}
    assert found.pop("near-duplicate") == {"z-mirrored.jpg", "z-smaller.png"}
    assert found.pop("outlier") == {"tiny.png", "wide.png"}
    assert found.pop("caption-missing") == {"cut.png", "empty.webp"}
    assert found.pop("bucket-unfilled") == {None}
    assert set(found) == {"count-ideal", "tag-once"}


def test_what_does_harm_can_be_left_out_in_one_go(mixed: tuple[Finding, ...]) -> None:
    leaving = worth_leaving(mixed)
    assert set(leaving) == {
        "cut.png", "empty.webp", "tiny.png", "soft-photo.png", "soft-drawing.png", "z-again.bmp", "z-mirrored.jpg",
        "z-smaller.png",
    }  # fmt: skip


def test_near_duplicates_are_a_group_and_the_largest_of_it_stays(mixed: tuple[Finding, ...]) -> None:
    (finding,) = [each for each in mixed if each.code == "near-duplicate" and each.image == "z-smaller.png"]
    assert finding.others == ("p02.png",)
    assert "p02.png" in finding.sentence


def signed(folder: Path, count: int, every: int) -> Path:
    for number in range(count):
        make = photo if number % 2 else drawing
        picture = make(number, (192, 192))
        (stamped(picture) if number % every == 0 else picture).save(folder / f"{number:02}.png")
    return folder


def test_a_signature_in_one_corner_of_many_images_may_be_a_watermark(tmp_path: Path) -> None:
    found = told(signed(tmp_path, 30, every=2))
    assert found["watermark"] == {f"{number:02}.png" for number in range(0, 30, 2)}


def test_a_signature_on_a_single_image_is_no_pattern(tmp_path: Path) -> None:
    assert "watermark" not in told(signed(tmp_path, 20, every=30))


def test_a_plain_subject_on_a_plain_ground_has_no_border(tmp_path: Path) -> None:
    picture = Image.new("RGB", (200, 200), "white")
    picture.paste(photo(1, (100, 60)), (20, 70))
    picture.save(tmp_path / "subject.png")
    Image.new("RGB", (200, 200), "white").save(tmp_path / "blank.png")
    assert "border" not in told(tmp_path)


def test_an_image_of_other_colours_is_unlike_the_set(tmp_path: Path) -> None:
    for number in range(12):
        photo(number, (192, 192)).convert("L").save(tmp_path / f"{number:02}.png")
    Image.new("RGB", (192, 192), (255, 0, 255)).save(tmp_path / "pink.png")
    assert told(tmp_path)["outlier"] == {"pink.png"}


def test_an_image_alone_in_its_bucket_is_told_that_it_is_repeated(tmp_path: Path) -> None:
    for number in range(6):
        photo(number, (192, 192)).save(tmp_path / f"{number}.png")
    photo(9, (192, 288)).save(tmp_path / "alone.png")
    rules = Rules(resolution=192, batch=2)
    (finding,) = [each for each in check(read_dataset(tmp_path), rules) if each.code == "bucket-unfilled"]
    assert finding.others == ("alone.png",)
    assert "not dropped" in finding.sentence
    for enough in (Rules(resolution=192, batch=1), Rules(resolution=192, batch=2, repeats=2)):
        assert "bucket-unfilled" not in told(tmp_path, enough)
    (tmp_path / "2_twice").mkdir()
    (tmp_path / "alone.png").rename(tmp_path / "2_twice" / "alone.png")
    assert "bucket-unfilled" not in told(tmp_path, rules)


@pytest.mark.parametrize(
    ("count", "severity", "words"),
    [(10, "warn", "small sets"), (15, "warn", "small sets"), (25, "warn", "comfortable 30"), (50, "note", "ideal")],
)
def test_the_number_of_images_is_judged(tmp_path: Path, count: int, severity: str, words: str) -> None:
    for number in range(count):
        photo(number, (48, 48)).save(tmp_path / f"{number}.png")
    (finding,) = [each for each in check(read_dataset(tmp_path), Rules(resolution=48)) if "count" in each.code]
    assert finding.severity == severity
    assert words in finding.sentence


def test_the_number_that_is_called_small_is_the_one_that_presets_go_by(tmp_path: Path) -> None:
    for number in range(FEW):
        photo(number, (48, 48)).save(tmp_path / f"{number}.png")

    def said() -> str:
        findings = check(read_dataset(tmp_path), Rules(resolution=48))
        return next(finding.sentence for finding in findings if finding.code == "count")

    assert "small sets" not in said()
    (tmp_path / "0.png").unlink()
    assert "small sets" in said()


def test_tags_that_most_captions_have_are_told(tmp_path: Path) -> None:
    for number in range(12):
        sky = ", sky" if number < 8 else ""
        captioned(tmp_path / f"{number}.png", photo(number, (48, 48)), f"zvk, thing {number}{sky}")
    findings: tuple[Finding, ...] = check(read_dataset(tmp_path), Rules(resolution=48, trigger="zvk"))
    (finding,) = [each for each in findings if each.code == "tag-often"]
    assert "sky (8 of 12)" in finding.sentence


def image(name: str, phash: int, mirrored: int) -> DatasetImage:
    picture = Picture(64, 64, "RGB", pixels=name, phash=phash, phash_mirrored=mirrored, tint=(9,) * 48)
    return DatasetImage(path=Path(name), name=name, picture=picture)


@settings(max_examples=50)
@given(st.data())
def test_groups_are_those_that_comparing_all_pairs_gives(data: st.DataObject) -> None:
    rng = random.Random(data.draw(st.integers(0, 2**32)))
    hashes = [(rng.getrandbits(64), rng.getrandbits(64)) for _ in range(12)]
    for one, _ in hashes[:8]:
        flips = sum(1 << bit for bit in rng.sample(range(64), rng.randint(0, NEAR_BITS + 2)))
        hashes.append((one ^ flips, rng.getrandbits(64)) if rng.random() < 0.6 else (rng.getrandbits(64), one ^ flips))
    images = [image(str(i), *pair) for i, pair in enumerate(hashes)]
    near = [
        {i, j}
        for j in range(len(hashes))
        for i in range(j)
        if min((hashes[i][0] ^ other).bit_count() for other in hashes[j]) <= NEAR_BITS
    ]
    whole = [{i} for i in range(len(hashes))]
    for pair in near:
        joined = [group for group in whole if group & pair]
        whole = [group for group in whole if group not in joined] + [set().union(*joined)]
    expected = {frozenset(map(str, group)) for group in whole if len(group) > 1}
    assert {frozenset(each.name for each in group) for group in near_groups(images)} == expected


def test_thousands_of_images_are_grouped() -> None:
    rng = random.Random(1)
    images = [image(str(i), rng.getrandbits(64), rng.getrandbits(64)) for i in range(2000)]
    same = [image(f"same {i}", 5, 5) for i in range(500)]
    assert [len(group) for group in near_groups(images + same)] == [500]
