"""The publish form against a sandbox: what is asked, accepted, fixed and shown."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from textual.widgets import Input, TextArea

from hubman.jobs.records import Job
from registry import edits, library, previews
from registry.database import Registry
from registry.scan import index_file
from tests.support.civitai import Bench, write_lora, write_png
from tests.support.publish_screens import form, run_job, to_row, value
from tests.support.publishing import GENERATION, NAME
from tests.support.screens import notes_of, press, settle, text_of, write
from tui.app import HubmanApp
from tui.screens.publish import PublishScreen
from tui.screens.publish_pictures import PublishPicturesScreen
from tui.screens.publish_text import PublishTextScreen
from tui.widgets.picking import PickOne, PickWords
from tui.widgets.publish_lists import FindingList

OpenApp = Callable[[], HubmanApp]
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


async def test_every_kind_of_field_is_asked_for_in_its_own_way(open_app: OpenApp, site: Bench, version_id: str) -> None:
    app = open_app()
    async with app.run_test(size=(120, 30)) as pilot:
        await settle(pilot)
        await press(pilot, "p")
        await to_row(app, pilot, "name")
        await press(pilot, "enter")
        await write(pilot, "!")
        await press(pilot, "enter")
        assert (value(app, "name"), "you" in text_of(app)) == (f"{NAME}!", True)
        await to_row(app, pilot, "base_model")
        await press(pilot, "enter")
        assert isinstance(app.screen, PickOne)
        await write(pilot, "sdxl 1")
        await press(pilot, "enter")
        assert value(app, "base_model") == "SDXL 1.0"
        await to_row(app, pilot, "tags")
        await press(pilot, "enter")
        assert isinstance(app.screen, PickWords)
        await write(pilot, ", sty")
        await press(pilot, "tab", "enter")
        assert value(app, "tags") == "ink, style"
        await to_row(app, pilot, "strength")
        await press(pilot, "enter")
        app.screen.query_one(Input).value = "strong"
        await press(pilot, "enter")
        assert "strength can't be 'strong'" in text_of(app)
        app.screen.query_one(Input).value = "0.7"
        await press(pilot, "enter")
        assert value(app, "strength") == "0.7"
        await to_row(app, pilot, "description")
        await press(pilot, "enter")
        assert isinstance(app.screen, PublishTextScreen)
        assert "• Trigger words: hrbr style" in text_of(app)
        app.screen.query_one(TextArea).text = "# Boats\n\n1. one **bold**"
        await pilot.pause(0.2)
        assert "1. one bold" in text_of(app)
        await press(pilot, "ctrl+s")
        assert value(app, "description") == "# Boats 1. one **bold**"


async def test_pictures_are_chosen_ordered_and_levelled(
    open_app: OpenApp, home: Path, site: Bench, version_id: str
) -> None:
    app = open_app()
    async with app.run_test(size=(120, 36)) as pilot:
        await settle(pilot)
        await press(pilot, "p")
        await to_row(app, pilot, "pictures")
        await press(pilot, "enter")
        assert isinstance(app.screen, PublishPicturesScreen)
        assert "prompt: hrbr style, a boat" in text_of(app)
        await press(pilot, "space", "g", "J", "P", "enter")
        await press(pilot, "escape")
        draft = form(app).draft
        assert draft is not None
        assert [one.name for one in draft.form.parts[0].pictures] == ["green.png", "blue.png"]
        assert [one.nsfw_level for one in draft.form.parts[0].pictures] == [0, 1]
        with Registry(home) as registry:
            assert [one.nsfw_level for one in library.version(registry, version_id).previews] == [0, 1, 0]
        assert value(app, "pictures") == "2 of 3"


async def test_a_warning_is_accepted_and_a_header_stripped_with_a_key(
    open_app: OpenApp, home: Path, site: Bench, tmp_path: Path, started: list[Job]
) -> None:
    with Registry(home) as registry:
        told_all = {"ss_sd_model_name": "/home/someone/sd.safetensors"}
        path = write_lora(tmp_path / "ink.safetensors", metadata=told_all)
        version = index_file(registry, path)
        model = library.version(registry, version).model_id
        said = {"name": "Ink", "tags": "style", "trigger_words": "ink", "base_model": "SD 1.5", "description": "Ink."}
        edits.edit(registry, model, version, said)
        previews.add_preview(registry, version, write_png(tmp_path / "a.png"), generation=GENERATION)
    app = open_app()
    async with app.run_test(size=(120, 30)) as pilot:
        await settle(pilot)
        await press(pilot, "p", "n", "n", "n")
        findings = form(app).query_one(FindingList)
        findings.focus()
        codes = [findings.item(at).code for at in range(findings.row_count)]  # type: ignore[union-attr]
        findings.cursor = codes.index("header-private")
        await settle(pilot)
        assert "send a copy whose header does not tell it" in text_of(app)
        await press(pilot, "f")
        assert value(app, "strip") == "yes"
        assert "header-private" not in [one.code for one in form(app).draft.told]  # type: ignore[union-attr]
        await press(pilot, "g", "a")
        assert form(app).query_one(FindingList).current.accepted is False  # type: ignore[union-attr]
        await press(pilot, "A", "p", "y")
        assert run_job(app, started[0]).state == "done"
    file = site.sandbox.models_named("Ink")[0]["versions"][0]["files"][0]
    assert b"/home/someone" not in site.sandbox.world.blob_path(file["key"]).read_bytes()
    assert b"/home/someone" in path.read_bytes()


async def test_what_was_accepted_is_so_when_the_form_is_opened_again(
    open_app: OpenApp, site: Bench, version_id: str
) -> None:
    def is_accepted() -> bool:
        (found,) = [one for one in form(app).draft.told if one.code == "strength-missing"]  # type: ignore[union-attr]
        return found.accepted

    async def put_cursor() -> None:
        findings = form(app).query_one(FindingList)
        findings.focus()
        codes = [findings.item(at).code for at in range(findings.row_count)]  # type: ignore[union-attr]
        findings.cursor = codes.index("strength-missing")
        await settle(pilot)

    app = open_app()
    async with app.run_test(size=(120, 30)) as pilot:
        await settle(pilot)
        await press(pilot, "p")
        form(app).assign("strength", "")
        await settle(pilot)
        await put_cursor()
        await press(pilot, "a")
        assert is_accepted()
        await press(pilot, "escape", "p")
        form(app).assign("strength", "")
        await settle(pilot)
        assert is_accepted()
        await put_cursor()
        assert "accepted; take it back" in text_of(app)
        await press(pilot, "a", "c")
        assert not is_accepted()


async def test_a_site_that_can_t_be_asked_is_told_in_the_form(
    open_app: OpenApp, version_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CIVITAI_API_KEY", "")
    app = open_app()
    async with app.run_test(size=(100, 30)) as pilot:
        await settle(pilot)
        await press(pilot, "p", "b")
        assert "no sandbox is running" in text_of(app)
        await press(pilot, "p")
        assert "it is not checked yet" in notes_of(app)[-1]


async def test_privacy_mode_covers_the_form_and_closes_what_is_asked(
    open_app: OpenApp, site: Bench, version_id: str
) -> None:
    app = open_app()
    async with app.run_test(size=(100, 30)) as pilot:
        await settle(pilot)
        await press(pilot, "p")
        await to_row(app, pilot, "description")
        await press(pilot, "enter", "f8")
        assert isinstance(app.screen, PublishScreen)
        assert "Harbor" not in text_of(app)
        assert "hrbr" not in text_of(app)
        await press(pilot, "n")
        assert "privacy mode" in notes_of(app)[-1]
        await press(pilot, "X")
        assert "Harbor" in text_of(app)
