"""Dataset checks on real pictures, in the base install."""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from hubman.tinybase.drawing import draw, random_scene
from hubman.train.checks import Finding, Rules, check, estimate_tokens, has_errors
from hubman.train.data.dataset import Dataset, distinct, read_dataset
from hubman.train.data.pictures import load_rgb, measure
from hubman.train.data.sharpness import sharpness
from registry.errors import NotFoundError
from tests.support.training_pictures import photo

RULES = Rules(resolution=64, trigger="zvk")


def noise(seed: int, side: int = 64) -> Image.Image:
    rng = random.Random(seed)
    small = Image.frombytes("RGB", (16, 16), rng.randbytes(16 * 16 * 3))
    return small.resize((side, side), Image.Resampling.BICUBIC)


def add(folder: Path, name: str, picture: Image.Image, caption: str | None = None) -> None:
    picture.save(folder / name)
    if caption is not None:
        (folder / name).with_suffix(".txt").write_text(caption, encoding="utf-8")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six different pictures with good captions."""
    for i in range(6):
        add(tmp_path, f"{i}.png", noise(i), f"zvk, thing {i}")
    return tmp_path


def codes(folder: Path, rules: Rules = RULES) -> dict[str, set[str | None]]:
    found: dict[str, set[str | None]] = {}
    for finding in check(read_dataset(folder), rules):
        found.setdefault(finding.code, set()).add(finding.image)
    return found


def test_a_good_set_is_only_told_that_it_is_small(folder: Path) -> None:
    assert set(codes(folder)) == {"count", "tag-once"}


def test_truncated_and_empty_files_are_named_and_kept_out(folder: Path) -> None:
    whole = (folder / "0.png").read_bytes()
    (folder / "cut.png").write_bytes(whole[: len(whole) // 2])
    (folder / "nothing.jpg").write_bytes(b"")
    (folder / "text.webp").write_text("not a picture")
    assert codes(folder)["damaged"] == {"cut.png", "nothing.jpg", "text.webp"}
    assert len(read_dataset(folder).usable) == 6


def test_an_exact_copy_in_another_format_is_a_duplicate(folder: Path) -> None:
    noise(3).save(folder / "copy.bmp")
    found = codes(folder)
    assert found["duplicate"] == {"copy.bmp"}
    assert "near-duplicate" not in found


@pytest.mark.parametrize("copied", ["exactly", "nearly"])
def test_of_copies_the_one_with_a_caption_stays_and_is_trained(folder: Path, copied: str) -> None:
    picture = noise(3)
    add(folder, "3.png", picture, "zvk, thing 3")
    (picture if copied == "exactly" else ImageOps.mirror(picture)).save(folder / "00-first.png")
    assert codes(folder)["duplicate" if copied == "exactly" else "near-duplicate"] == {"00-first.png"}
    trained = [image.name for image in distinct(read_dataset(folder).usable)]
    assert "3.png" in trained
    assert ("00-first.png" in trained) == (copied == "nearly")


@pytest.mark.parametrize("change", ["jpeg", "scaled", "mirrored", "brighter"])
def test_a_slightly_changed_copy_is_a_near_duplicate(folder: Path, change: str) -> None:
    picture = noise(3, 256)
    picture.save(folder / "3.png")
    match change:
        case "jpeg":
            picture.save(folder / "z.jpg", quality=60)
        case "scaled":
            picture.resize((180, 180)).save(folder / "z.png")
        case "mirrored":
            ImageOps.mirror(picture).save(folder / "z.png")
        case _:
            picture.point(lambda v: min(255, v + 6)).save(folder / "z.png")
    assert codes(folder)["near-duplicate"] == {"z.jpg" if change == "jpeg" else "z.png"}


def test_the_same_form_in_other_colours_is_no_duplicate(folder: Path) -> None:
    red, green, blue = noise(3).split()
    Image.merge("RGB", (blue, green, red)).convert("RGB").save(folder / "z.png")
    Image.new("RGB", (64, 64), (250, 10, 10)).save(folder / "flat-red.png")
    Image.new("RGB", (64, 64), (10, 10, 250)).save(folder / "flat-blue.png")
    assert not codes(folder).get("near-duplicate", set()) & {"flat-red.png", "flat-blue.png"}


def test_a_blurred_picture_stands_out_of_its_set(folder: Path) -> None:
    noise(9).filter(ImageFilter.GaussianBlur(6)).save(folder / "soft.png")
    assert codes(folder)["blurred"] == {"soft.png"}


@pytest.mark.parametrize(("radius", "quality"), [(2, 60), (4, 50), (8, 80)])
def test_a_blurred_photograph_stands_out_in_spite_of_the_traces_of_jpeg(
    tmp_path: Path, radius: int, quality: int
) -> None:
    for number in range(6):
        photo(number).save(tmp_path / f"{number}.jpg", quality=85)
    photo(9).filter(ImageFilter.GaussianBlur(radius)).save(tmp_path / "soft.jpg", quality=quality)
    assert codes(tmp_path)["blurred"] == {"soft.jpg"}


def test_a_sharp_subject_on_a_soft_ground_is_not_called_blurred(tmp_path: Path) -> None:
    for number in range(6):
        photo(number).save(tmp_path / f"{number}.png")
    soft = photo(9).filter(ImageFilter.GaussianBlur(6))
    ImageDraw.Draw(soft).ellipse((110, 110, 150, 150), fill="white", outline="black", width=2)
    soft.save(tmp_path / "portrait.png")
    assert "blurred" not in codes(tmp_path)


def test_flat_drawings_are_not_called_blurred(tmp_path: Path) -> None:
    rng = random.Random(1)
    for i in range(20):
        draw(random_scene(rng), rng).save(tmp_path / f"{i:02}.png")
    assert "blurred" not in codes(tmp_path)


def test_small_odd_transparent_and_animated_pictures_are_told(folder: Path) -> None:
    noise(20, 30).save(folder / "tiny.png")
    noise(21, 50).save(folder / "small.png")
    noise(22).resize((400, 100)).save(folder / "wide.png")
    Image.new("RGBA", (64, 64), (255, 0, 0, 99)).save(folder / "glass.png")
    noise(23).save(folder / "moving.webp", save_all=True, append_images=[noise(24)], lossless=True)
    noise(25).convert("P").save(folder / "palette.png")
    found = codes(folder)
    assert found["too-small"] == {"tiny.png"}
    assert found["small"] == {"small.png"}
    assert found["aspect"] == {"wide.png"}
    assert found["alpha"] == {"glass.png"}
    assert found["animated"] == {"moving.webp"}
    assert found["converted"] == {"palette.png"}


def test_captions_are_checked_one_by_one(folder: Path) -> None:
    (folder / "0.txt").unlink()
    (folder / "1.txt").write_text("  \n")
    (folder / "2.txt").write_bytes(b"\xff\xfe\x00caf\xe9")
    (folder / "3.txt").write_text("zvk, " + "very long words " * 40)
    (folder / "4.txt").write_text("a thing without it")
    (folder / "5.txt").write_text("a thing without it")
    found = codes(folder)
    assert found["caption-missing"] == {"0.png"}
    assert found["caption-empty"] == {"1.png"}
    assert found["caption-unreadable"] == {"2.png"}
    assert found["caption-long"] == {"3.png"}
    assert found["trigger-missing"] == {"4.png", "5.png"}
    assert found["caption-identical"] == {None}


def test_tag_balance_ignores_the_trigger(folder: Path) -> None:
    for i in range(6):
        outdoors = "Outdoors" if i == 5 else "outdoors"
        (folder / f"{i}.txt").write_text(f"zvk, {outdoors}, {'red' if i < 3 else 'blue'}")
    everywhere = [f.sentence for f in check(read_dataset(folder), RULES) if f.code == "tag-everywhere"]
    assert len(everywhere) == 1
    assert "'outdoors'" in everywhere[0]


@pytest.mark.parametrize(
    ("count", "force", "severity"),
    [(4, False, "error"), (4, True, "warn"), (10, False, "warn"), (20, False, "warn"), (30, False, None)],
)
def test_few_images_are_refused_or_warned_of(tmp_path: Path, count: int, force: bool, severity: str | None) -> None:
    for i in range(count):
        noise(i).save(tmp_path / f"{i}.png")
    findings = check(read_dataset(tmp_path), Rules(resolution=64, force=force))
    told = [finding.severity for finding in findings if finding.code == "count"]
    assert told == ([severity] if severity else [])
    assert has_errors(findings) == (severity == "error")


def test_errors_come_first_and_every_finding_says_what_to_do(folder: Path) -> None:
    (folder / "zero.png").write_bytes(b"")
    findings: tuple[Finding, ...] = check(read_dataset(folder), RULES)
    assert findings[0].severity == "error"
    assert all(finding.sentence and finding.remedy for finding in findings)


def test_exif_orientation_is_applied(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    noise(1).resize((80, 40)).save(tmp_path / "turned.jpg", exif=exif)
    picture = measure(tmp_path / "turned.jpg")
    assert (picture.width, picture.height) == (40, 80)
    assert load_rgb(tmp_path / "turned.jpg").size == (40, 80)


def test_sixteen_bit_grey_keeps_its_range(tmp_path: Path) -> None:
    Image.new("I;16", (8, 8), 32768).save(tmp_path / "deep.png")
    assert load_rgb(tmp_path / "deep.png").getpixel((0, 0)) == (127, 127, 127)


def test_the_laplacian_has_the_textbook_value() -> None:
    picture = Image.new("RGB", (5, 5), (100, 100, 100))
    picture.putpixel((2, 2), (120, 120, 120))
    values = [0, 20, 0, 20, -80, 20, 0, 20, 0]
    mean = sum(values) / 9
    gradients = 4 * 20**2 / 9
    variance, edges, peak = sharpness(picture)
    assert variance == pytest.approx(sum((v - mean) ** 2 for v in values) / 9)
    assert edges == pytest.approx((sum(v * v for v in values) / 9 - 20 / 12) / (gradients - 4 / 12))
    assert peak == 80


def test_the_fingerprint_follows_pixels_and_captions_only(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    before = read_dataset(folder).fingerprint
    other = tmp_path_factory.mktemp("other")
    for i in range(6):
        add(other, f"renamed-{9 - i}.bmp", noise(i), f"zvk, thing {i}")
    assert read_dataset(other).fingerprint == before
    (folder / "0.txt").write_text("another caption")
    assert read_dataset(folder).fingerprint != before


def test_the_cache_gives_the_same_result_and_sees_changes(folder: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache" / "pictures.json"
    first = read_dataset(folder, cache)
    assert read_dataset(folder, cache) == first == read_dataset(folder)
    noise(99, 80).save(folder / "0.png")
    assert read_dataset(folder, cache).images[0].picture.width == 80
    cache.write_text("{broken")
    assert isinstance(read_dataset(folder, cache), Dataset)


def test_a_folder_without_images_says_where_they_may_be(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="folders below it"):
        read_dataset(tmp_path)
    with pytest.raises(NotFoundError, match="not a folder"):
        read_dataset(tmp_path / "missing")


@given(st.text(max_size=300))
def test_token_estimates_never_fail_and_grow_with_the_text(text: str) -> None:
    assert 0 <= estimate_tokens(text) <= estimate_tokens(text + " more")


def test_dataset_checks_load_neither_torch_nor_numpy() -> None:
    names = (
        "checks",
        "data.dataset",
        "data.pictures",
        "captioning.captions",
        "recipe",
        "data.buckets",
        "run",
        "captioning.interrogator",
        "data.sheet",
        "captioning.tokens",
        "data.views",
    )
    heavy = "[module for module in ('torch', 'numpy', 'transformers') if module in sys.modules]"
    program = f"import sys\nfor name in {names}: __import__('hubman.train.' + name)\nprint({heavy})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from(["RGB", "L", "RGBA", "P", "1", "LA", "CMYK", "I;16"]))
def test_pictures_of_any_size_and_mode_are_measured(width: int, height: int, mode: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / ("x.tif" if mode == "CMYK" else "x.png")
        picture = noise(width * height, 40).resize((width, height))
        (picture.convert("I").convert("I;16") if mode == "I;16" else picture.convert(mode)).save(path)
        seen = measure(path)
    assert (seen.error, seen.width, seen.height) == ("", width, height)
    assert len(seen.strips) == 2048
