"""The caption editor: writing beside the picture, and edits of the whole set, by keys alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubman import tinybase
from hubman.jobs.records import Job
from hubman.train.captioning.caption_log import NAME
from hubman.train.captioning.captions import write_caption
from hubman.train.captioning.drafts import DraftRequest
from hubman.train.captioning.tokens import token_rule
from hubman.train.data.dataset import read_caption
from registry.database import Registry
from tests.support import library_factory
from tests.support.jobs import fake_job
from tests.support.screens import notes_of, press, settle, text_of, write
from tui.app import HubmanApp
from tui.caption_set import read_to
from tui.screens.captions import CaptionsScreen
from tui.screens.train import TrainScreen
from tui.widgets.caption_editor import CaptionEditor
from tui.widgets.caption_lists import CaptionList, TagList

OpenApp = Callable[[], HubmanApp]
WRITTEN = ("zvk, red boat, sky", "zvk, boat", "night, sky, sky")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four pictures, the last one without a caption."""
    made = tmp_path / "ink"
    for path, caption in zip(library_factory.write_pictures(made, 4), WRITTEN, strict=False):
        path.with_suffix(".txt").write_text(caption)
    return made


def captions(folder: Path) -> list[str | None]:
    return [read_caption(path)[0] for path in sorted(folder.glob("*.png"))]


async def _open(app: HubmanApp, folder: Path, trigger: str = "zvk") -> CaptionsScreen:
    screen = CaptionsScreen(folder, trigger=trigger, base=tinybase.MODEL)
    await app.push_screen(screen)
    return screen


async def test_a_caption_is_saved_when_one_goes_to_the_next_picture(open_app: OpenApp, folder: Path) -> None:
    app = open_app()
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await _open(app, folder)
        await settle(pilot)
        await press(pilot, "e", "comma", "k")
        assert "not saved yet" in text_of(app)
        assert captions(folder)[0] == WRITTEN[0]
        await press(pilot, "pagedown")
        assert captions(folder)[0] == "zvk, red boat, sky,k"
        editor = screen.query_one(CaptionEditor)
        assert editor.text == "zvk, boat"
        assert editor.has_focus, "one goes on writing"
        await press(pilot, "x", "pageup")
        assert (captions(folder)[1], editor.text) == ("zvk, boatx", "zvk, red boat, sky,k")
        await press(pilot, "y", "escape")
        assert captions(folder)[0] == "zvk, red boat, sky,ky"
        assert screen.query_one(CaptionList).has_focus
        assert screen.query_one(CaptionList).item(1).caption == "zvk, boatx"  # type: ignore[union-attr]


async def test_moving_without_writing_changes_no_file(open_app: OpenApp, folder: Path) -> None:
    (folder / "01.txt").write_bytes(b" zvk,  red \r\n")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    app = open_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await _open(app, folder)
        await settle(pilot)
        await press(pilot, "e", "pagedown", "pagedown", "escape")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


async def test_tokens_are_counted_and_the_trigger_looked_for_while_one_writes(open_app: OpenApp, folder: Path) -> None:
    app = open_app()
    async with app.run_test(size=(120, 36)) as pilot:
        screen = await _open(app, folder)
        await settle(pilot)
        assert "zvk first" in text_of(app)
        await press(pilot, "j", "j", "e")
        measure = screen.query_one("#measure")
        tokens = token_rule(tinybase.MODEL).count(WRITTEN[2])
        assert str(measure.render()) == f"{tokens} of 75 tokens · zvk is missing", "exactly, by the base's tokenizer"
        editor = screen.query_one(CaptionEditor)
        editor.insert(", zvk")
        await settle(pilot)
        assert "zvk inside" in text_of(app)
        line = editor.get_line(0)
        assert [line.plain[span.start : span.end] for span in line.spans if span.style] == ["zvk"]
        editor.insert(", a red circle" * 30)
        await settle(pilot)
        over = max(editor.get_line(0).spans, key=lambda span: span.start)
        assert over.end == len(editor.text)
        await press(pilot, "escape", "g", "n")
        assert screen.query_one(CaptionList).cursor == 2, "the next one with something to do is too long"
        assert "1 over 75 tokens" in text_of(app)
        await press(pilot, "n", "N", "t", "end", "ctrl+u")
        await write(pilot, "night")
        await press(pilot, "enter")
        assert "without night" in text_of(app)


