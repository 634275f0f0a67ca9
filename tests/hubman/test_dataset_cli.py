"""``hubman dataset check|show|sheet|leave|take``, the contact sheet, and captions counted by the base's tokenizer."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageStat

from hubman import tinybase
from hubman.cli.main import run
from hubman.train.captioning.tokens import ESTIMATE, token_rule
from hubman.train.checks import estimate_tokens
from tests.support.training_pictures import captioned, photo


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six good images, one of them wide, and a damaged one."""
    folder = tmp_path / "ink"
    for number in range(5):
        captioned(folder / f"{number}.png", photo(number, (64, 64)), f"zvk, thing {number}")
    captioned(folder / "5_more" / "wide.png", photo(9, (400, 100)), "zvk, a wide thing")
    (folder / "broken.png").write_bytes(b"")
    return folder


def told(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    run(["dataset", *words, "--json"])
    return json.loads(capsys.readouterr().out)


def test_check_tells_each_finding_with_what_to_do(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["dataset", "check", str(folder), "--trigger", "zvk"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "error  damaged: broken.png: the file is empty; replace the file, or leave the image out"
    assert "7 images, 6 are trained" in lines[-2]
    again = lines[-1].partition(" leaves 1 out")[0]
    assert again == f"hubman dataset leave {folder} --harmful --trigger zvk"
    assert run(again.split()[1:]) == 0
    assert run(["dataset", "check", str(folder)]) == 0


def test_left_out_images_stop_no_training_and_come_back(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert told(capsys, "leave", str(folder), "--harmful") == {"left_out": ["broken.png"]}
    found = told(capsys, "check", str(folder))
    assert found["left_out"] == ["broken.png"]
    assert found["usable"] == 6
    assert run(["dataset", "check", str(folder)]) == 0
    capsys.readouterr()
    # As the shell completes it.
    assert told(capsys, "leave", str(folder), str(folder / "5_more" / "wide.png")) == {"left_out": ["5_more/wide.png"]}
    states = {row["image"]: row["state"] for row in told(capsys, "show", str(folder))}
    assert states == {
        **{f"{i}.png": "trained" for i in range(5)},
        "5_more/wide.png": "left out",
        "broken.png": "left out",
    }
    assert told(capsys, "take", str(folder), "--all") == {"taken_back": ["5_more/wide.png", "broken.png"]}
    assert told(capsys, "leave", str(folder), "--with", "aspect") == {"left_out": ["5_more/wide.png"]}


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["leave"], 2, "--harmful"),
        (["take"], 2, "--all"),
        (["leave", "no.png"], 1, "no image no.png"),
        (["sheet", "--out", "x.jpg"], 2, "x.jpg is no PNG"),
        (["check", "--base", "/no/base"], 1, "no base model"),
        (["check", "--masks", "alpha", "--mask-folder", "."], 2, "--mask-folder or"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], words: list[str], status: int, said: str
) -> None:
    assert run(["dataset", words[0], str(folder), *words[1:]]) == status
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["leave", "--with", "no-such-code"], "the checks find no such image"),
        (["leave", "0.png"], "all of them are left out already"),
        (["take", "1.png"], "none of them is left out"),
    ],
)
def test_why_there_is_nothing_to_do_is_told(
    folder: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    run(["dataset", "leave", str(folder), "0.png"])
    capsys.readouterr()
    assert run(["dataset", words[0], str(folder), *words[1:]]) == 0
    assert capsys.readouterr().out == f"nothing to do: {said}\n"


def test_no_job_is_begun_for_a_folder_that_is_not_there(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["dataset", "caption", str(folder / "nowhere")]) == 1
    assert capsys.readouterr().err.startswith(f"hubman: {folder / 'nowhere'} is not a folder: ")


def test_show_tells_how_an_image_is_trained(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (row,) = [row for row in told(capsys, "show", str(folder), "--resolution", "64") if "wide" in row["image"]]
    assert row == {
        "image": "5_more/wide.png", "size": "400x100", "bucket": "64x64", "kept": "25%", "repeats": 5, "mask": "",
        "state": "trained", "caption": "zvk, a wide thing",
    }  # fmt: skip


def test_the_sheet_shows_crops_findings_and_what_is_left_out(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(["dataset", "leave", str(folder), "0.png"])
    capsys.readouterr()
    out = tmp_path / "sheet.png"
    assert told(capsys, "sheet", str(folder), "--out", str(out), "--trigger", "zvk")["images"] == 7
    with Image.open(out) as opened:
        sheet = opened.convert("RGB")
    side, gap, head = 224, 8, 40

    def cell(index: int) -> Image.Image:
        left, top = gap + index % 3 * (side + gap), head + index // 3 * (side + 32 + gap)
        return sheet.crop((left, top, left + side, top + side))

    left_out, good, wide = cell(0), cell(1), cell(6)
    assert left_out.crop((20, 100, 60, 110)).convert("HSV").getextrema()[1] == (0, 0)
    assert good.getpixel((100, 0)) == (74, 222, 128)
    # The crop of the wide one is framed in the colour of a warning, and dark beside it.
    assert wide.getpixel((112, 84)) == (245, 158, 11)
    inside, outside = (ImageStat.Stat(wide.crop(box)).sum for box in ((100, 100, 124, 124), (10, 100, 34, 124)))
    assert sum(outside) < 0.6 * sum(inside)
    assert out.read_bytes()[:4] == b"\x89PNG"


def test_a_sheet_does_not_become_a_training_image(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["dataset", "sheet", str(folder), "--out", str(folder / "5_more" / "sheet.png")]) == 2
    assert "would lie among the images" in capsys.readouterr().err
    assert not (folder / "5_more" / "sheet.png").exists()


def test_a_sheet_that_cannot_be_written_leaves_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder.parent / "file").write_bytes(b"")
    assert run(["dataset", "sheet", str(folder), "--out", str(folder.parent / "file" / "x.png")]) == 1
    assert "cannot write" in capsys.readouterr().err


# tokens ---------------------------------------------------------------------------------------------------------------

_CAPTIONS = [
    "", "  ", "a red circle, on a blue background", "it's Zvk's 1girl, café 😀 hello_world (((x))) 2024", "漢字 ÀÉ",
    "a <|endoftext|> b", " ".join(random.Random(3).choices(["circle", "unbelievable", "zvk", "(", "7"], k=90)),
]  # fmt: skip


@pytest.mark.parametrize("base", [tinybase.MODEL, tinybase.CLIP])
def test_tokens_are_those_of_the_bases_own_tokenizer(base: Path, tmp_path: Path) -> None:
    from transformers import CLIPTokenizer

    folder = base / "tokenizer" if base == tinybase.MODEL else base
    if base == tinybase.CLIP:  # the files that CLIP was published with: vocab.json and merges.txt
        (tmp_path / "base").mkdir()
        (tmp_path / "base" / "tokenizer").symlink_to(base)
        base = tmp_path / "base"
    rule = token_rule(base)
    own = CLIPTokenizer.from_pretrained(folder, local_files_only=True)
    assert rule.exact
    expected = [
        len(own(text, add_special_tokens=False, truncation=False, verbose=False).input_ids) for text in _CAPTIONS
    ]
    assert [rule.count(text) for text in _CAPTIONS] == expected


def test_a_checkpoint_without_a_tokenizer_is_counted_by_the_vocabulary_that_is_shipped(tmp_path: Path) -> None:
    from hubman.train.architectures.clip import clip_tokenizer

    base = tmp_path / "base.safetensors"
    names = ("model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight",)
    header = json.dumps(
        {name: {"dtype": "F16", "shape": [1, 768], "data_offsets": [0, 1536]} for name in names}
    ).encode()
    base.write_bytes(len(header).to_bytes(8, "little") + header + bytes(1536))
    rule, own = token_rule(base), clip_tokenizer()
    assert rule.exact
    assert [rule.count(text) for text in _CAPTIONS] == [
        len(own(text, add_special_tokens=False, truncation=False, verbose=False).input_ids) for text in _CAPTIONS
    ]


def test_a_base_without_a_readable_tokenizer_is_estimated(tmp_path: Path) -> None:
    assert token_rule(tmp_path / "base.safetensors") == ESTIMATE
    (tmp_path / "tokenizer").mkdir()
    (tmp_path / "tokenizer" / "tokenizer.json").write_text("{broken")
    assert token_rule(tmp_path).count is estimate_tokens


def test_an_encoder_that_reads_whole_sentences_sets_its_own_limit(tmp_path: Path) -> None:
    for name in ("tokenizer", "tokenizer_2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "tokenizer.json").write_bytes((tinybase.MODEL / "tokenizer" / "tokenizer.json").read_bytes())
    (tmp_path / "tokenizer_2" / "tokenizer_config.json").write_text('{"tokenizer_class": "T5TokenizerFast"}')
    assert token_rule(tmp_path).most == 512


def test_a_caption_over_the_limit_is_told_with_its_tokens(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "1.txt").write_text("zvk, " + "circle " * 80)
    (finding,) = [each for each in told(capsys, "check", str(folder))["findings"] if each["code"] == "caption-long"]
    count = token_rule(tinybase.MODEL).count("zvk, " + "circle " * 80)
    assert finding["image"] == "1.png"
    assert f"has {count} tokens" in finding["sentence"]
