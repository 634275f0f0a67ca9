"""The screens over the library: trigger words, raw metadata, the table of moves, duplicates."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.screen import Screen
from textual.widgets import TextArea

from registry import edits, library, roots, sidecar_reread
from registry.database import Registry
from registry.records import ModelDetail
from registry.scan import scan
from tests.support.model_files import small_lora, write_model
from tests.support.screens import notes_of, press, settle, text_of, write
from tui.app import HubmanApp
from tui.screens.duplicates import DuplicatesScreen, SetList
from tui.screens.library import LibraryScreen
from tui.screens.metadata import CUT, MetadataScreen, PairList, laid_out
from tui.screens.organise import OrganiseScreen, PlanList, shortened
from tui.screens.words import TriggerList, WordsScreen
from tui.widgets.dialogs import Choose, Confirm, Show

OpenApp = Callable[[], HubmanApp]
METADATA = {
    "ss_output_name": "clay",
    "ss_tag_frequency": json.dumps({"img": {f"tag {number}": number for number in range(300)}}),
    "modelspec.thumbnail": "data:image/jpeg;base64," + "A" * 5000,
    "cover": "QUJD" * 1000,
    "note": "a\x1b[2Jb",
}


@pytest.fixture
def folder(tmp_path: Path, home: Path) -> Path:
    """``clay`` in two places, and ``ink`` with a sidecar."""
    folder = tmp_path / "loras"
    write_model(folder / "clay.safetensors", small_lora(), METADATA, seed=1)
    write_model(folder / "old" / "clay.safetensors", small_lora(), METADATA, seed=1)
    write_model(folder / "ink.safetensors", small_lora(rank=8), {"ss_output_name": "ink"}, seed=2)
    (folder / "ink.json").write_text("{}")
    with Registry(home) as registry:
        roots.add(registry, folder)
        scan(registry)
        clay, version = library.resolve(registry, "clay")
        edits.edit(registry, clay, version, {"trigger_words": "clay, wet paper", "creator": "mori"})
    return folder


def _stored(home: Path, ref: str) -> ModelDetail:
    with Registry(home) as registry:
        return library.show(registry, library.resolve(registry, ref)[0])


def _shows(app: HubmanApp, kind: type[Screen[Any]]) -> bool:
    return isinstance(app.screen, kind)


def _files(folder: Path) -> set[str]:
    return {
        str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and ".trash" not in path.parts
    }


# trigger words ----------------------------------------------------------------------------------------------------


async def test_words_are_toggled_grouped_added_removed_and_saved_as_one_edit(
    open_app: OpenApp, home: Path, folder: Path
) -> None:
    app = open_app()
    async with app.run_test(size=(120, 30)) as pilot:
        await settle(pilot)
        await press(pilot, "w")
        assert isinstance(app.screen, WordsScreen)
        await press(pilot, "j", "space", "a")
        await write(pilot, "red coat, red  hat, clay")
        await press(pilot, "enter")
        words = [one.word for one in app.screen.query_one(TriggerList)._items]
        assert words == ["clay", "wet paper", "red coat", "red hat"]
        await press(pilot, "G", "e")
        await write(pilot, "outfit?")
        await press(pilot, "enter")
        assert "has no :" in text_of(app)
        await press(pilot, "backspace", "enter", "k", "d", "y")
        assert app.clipboard == "clay, red hat"
        await press(pilot, "Y")
        assert app.clipboard == "clay, red hat, <lora:clay:0.8>"
        await press(pilot, "escape")
        version = _stored(home, "clay").versions[0]
        assert set(version.trigger_words) == {"clay", "wet paper", "red hat"}
        assert set(version.trigger_groups) == {"optional: wet paper", "outfit: red hat"}
        await press(pilot, "Y")
        assert app.clipboard == "clay, red hat, <lora:clay:0.8>"
        await press(pilot, "z")
        version = _stored(home, "clay").versions[0]
        assert (set(version.trigger_words), version.trigger_groups) == ({"clay", "wet paper"}, ())


async def test_a_model_without_words_says_how_to_add_some(open_app: OpenApp, home: Path, folder: Path) -> None:
    app = open_app()
    async with app.run_test(size=(120, 30)) as pilot:
        await settle(pilot)
        await press(pilot, "j", "w", "space")
        assert "adds some" in text_of(app)
        assert notes_of(app) == ["there is no word under the cursor"]


# raw metadata -----------------------------------------------------------------------------------------------------


async def test_metadata_is_searched_opened_and_never_shows_a_picture(
    open_app: OpenApp, home: Path, folder: Path
) -> None:
    app = open_app()
    async with app.run_test(size=(120, 30)) as pilot:
        await settle(pilot)
        await press(pilot, "i")
        assert isinstance(app.screen, MetadataScreen)
        text = text_of(app)
        assert "a picture of 5,023 characters" in text
        assert "encoded bytes of 4,000 characters" in text
        assert "AAAA" not in text
        assert "QUJD" not in text
        assert "\x1b" not in text
        await press(pilot, "slash")
        await write(pilot, "TAG 299")
        (pair,) = app.screen.query_one(PairList)._items
        assert pair[0] == "ss_tag_frequency"
        assert len(app.screen.query_one(PairList).cells(pair)[1][0]) <= CUT
        await press(pilot, "enter", "y")
        assert app.clipboard == METADATA["ss_tag_frequency"]
        await press(pilot, "enter")
        assert _shows(app, Show)
        assert '    "tag 299": 299' in app.screen.query_one(TextArea).text
        await press(pilot, "escape", "escape", "escape")
        assert _shows(app, LibraryScreen)


async def test_who_says_what_of_a_model_is_shown_with_where_they_disagree(
    open_app: OpenApp, home: Path, folder: Path
) -> None:
    (folder / "ink.metadata.json").write_text('{"base_model": "Pony", "notes": "from there"}')
    (folder / "ink.civitai.info").write_text('{"id": 5, "modelId": 9, "baseModel": "SD 1.5"}')
    (folder / "ink.json").write_text("{ torn")
    with Registry(home) as registry:
        sidecar_reread.reread(registry, library.model_ids(registry))
    app = open_app()
    async with app.run_test(size=(140, 40)) as pilot:
        await settle(pilot)
        await press(pilot, "slash")
        await write(pilot, "ink")
        await press(pilot, "enter", "i", "i")
        text = text_of(app)
        assert "base model ≠" in text
        assert "metadata.json ink.metadata.json: Pony" in " ".join(text.split())
        assert "ink.json" in text
        assert "can't be understood" in text
        await press(pilot, "i")
        assert "base model ≠" not in text_of(app)


def test_values_are_laid_out_or_left_as_they_are() -> None:
    assert laid_out('{"a":[1]}') == '{\n  "a": [\n    1\n  ]\n}'
    assert laid_out("{torn") == "{torn"
    assert laid_out("x" * 200_010).endswith("… 10 characters more")


# organise ---------------------------------------------------------------------------------------------------------


async def test_the_plan_stands_before_anything_moves_and_undo_puts_all_back(
    open_app: OpenApp, home: Path, folder: Path
) -> None:
    app = open_app()
    before = _files(folder)
    async with app.run_test(size=(140, 30)) as pilot:
        await settle(pilot)
        await press(pilot, "asterisk", "m")
        assert isinstance(app.screen, OrganiseScreen)
        await press(pilot, "slash", "end", "ctrl+u")
        await write(pilot, "{creator}/{model}")
        plan = app.screen.query_one(PlanList)._items
        conflicts = {Path(line.source).name: line.conflict for line in plan}
        assert conflicts["ink.safetensors"] == ""
        assert "several files would be clay.safetensors" in conflicts["clay.safetensors"]
        assert "several files would be clay.safetensors: add {hash8}" in text_of(app), "whole, under the table"
        assert "2 stay: something is in the way" in text_of(app)
        await press(pilot, "enter", "m")
        assert isinstance(app.screen, Confirm)
        await press(pilot, "n")
        assert _files(folder) == before
        await press(pilot, "m", "y")
        assert isinstance(app.screen, LibraryScreen)
        assert {"unknown/ink.safetensors", "unknown/ink.json", "clay.safetensors"} <= _files(folder)
        await press(pilot, "z")
        assert _files(folder) == before


async def test_a_bad_template_is_named_in_its_place_and_moves_nothing(
    open_app: OpenApp, home: Path, folder: Path
) -> None:
    app = open_app()
    async with app.run_test(size=(140, 30)) as pilot:
        await settle(pilot)
        await press(pilot, "m", "slash", "end", "ctrl+u")
        await write(pilot, "{bse}/{model}")
        assert "did you mean {base}" in text_of(app)
        await press(pilot, "enter", "m")
        assert notes_of(app) == ["the plan is not there yet"]
        await press(pilot, "escape")
        assert isinstance(app.screen, LibraryScreen)


async def test_files_can_go_to_another_indexed_folder(
    open_app: OpenApp, home: Path, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "nas").mkdir()
    with Registry(home) as registry:
        roots.add(registry, tmp_path / "nas")
    app = open_app()
    async with app.run_test(size=(140, 30)) as pilot:
        await settle(pilot)
        await press(pilot, "j", "m", "f")
        assert isinstance(app.screen, Choose)
        await press(pilot, "j", "j", "enter")
        await press(pilot, "m", "y")
        assert _files(tmp_path / "nas") == {"SD 1.5/unknown/ink.safetensors", "SD 1.5/unknown/ink.json"}


def test_paths_are_shown_as_far_as_they_differ() -> None:
    assert shortened("/m/a/b/x.pt", "/m/a/c/x.pt") == ("b/x.pt", "c/x.pt")
    assert shortened("/m/x.pt", "/m/y.pt") == ("x.pt", "y.pt")


# duplicates -------------------------------------------------------------------------------------------------------


@pytest.fixture
def twins(folder: Path, home: Path) -> Path:
    """``reed`` in two places too, so that there are two sets of the same bytes."""
    for name in ("reed", "more/reed"):
        write_model(folder / f"{name}.safetensors", small_lora(rank=16), seed=3)
    with Registry(home) as registry:
        scan(registry)
    return folder


async def test_what_stays_is_chosen_and_the_rest_of_marked_sets_is_trashed(
    open_app: OpenApp, home: Path, twins: Path
) -> None:
    app = open_app()
    async with app.run_test(size=(140, 30)) as pilot:
        await settle(pilot)
        await press(pilot, "D")
        assert isinstance(app.screen, DuplicatesScreen)
        rows = app.screen.query_one(SetList)
        paths = [line.copy.path if (line := rows.sets.line(at)).copy else "" for at in range(rows.row_count)]
        at = paths.index(str(twins / "old/clay.safetensors"))
        app.screen.query_one(SetList).cursor = at
        await press(pilot, "enter", "space", "d")
        assert isinstance(app.screen, Confirm)
        assert "trash" in text_of(app)
        await press(pilot, "y")
        found = _files(twins)
        assert "old/clay.safetensors" in found
        assert "clay.safetensors" not in found
        assert {"reed.safetensors", "more/reed.safetensors"} <= found, "it was not marked"
        await press(pilot, "z")
        assert "clay.safetensors" in _files(twins)


async def test_all_sets_are_resolved_by_a_rule_and_one_of_each_stays(
    open_app: OpenApp, home: Path, twins: Path
) -> None:
    app = open_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "D", "s", "G", "enter", "d", "y")
        assert _files(twins) == {"clay.safetensors", "reed.safetensors", "ink.safetensors", "ink.json"}
        assert "Nothing is there twice" in text_of(app)
        await press(pilot, "d")
        assert notes_of(app)[-1] == "there is no set here"
        await press(pilot, "l")
        assert "the same weights under different headers" in text_of(app)
        await press(pilot, "f")
        assert "older versions" in text_of(app)
        await press(pilot, "escape")
        assert isinstance(app.screen, LibraryScreen)


async def test_a_set_that_changed_since_the_scan_is_left_alone(open_app: OpenApp, home: Path, twins: Path) -> None:
    app = open_app()
    async with app.run_test(size=(140, 30)) as pilot:
        await settle(pilot)
        await press(pilot, "D", "asterisk")
        with (twins / "reed.safetensors").open("ab") as file:
            file.write(b"more")
        await press(pilot, "d")
        assert "changed since the last scan: left alone" in text_of(app)
        await press(pilot, "y")
        assert {"reed.safetensors", "more/reed.safetensors"} <= _files(twins)
        assert len([name for name in _files(twins) if "clay" in name]) == 1


async def test_keys_that_cannot_act_over_an_empty_library_say_why(open_app: OpenApp) -> None:
    app = open_app()
    async with app.run_test(size=(120, 30)) as pilot:
        await settle(pilot)
        for key in ("m", "r", "d", "i", "w", "u", "o", "x", "v", "T", "Y"):
            await press(pilot, key)
            assert notes_of(app)[-1] == "there is no model under the cursor", key
        await press(pilot, "D", "d")
        assert notes_of(app)[-1] == "there is no set here"


async def test_a_move_that_fails_is_told_and_leaves_every_file_where_it_was(
    open_app: OpenApp, home: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _files(folder)
    app = open_app()
    async with app.run_test(size=(140, 30)) as pilot:
        await settle(pilot)
        await press(pilot, "j", "m", "m")
        (folder / "SD 1.5").write_text("a file where a folder should be")
        await press(pilot, "y")
        assert "nothing was moved" in notes_of(app)[-1]
        assert _files(folder) - {"SD 1.5"} == before
        assert "moving" not in text_of(app).splitlines()[-2]