async def test_replacing_shows_what_would_change_and_undo_takes_it_back(open_app: OpenApp, folder: Path) -> None:
    app = open_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await _open(app, folder)
        await settle(pilot)
        await press(pilot, "R")
        await write(pilot, "(red )?boat")
        assert "No caption has that" in text_of(app)
        await press(pilot, "f3")
        await write(pilot, "(")
        await press(pilot, "enter")
        assert "the pattern '(red )?boat(' or its replacement is wrong" in text_of(app)
        assert captions(folder)[:3] == list(WRITTEN)
        await press(pilot, "backspace", "tab")
        await write(pilot, "ship")
        text = text_of(app)
        assert "2 captions  ·  F3 regular expression" in text
        assert "zvk, ship, sky" in text
        assert captions(folder)[:3] == list(WRITTEN)
        await press(pilot, "enter")
        assert captions(folder)[:3] == ["zvk, ship, sky", "zvk, ship", WRITTEN[2]]
        assert "2 captions; z takes it back" in notes_of(app)[-1]
        await press(pilot, "z")
        assert captions(folder)[:3] == list(WRITTEN)


async def test_tags_are_added_removed_renamed_and_tidied_everywhere(open_app: OpenApp, folder: Path) -> None:
    app = open_app()
    async with app.run_test(size=(120, 36)) as pilot:
        screen = await _open(app, folder)
        await settle(pilot)
        await press(pilot, "a")
        await write(pilot, "ink")
        await press(pilot, "enter", "j", "enter")
        assert captions(folder) == ["zvk, ink, red boat, sky", "zvk, ink, boat", "ink, night, sky, sky", None]
        await press(pilot, "s", "enter")
        assert captions(folder)[2] == "ink, night, sky"
        await press(pilot, "f")
        await write(pilot, "sk")
        await press(pilot, "enter")
        rows = screen.query_one(TagList)
        assert [rows.item(at).tag for at in range(rows.row_count)] == ["sky"]  # type: ignore[union-attr]
        await press(pilot, "r", "end", "ctrl+u")
        await write(pilot, "dawn")
        await press(pilot, "enter")
        assert captions(folder)[0] == "zvk, ink, red boat, dawn"
        await press(pilot, "escape", "d")
        await write(pilot, "ink")
        await press(pilot, "enter")
        assert captions(folder)[:3] == ["zvk, red boat, dawn", "zvk, boat", "night, dawn"]
        await press(pilot, "z", "z", "z")
        assert captions(folder)[2] == "ink, night, sky, sky"


async def test_enter_on_a_tag_and_a_filter_show_the_pictures_that_have_it(open_app: OpenApp, folder: Path) -> None:
    app = open_app()
    async with app.run_test(size=(120, 36)) as pilot:
        screen = await _open(app, folder)
        await settle(pilot)
        rows = screen.query_one(CaptionList)
        await press(pilot, "f")
        await write(pilot, "sky")
        await press(pilot, "enter", "enter")
        assert (rows.row_count, rows.has_focus) == (2, True)
        assert "2 with the tag sky" in text_of(app)
        await press(pilot, "escape", "slash")
        await write(pilot, "BOAT")
        await press(pilot, "enter")
        assert [rows.item(at).name for at in range(rows.row_count)] == ["00.png", "01.png"]  # type: ignore[union-attr]
        await press(pilot, "escape")
        assert rows.row_count == 4
        await press(pilot, "escape")
        assert not isinstance(app.screen, CaptionsScreen)


async def test_what_is_being_written_survives_a_change_elsewhere(open_app: OpenApp, folder: Path) -> None:
    app = open_app()
    async with app.run_test(size=(120, 36)) as pilot:
        screen = await _open(app, folder)
        await settle(pilot)
        await press(pilot, "e", "x")
        write_caption(folder / "01.png", "drafted meanwhile", by="draft", folder=folder)
        screen.read()
        await settle(pilot)
        assert screen.query_one(CaptionEditor).text == "zvk, red boat, skyx"
        assert "drafted meanwhile" in text_of(app)
        await press(pilot, "pagedown")
        assert str(screen.query_one("#measure").render()).endswith("· draft")
        await press(pilot, "y", "escape")
        assert captions(folder)[:2] == ["zvk, red boat, skyx", "drafted meanwhiley"]
        assert "· draft" not in text_of(app), "what a person edited is a draft no more"


