"""Edits of a whole set of captions: what they change, that they can be undone, and that no crash leaves half of one."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from hubman.cli.main import run
from hubman.train.captioning import caption_edits, caption_log, tags
from hubman.train.captioning.caption_log import NAME, Change
from hubman.train.captioning.captions import draft_all, drafts, finish, write_caption
from hubman.train.captioning.tags import split_tags
from hubman.train.data.dataset import read_caption
from registry.errors import HubError, NotFoundError, UsageError

CAPTIONS = ("zvk, red car, sky", "zvk, blue car", "a car, Sky, night")
words = st.text("ab cZ.*\\(", min_size=1).map(lambda text: " ".join(text.split())).filter(bool)
taglists = st.lists(words, max_size=6)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four pictures, the last one without a caption."""
    made = tmp_path / "set"
    made.mkdir()
    for number in range(4):
        Image.new("RGB", (8, 8), (60 * number, 0, 0)).save(made / f"{number}.png")
    for number, caption in enumerate(CAPTIONS):
        (made / f"{number}.txt").write_text(caption)
    return made


def captions(folder: Path) -> list[str | None]:
    return [read_caption(folder / f"{number}.png")[0] for number in range(4)]


def edit(folder: Path, rewrite: tags.Rewrite) -> caption_edits.Plan:
    made = caption_edits.plan(folder, "an edit", rewrite)
    caption_edits.apply(made)
    return made


def test_replacing_previews_changes_and_leaves_uncaptioned_images_alone(folder: Path) -> None:
    plan = caption_edits.plan(folder, "x", tags.replacing("car", "boat"))
    assert captions(folder)[:3] == list(CAPTIONS), "a plan writes nothing"
    assert next((each.before, each.after) for each in plan.wanted) == (CAPTIONS[0], "zvk, red boat, sky")
    assert plan.uncaptioned == ("3.png",)
    assert caption_edits.apply(plan).written == ("0.png", "1.png", "2.png")
    assert captions(folder) == ["zvk, red boat, sky", "zvk, blue boat", "a boat, Sky, night", None]
    assert not (folder / "3.txt").exists()


@pytest.mark.parametrize(
    ("rewrite", "after"),
    [
        (tags.replacing("CAR", "x"), CAPTIONS),
        (tags.replacing("CAR", "x", ignore_case=True), ("zvk, red x, sky", "zvk, blue x", "a x, Sky, night")),
        (tags.replacing(r"(red|blue) car", r"car (\1)", regex=True), ("zvk, car (red), sky", "zvk, car (blue)", CAPTIONS[2])),
        (tags.replacing(".", "x"), CAPTIONS),
        (tags.removing(["SKY"]), ("zvk, red car", "zvk, blue car", "a car, night")),
        (tags.renaming("sky", "dawn"), ("zvk, red car, dawn", "zvk, blue car", "a car, dawn, night")),
        (tags.renaming("sky", "red car"), ("zvk, red car", "zvk, blue car", "a car, red car, night")),
        (tags.adding(["sky", "ink"]), ("zvk, red car, sky, ink", "zvk, blue car, sky, ink", "a car, Sky, night, ink")),
        (tags.adding(["ink"], "start"), ("ink, zvk, red car, sky", "ink, zvk, blue car", "ink, a car, Sky, night")),
        (tags.adding(["ink"], "trigger", "zvk"), ("zvk, ink, red car, sky", "zvk, ink, blue car", "ink, a car, Sky, night")),
        (tags.tidying(sort=True, keep=1), ("zvk, red car, sky", "zvk, blue car", "a car, night, Sky")),
    ],
)  # fmt: skip
def test_each_edit_changes_tags_and_nothing_else(folder: Path, rewrite: tags.Rewrite, after: tuple[str, ...]) -> None:
    edit(folder, rewrite)
    assert captions(folder)[:3] == list(after)


