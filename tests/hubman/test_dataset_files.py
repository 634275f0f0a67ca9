"""Which files of a folder are trained, how often, with which mask, and which a person left out."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from PIL import Image

from hubman.train.checks import Rules, by_image, check
from hubman.train.data.dataset import read_dataset, training_files
from hubman.train.data.left_out import LOG, leave, left_out, take
from hubman.train.data.mask_files import measure_mask
from registry.errors import HubError, NotFoundError
from tests.support.training_pictures import captioned, photo


def put(path: Path, seed: int = 0, size: tuple[int, int] = (64, 64)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    photo(seed, size).save(path)
    return path


def codes(folder: Path, rules: Rules | None = None) -> dict[str | None, set[str]]:
    found = by_image(check(read_dataset(folder), rules or Rules(resolution=64)))
    return {image: {finding.code for finding in findings} for image, findings in found.items()}


def test_folders_below_are_read_and_their_numbers_are_repeats(tmp_path: Path) -> None:
    for number, name in enumerate(
        (
            "a.png",
            "10_zvk woman/b.png",
            "10_zvk woman/close up/c.png",
            "4_x/2_y/d.png",
            "2024_summer/e.png",
            "0_f/f.png",
        )
    ):
        put(tmp_path / name, number)
    put(tmp_path / ".cache" / "g.png")
    put(tmp_path / ".h.png")
    found = {image.name: image.repeats for image in read_dataset(tmp_path).images}
    assert found == {
        "a.png": 1,
        "0_f/f.png": 1,
        "10_zvk woman/b.png": 10,
        "10_zvk woman/close up/c.png": 10,
        "2024_summer/e.png": 1,
        "4_x/2_y/d.png": 2,
    }
    whole = [finding.sentence for finding in check(read_dataset(tmp_path), Rules(resolution=64)) if not finding.image]
    assert any("2024_summer: its number is not taken for repeats" in sentence for sentence in whole)
    assert any("10_zvk woman: each of its 1 images is shown 10 times" in sentence for sentence in whole)


def test_the_folder_that_is_chosen_is_no_repeat_folder(tmp_path: Path) -> None:
    put(tmp_path / "10_zvk" / "a.png")
    assert read_dataset(tmp_path / "10_zvk").images[0].repeats == 1


def test_a_numbered_folders_words_stand_for_a_missing_caption_and_that_is_told(tmp_path: Path) -> None:
    put(tmp_path / "10_zvk_woman" / "a.png", 1)
    captioned(tmp_path / "10_zvk_woman" / "b.png", photo(2, (64, 64)), "zvk, in a park")
    told = {image.name: (image.caption, image.caption_is_folder) for image in read_dataset(tmp_path).images}
    assert told == {"10_zvk_woman/a.png": ("zvk woman", True), "10_zvk_woman/b.png": ("zvk, in a park", False)}
    assert "caption-missing" in codes(tmp_path)["10_zvk_woman/a.png"]


def test_two_images_that_share_a_caption_file_are_told(tmp_path: Path) -> None:
    captioned(tmp_path / "a.png", photo(1, (64, 64)), "one")
    put(tmp_path / "a.jpg", 2)
    assert "caption-shared" in codes(tmp_path)[None]


def test_files_that_are_not_part_of_the_set_are_told(tmp_path: Path) -> None:
    captioned(tmp_path / "a.png", photo(1, (64, 64)), "one")
    for name in ("b.heic", "10_x/c.GIF", "b.txt", "10_x/d.caption", ".hidden.gif", "notes.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    findings = {finding.code: finding for finding in check(read_dataset(tmp_path), Rules(resolution=64))}
    assert findings["not-read"].others == ("b.heic", "10_x/c.GIF")
    assert findings["caption-orphan"].others == ("b.txt", "10_x/d.caption")
    (tmp_path / "a.png").unlink()
    with pytest.raises(NotFoundError, match=r"convert b\.heic"):
        read_dataset(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every folder")
def test_a_folder_that_cannot_be_listed_is_named(tmp_path: Path) -> None:
    put(tmp_path / "a.png")
    (tmp_path / "closed").mkdir(mode=0)
    with pytest.raises(HubError, match="closed"):
        read_dataset(tmp_path)


# masks ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["masks/a.png", "Mask/a.JPG", "a-masklabel.png", "masks/sub/a.png"])
def test_a_mask_is_found_where_people_put_it_and_is_no_image(tmp_path: Path, place: str) -> None:
    image = put(tmp_path / ("sub/a.png" if "sub" in place else "a.png"))
    mask = tmp_path / place
    mask.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (64, 64), 255).save(mask)
    (only,) = read_dataset(tmp_path).images
    assert (only.path, only.mask_path) == (image, mask)
    assert only.mask is not None
    assert only.mask.learned == 1.0


def test_a_folder_of_masks_may_lie_elsewhere(tmp_path: Path) -> None:
    put(tmp_path / "set" / "sub" / "a.png", 1)
    put(tmp_path / "set" / "b.png", 2)
    (tmp_path / "elsewhere" / "sub").mkdir(parents=True)
    Image.new("L", (64, 64), 0).save(tmp_path / "elsewhere" / "sub" / "a.webp")
    found = {
        image.name: image.mask_path for image in read_dataset(tmp_path / "set", masks=tmp_path / "elsewhere").images
    }
    assert found == {"sub/a.png": tmp_path / "elsewhere" / "sub" / "a.webp", "b.png": None}
    with pytest.raises(NotFoundError, match="nowhere"):
        read_dataset(tmp_path / "set", masks=tmp_path / "nowhere")


def test_a_transparent_mask_is_black_where_nothing_is(tmp_path: Path) -> None:
    mask = Image.new("RGBA", (64, 64), (255, 255, 255, 0))
    mask.paste((255, 255, 255, 255), (0, 0, 32, 64))
    mask.save(tmp_path / "m.png")
    assert measure_mask(tmp_path / "m.png").learned == 0.5


def test_masks_are_checked_when_they_are_used(tmp_path: Path) -> None:
    for number, name in enumerate("abcde"):
        put(tmp_path / f"{name}.png", number)
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / "a.png").write_bytes(b"no picture")
    Image.new("L", (64, 64), 0).save(tmp_path / "masks" / "b.png")
    Image.new("L", (64, 32), 255).save(tmp_path / "masks" / "c.png")
    Image.new("L", (128, 128), 255).save(tmp_path / "masks" / "d.png")
    found = codes(tmp_path, Rules(resolution=64, masks="folder"))
    expected = {"a.png": "mask-damaged", "b.png": "mask-empty", "c.png": "mask-aspect", "e.png": "mask-missing"}
    assert {name: {code for code in told if "mask" in code} for name, told in found.items() if name} == {
        **{name: {code} for name, code in expected.items()},
        "d.png": set(),
    }
    assert not any("mask" in code for told in codes(tmp_path).values() for code in told)


def test_the_fingerprint_follows_repeats_masks_and_what_is_left_out(tmp_path: Path) -> None:
    for number in range(3):
        put(tmp_path / f"{number}.png", number)
    seen = [read_dataset(tmp_path).fingerprint]
    (tmp_path / "3_x").mkdir()
    (tmp_path / "0.png").rename(tmp_path / "3_x" / "0.png")
    seen.append(read_dataset(tmp_path).fingerprint)
    (tmp_path / "masks").mkdir()
    Image.new("L", (64, 64), 9).save(tmp_path / "masks" / "1.png")
    seen.append(read_dataset(tmp_path).fingerprint)
    leave(tmp_path, ["2.png"])
    seen.append(read_dataset(tmp_path).fingerprint)
    assert len(set(seen)) == 4


# left out -------------------------------------------------------------------------------------------------------------


def test_a_left_out_image_is_not_trained_is_shown_and_can_be_taken_back(tmp_path: Path) -> None:
    for number in range(6):
        captioned(tmp_path / f"{number}.png", photo(number, (64, 64)), f"thing {number}")
    (tmp_path / "broken.png").write_bytes(b"")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    assert leave(tmp_path, ["broken.png", "5.png", "5.png"]) == ("broken.png", "5.png")
    assert leave(tmp_path, ["5.png"]) == ()
    assert all(path.read_bytes() == content for path, content in before.items())
    found = read_dataset(tmp_path)
    assert [image.name for image in found.usable] == [f"{number}.png" for number in range(5)]
    assert [file.name for file in training_files(tmp_path)] == [f"{number}.png" for number in range(5)]
    told = codes(tmp_path)
    assert told["broken.png"] == told["5.png"] == {"left-out"}
    assert take(tmp_path, ["5.png", "4.png"]) == ("5.png",)
    assert left_out(tmp_path) == {"broken.png"}


def test_a_line_that_a_crash_cut_off_costs_only_itself(tmp_path: Path) -> None:
    for number in range(3):
        put(tmp_path / f"{number}.png", number)
    leave(tmp_path, ["0.png"])
    with (tmp_path / LOG).open("ab") as file:
        file.write(b'{"at":"2026')
    leave(tmp_path, ["1.png"])
    assert left_out(tmp_path) == {"0.png", "1.png"}


def test_what_is_no_image_of_the_set_is_named(tmp_path: Path) -> None:
    put(tmp_path / "a.png")
    for change in (leave, take):
        with pytest.raises(NotFoundError, match=r"b\.png"):
            change(tmp_path, ["b.png"])
    leave(tmp_path, ["a.png"])
    (tmp_path / "a.png").unlink()
    put(tmp_path / "c.png")
    assert take(tmp_path, ["a.png"]) == ("a.png",)


def test_the_same_names_in_two_folders_are_two_images(tmp_path: Path) -> None:
    put(tmp_path / "x" / "a.png", 1)
    put(tmp_path / "y" / "a.png", 2)
    leave(tmp_path, ["x/a.png"])
    assert [image.name for image in read_dataset(tmp_path).usable] == ["y/a.png"]