async def test_a_caption_that_cannot_be_saved_stays_in_the_editor(open_app: OpenApp, folder: Path) -> None:
    (folder / NAME).mkdir()
    app = open_app()
    async with app.run_test(size=(120, 36)) as pilot:
        screen = await _open(app, folder)
        await settle(pilot)
        await press(pilot, "e", "x", "escape")
        assert "00.png is not saved: cannot write" in notes_of(app)[-1]
        assert screen.query_one(CaptionEditor).text == "zvk, red boat, skyx"
        await press(pilot, "j")
        assert screen.query_one(CaptionEditor).text == "zvk, boat"
        await press(pilot, "q")
        assert app.screen is screen, "it is not left with words unsaved"
        await press(pilot, "k")
        assert screen.query_one(CaptionEditor).text == "zvk, red boat, skyx", "the words wait at their picture"
        (folder / NAME).rmdir()
        await press(pilot, "e", "y", "escape")
        assert captions(folder)[0] == "zvk, red boat, skyxy"


async def test_what_stands_in_the_editor_when_the_program_ends_is_saved(open_app: OpenApp, folder: Path) -> None:
    app = open_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await _open(app, folder)
        await settle(pilot)
        await press(pilot, "e", "x")
        await pilot.press("ctrl+q")
    assert captions(folder)[0] == "zvk, red boat, skyx"


async def test_drafts_appear_as_they_are_made(open_app: OpenApp, folder: Path, home: Path) -> None:
    app = open_app()
    async with app.run_test(size=(120, 36)) as pilot:
        screen = await _open(app, folder)
        await settle(pilot)
        write_caption(folder / "03.png", "drafted now", by="draft", folder=folder)
        with Registry(home) as registry:
            fake_job(registry, "caption", "caption ink", {"folder": str(folder)})
        app.poll_soon()
        await settle(pilot)
        line = screen.query_one(CaptionList).item(3)
        assert line is not None
        assert (line.caption, line.is_draft) == ("drafted now", True)


async def test_drafts_are_started_as_chosen_and_so_again(open_app: OpenApp, folder: Path, started: list[Job]) -> None:
    app = open_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await _open(app, folder)
        await settle(pilot)
        await press(pilot, "c", "enter", "j", "enter", "s")
        assert "captions by a tagger need one: say --model" in text_of(app)
        await press(pilot, "j", "enter")
        await write(pilot, "some/tagger")
        await press(pilot, "enter", "j", "enter", "end", "ctrl+u")
        await write(pilot, "1.5")
        await press(pilot, "enter")
        assert "'1.5' is no probability" in text_of(app)
        await press(pilot, "ctrl+u", "full_stop", "2", "enter", "s", "c")
        text = text_of(app)
        assert all(said in text for said in ("a tagger", "some/tagger", "0.2", "those without a caption"))
    (job,) = started
    told = msgspec.convert(job.request, DraftRequest)
    assert told == DraftRequest(folder=str(folder), source="tagger", model="some/tagger", general=0.2, trigger="zvk")


async def test_the_train_mode_opens_it_at_the_picture_under_the_cursor(open_app: OpenApp, folder: Path) -> None:
    app = open_app()
    async with app.run_test(size=(120, 36)) as pilot:
        await press(pilot, "3")
        assert isinstance(app.screen, TrainScreen)
        app.screen.open_dataset(folder)
        await settle(pilot)
        await press(pilot, "i", "G", "C")
        assert isinstance(app.screen, CaptionsScreen)
        current = app.screen.query_one(CaptionList).current
        assert current is not None
        assert current.name == "03.png"
        await press(pilot, "e", "x", "escape", "escape")
        assert isinstance(app.screen, TrainScreen)
        assert captions(folder)[3] == "x"


@given(st.text("ab ,", max_size=40), st.integers(0, 12))
def test_what_is_read_of_a_line_has_no_more_tokens_than_are_read(text: str, most: int) -> None:
    def count(part: str) -> int:
        return len(part.split())

    end = read_to(text, most, count)
    assert count(text[:end]) <= most
    assert end == len(text) or count(text[: end + 1]) > most