@given(taglists, taglists.filter(bool), st.sampled_from(tags.PLACES))
def test_what_is_added_is_there_once_and_removing_it_leaves_the_rest(
    before: list[str], new: list[str], at: tags.Place
) -> None:
    line = ", ".join(before)
    added = tags.adding(new, at)(line)
    lower = [tag.lower() for tag in split_tags(added)]
    for tag in new:
        assert lower.count(tag.lower()) == max(1, [each.lower() for each in before].count(tag.lower()))
    assert [tag for tag in split_tags(added) if tag in before] == before
    gone = {tag.lower() for tag in new}
    assert split_tags(tags.removing(new)(added)) == [tag for tag in before if tag.lower() not in gone]


@given(taglists, st.booleans(), st.integers(0, 3))
def test_tidying_keeps_each_tag_once_and_does_no_more_a_second_time(before: list[str], sort: bool, keep: int) -> None:
    tidying = tags.tidying(sort=sort, keep=keep)
    after = tidying(", ".join(before))
    assert {tag.lower() for tag in split_tags(after)} == {tag.lower() for tag in before}
    assert len(split_tags(after)) == len({tag.lower() for tag in before})
    assert tidying(after) == after


def test_tags_are_counted_by_caption_whatever_their_case(folder: Path) -> None:
    (folder / "1.txt").write_text("zvk, blue car, blue car")
    counted = {found.tag: found for found in caption_edits.tag_counts(folder)}
    assert {tag: found.count for tag, found in counted.items()} == {
        "zvk": 2, "sky": 2, "red car": 1, "blue car": 1, "a car": 1, "night": 1,
    }  # fmt: skip
    assert counted["sky"].images == ("0.png", "2.png")


def test_a_trigger_is_words_of_its_own() -> None:
    assert tags.has_trigger("a ZVK cat", "zvk")
    assert not tags.has_trigger("a zvkish cat", "zvk")
    assert tags.has_trigger("by (zvk)", "zvk")
    assert tags.trigger_spans("zvk, a zvk", "zvk") == [(0, 3), (7, 10)]


def test_undo_brings_back_every_byte_edit_by_edit(folder: Path) -> None:
    (folder / "0.txt").write_bytes(b"\xef\xbb\xbfzvk,  red car\r\n\r\n second line\t")
    (folder / "1.txt").write_bytes(b"caf\xe9")
    before = {path.name: path.read_bytes() for path in folder.glob("*.txt")}
    edit(folder, tags.adding(["ink"]))
    assert captions(folder)[0] == "zvk, red car, ink\nsecond line, ink"
    write_caption(folder / "1.png", "typed over what could not be read")
    write_caption(folder / "3.png", "typed")
    assert [what for what, _ in caption_edits.undoable(folder)] == ["caption of 3.png", "caption of 1.png", "an edit"]
    assert caption_edits.undo(folder).restored == ("3.png",)
    caption_edits.undo(folder)
    assert caption_edits.undo(folder).what == "an edit"
    assert {path.name: path.read_bytes() for path in folder.glob("*.txt")} == before
    with pytest.raises(NotFoundError, match="nothing to undo"):
        caption_edits.undo(folder)


def test_undo_leaves_what_was_changed_elsewhere_since(folder: Path) -> None:
    edit(folder, tags.adding(["ink"]))
    (folder / "1.txt").write_text("written by another program")
    undone = caption_edits.undo(folder)
    assert (undone.restored, undone.passed_over) == (("0.png", "2.png"), ("1.png",))
    assert captions(folder)[1] == "written by another program"


def test_a_plan_does_not_write_over_what_changed_after_it(folder: Path) -> None:
    plan = caption_edits.plan(folder, "x", tags.adding(["ink"]))
    write_caption(folder / "0.png", "typed meanwhile")
    assert caption_edits.apply(plan).passed_over == ("0.png",)
    assert captions(folder)[0] == "typed meanwhile"


