"""Captions: drafts, typed text, the log, and what training reads of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from hubman.tinybase.drawing import COLOURS, SHAPES, SIZES, Scene, combinations
from hubman.train.captioning.caption_log import changes
from hubman.train.captioning.captions import compose, draft_all, drafts, write_caption
from hubman.train.captioning.terms import read_terms
from hubman.train.data.dataset import read_caption

ROOT = Path(__file__).parents[2]
TERMS = ROOT / "hubman" / "tinybase" / "terms.json"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for i, colour in enumerate(("red", "blue", "green")):
        Image.new("RGB", (32, 32), colour).save(tmp_path / f"{i}.png")
    return tmp_path


def test_drafts_fill_gaps_and_never_replace_typed_captions(folder: Path) -> None:
    (folder / "0.txt").write_text("typed before hubman")
    assert draft_all(folder, lambda image: f"draft of {image.stem}") == ("1.png", "2.png")
    write_caption(folder / "1.png", "typed in hubman")
    (folder / "2.txt").write_text("edited in another program")
    assert draft_all(folder, lambda _: "again", redraft=True) == ()
    captions = [read_caption(folder / f"{i}.png")[0] for i in range(3)]
    assert captions == ["typed before hubman", "typed in hubman", "edited in another program"]


def test_a_draft_can_be_drafted_again_only_when_asked(folder: Path) -> None:
    draft_all(folder, lambda _: "first")
    assert draft_all(folder, lambda _: "second") == ()
    assert len(draft_all(folder, lambda _: "second", redraft=True)) == 3
    assert set(drafts(folder).values()) == {"second"}


def test_every_change_keeps_its_original(folder: Path) -> None:
    image = folder / "0.png"
    (folder / "0.caption").write_text("the original")
    write_caption(image, " a  new\n\n caption")
    assert (folder / "0.caption").read_text() == "a new\ncaption\n"
    assert not (folder / "0.txt").exists()
    assert [(change.before, change.after, change.by) for change in changes(folder)] == [
        ("the original", "a new\ncaption", "typed")
    ]
    with (folder / ".hubman-captions.jsonl").open("ab") as log:
        log.write(b'{"at": "cut o')
    assert len(changes(folder)) == 1


def test_a_caption_cannot_steer_the_terminal(folder: Path) -> None:
    (folder / "0.txt").write_bytes(b"a\x1b[31m cat\x07\r\nsecond\tline\n")
    assert read_caption(folder / "0.png") == ("a[31m cat\nsecond line", "")


def test_drafts_made_before_an_interruption_stay(folder: Path) -> None:
    texts = iter(["first", "second"])
    with pytest.raises(StopIteration):
        draft_all(folder, lambda _: next(texts))
    assert [read_caption(folder / f"{i}.png")[0] for i in range(3)] == ["first", "second", None]


def test_an_unreadable_caption_is_not_drafted_over(folder: Path) -> None:
    (folder / "0.txt").write_bytes(b"\xff\xfe\xe9")
    assert "0.png" not in draft_all(folder, lambda _: "draft")
    assert (folder / "0.txt").read_bytes() == b"\xff\xfe\xe9"


@pytest.mark.parametrize(
    ("text", "trigger", "blacklist", "composed"),
    [
        ("a cat, sky", "zvk", (), "zvk, a cat, sky"),
        ("a zvk cat", "zvk", (), "a zvk cat"),
        ("cat, Watermark , sky", "", ("watermark",), "cat, sky"),
        ("watermark", "zvk", ("watermark",), "zvk"),
        ("a zvkish cat", "zvk", (), "zvk, a zvkish cat"),
    ],
)
def test_the_trigger_goes_first_and_banned_tags_go(
    text: str, trigger: str, blacklist: tuple[str, ...], composed: str
) -> None:
    assert compose(text, trigger, blacklist) == composed


def test_prefix_and_suffix_stand_around_a_draft_after_the_trigger() -> None:
    assert compose("a cat", "zvk", (), "photo,", ", night") == "zvk, photo, a cat, night"
    assert compose("a cat", "", (), "a photo of", "at night") == "a photo of a cat at night"
    assert compose("bad", "", ("bad",), "photo,", ", night") == "photo, night"


def test_the_embedded_terms_are_the_domain_of_the_embedded_base() -> None:
    candidates = set(read_terms(TERMS).candidates())
    assert candidates == {Scene(*each, size).caption for each in combinations() for size in SIZES}
    assert len(candidates) == len(SHAPES) * len(COLOURS) * (len(COLOURS) - 1) * len(SIZES)