def test_a_draft_that_was_edited_is_typed_and_undone_is_a_draft_again(folder: Path) -> None:
    draft_all(folder, lambda _: "a drafted car")
    assert list(drafts(folder)) == [folder / "3.png"]
    edit(folder, tags.adding(["ink"]))
    assert draft_all(folder, lambda _: "again", redraft=True) == ()
    caption_edits.undo(folder)
    assert captions(folder)[3] == "a drafted car"
    assert draft_all(folder, lambda _: "again", redraft=True) == ("3.png",)
    assert caption_edits.undo(folder).restored == ("3.png",)
    assert captions(folder)[3] == "a drafted car"
    caption_edits.undo(folder)
    assert not (folder / "3.txt").exists()


def test_a_set_of_several_folders_is_edited_and_undone_as_one(folder: Path, tmp_path: Path) -> None:
    below = folder / "3_zvk cat"
    below.mkdir()
    for name in ("0", "x"):
        Image.new("RGB", (8, 8), "blue").save(below / f"{name}.png")
        (below / f"{name}.txt").write_text("deep car")
    plan = edit(folder, tags.replacing("car", "boat"))
    assert len(plan.wanted) == 5
    assert read_caption(below / "0.png")[0] == "deep boat"
    assert {found.tag: found.images for found in caption_edits.tag_counts(folder)}["deep boat"] == (
        "3_zvk cat/0.png", "3_zvk cat/x.png",
    )  # fmt: skip
    assert "3_zvk cat/0.png" in caption_edits.undo(folder).restored
    assert read_caption(below / "0.png")[0] == "deep car"
    assert captions(folder)[0] == CAPTIONS[0]


def test_a_log_from_elsewhere_reaches_no_file_outside_the_set(folder: Path) -> None:
    outside = folder.parent / "outside.png"
    Image.new("RGB", (8, 8)).save(outside)
    outside.with_suffix(".txt").write_text("mine")
    forged = Change("2026-01-01", "../outside.png", "typed", None, "mine", "e", "an edit", original=b"evil")
    (folder / NAME).write_bytes(msgspec.json.encode(forged) + b"\n")
    assert caption_edits.undo(folder).passed_over == ("../outside.png",)
    forged = Change("2026-01-01", str(outside), "typed", "mine", None, "f")
    (folder / NAME).write_bytes(msgspec.json.encode(forged) + b"\n")
    finish(folder)
    assert outside.with_suffix(".txt").read_text() == "mine"


def test_pictures_that_share_a_caption_file_are_edited_once(folder: Path) -> None:
    Image.new("RGB", (8, 8)).save(folder / "0.webp")
    edit(folder, tags.replacing("car", "car car"))
    assert captions(folder)[0] == "zvk, red car car, sky"


@pytest.mark.parametrize("written", range(4))
def test_an_edit_that_was_killed_is_carried_on_by_the_next_and_undone_as_one(
    folder: Path, tmp_path: Path, written: int
) -> None:
    after = tmp_path / "after"
    shutil.copytree(folder, after)
    edit(after, tags.adding(["ink"]))
    lines = (after / NAME).read_bytes().splitlines(keepends=True)
    # As a kill leaves it: the edit is written down but not closed, some files are replaced, none is half.
    (folder / NAME).write_bytes(b"".join(lines[:-1]))
    for number in range(written):
        shutil.copy(after / f"{number}.txt", folder / f"{number}.txt")
    write_caption(folder / "3.png", "typed")
    assert captions(folder)[:3] == captions(after)[:3]
    caption_edits.undo(folder)
    caption_edits.undo(folder)
    assert captions(folder) == [*CAPTIONS, None]


def test_an_edit_whose_record_was_cut_off_never_happened(folder: Path, tmp_path: Path) -> None:
    after = tmp_path / "after"
    shutil.copytree(folder, after)
    edit(after, tags.adding(["ink"]))
    record = (after / NAME).read_bytes()
    end = record.rindex(b"\n", 0, record.rindex(b'{"done"') - 1)
    for cut in range(0, end, 37):
        (folder / NAME).write_bytes(record[:cut])
        finish(folder)
        assert captions(folder)[:3] == list(CAPTIONS), cut
        assert caption_edits.undoable(folder) == (), cut
    write_caption(folder / "0.png", "typed")
    assert [change.after for change in caption_log.changes(folder)] == ["typed"], (
        "the cut line must not swallow the next"
    )


def test_what_a_kill_left_beside_captions_is_swept_up_and_nothing_else(folder: Path) -> None:
    old, young, other = (folder / name for name in (f".0.txt.{'a' * 32}.tmp", f".1.txt.{'b' * 32}.tmp", ".mine.tmp"))
    for path in (old, young, other):
        path.write_text("half a capt")
        if path is not young:
            os.utime(path, (0, 0))
    edit(folder, tags.adding(["ink"]))
    assert [path.exists() for path in (old, young, other)] == [False, True, True]


def test_an_edit_that_cannot_be_written_down_changes_nothing(folder: Path) -> None:
    (folder / NAME).mkdir()
    with pytest.raises(HubError, match="cannot write"):
        edit(folder, tags.adding(["ink"]))
    assert captions(folder)[:3] == list(CAPTIONS)


@pytest.mark.usefixtures("home")
def test_the_commands_edit_show_and_undo(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def told(*words: str) -> object:
        assert run(["dataset", words[0], str(folder), *words[1:], "--json"]) == 0, words
        return json.loads(capsys.readouterr().out)

    planned = told("replace", "car", "boat", "--dry-run")
    assert captions(folder)[:3] == list(CAPTIONS)
    done = told("replace", "car", "boat")
    assert isinstance(planned, dict)
    assert isinstance(done, dict)
    assert planned["changes"] == done["changes"]
    assert planned["changes"][0] == {"image": "0.png", "before": CAPTIONS[0], "after": "zvk, red boat, sky"}
    assert done["uncaptioned"] == ["3.png"]
    told("tag", "+ink", "-sky", "--at", "trigger", "--trigger", "zvk", "--rename", "night", "dawn")
    assert captions(folder)[:3] == ["zvk, ink, red boat", "zvk, ink, blue boat", "ink, a boat, dawn"]
    told("tidy", "--sort")
    assert captions(folder)[1] == "zvk, blue boat, ink"
    assert told("tags", "boat") == [
        {"tag": tag, "count": 1, "images": [image]}
        for tag, image in (("a boat", "2.png"), ("blue boat", "1.png"), ("red boat", "0.png"))
    ]
    assert told("undo", "--list") == [
        {"what": "sort tags", "captions": 1},
        {"what": "tags +ink -sky night=dawn", "captions": 3}, {"what": "replace 'car' by 'boat'", "captions": 3},
    ]  # fmt: skip
    for _ in range(3):
        told("undo")
    assert captions(folder)[:3] == list(CAPTIONS)
    assert run(["dataset", "undo", str(folder)]) == 1
    assert "nothing to undo" in capsys.readouterr().err
    assert told("undo", "--list") == []
    assert run(["dataset", "undo", str(folder / "nowhere"), "--list"]) == 1
    assert "is not a folder" in capsys.readouterr().err


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    "words",
    [("tag",), ("tag", "sky"), ("tag", "+ , "), ("tag", "+x", "--at", "trigger"), ("replace", "(", "x", "--regex"),
     ("replace", "(a)", r"\2", "--regex"), ("replace", "", "x")],
)  # fmt: skip
def test_wrong_usage_changes_nothing(folder: Path, words: tuple[str, ...]) -> None:
    assert run(["dataset", words[0], str(folder), *words[1:]]) == 2
    assert captions(folder)[:3] == list(CAPTIONS)
    with pytest.raises(UsageError):
        tags.removing([","])
