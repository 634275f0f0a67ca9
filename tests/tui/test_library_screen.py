from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from textual.widgets import Input, Static

from registry import edits, facets, library, views
from registry.database import Registry
from registry.records import ModelDetail, ModelRow
from tests.support import library_factory
from tests.support.screens import notes_of, press, settle, text_of, write
from tui.app import HubmanApp
from tui.screens.library import LibraryScreen
from tui.widgets.facets import FacetList
from tui.widgets.gallery import Gallery
from tui.widgets.model_list import ModelList
from tui.widgets.picture import Picture

OpenApp = Callable[[], HubmanApp]


def _screen(app: HubmanApp) -> LibraryScreen:
    assert isinstance(app.screen, LibraryScreen)
    return app.screen


def _stored(home: Path, model: str) -> ModelDetail:
    with Registry(home) as registry:
        return library.show(registry, model)


async def test_an_empty_library_says_what_to_do(open_app: OpenApp) -> None:
    app = open_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        text = text_of(app)
        assert "Nothing here yet" in text
        assert "add a folder" in text
        assert "0 models" in text


async def test_list_facets_and_detail_show_the_library(open_app: OpenApp, models: list[str]) -> None:
    app = open_app()
    async with app.run_test(size=(160, 40)) as pilot:
        await settle(pilot)
        screen, text = _screen(app), text_of(app)
        assert screen.query_one(ModelList).row_count == len(models)
        assert "12 models" in text
        assert "SDXL 1.0" in text
        assert "Creators" in text
        assert screen.detail is not None
        assert screen.current is not None
        assert screen.detail.name == screen.current.name
        assert "strength" in text


async def test_vi_and_arrow_keys_move_the_cursor_within_the_list(open_app: OpenApp, models: list[str]) -> None:
    app = open_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        rows = _screen(app).query_one(ModelList)
        await press(pilot, "j", "down", "k")
        assert rows.cursor == 1
        await press(pilot, "G")
        assert rows.cursor == len(models) - 1
        await press(pilot, "j")
        assert rows.cursor == len(models) - 1
        await press(pilot, "g")
        assert rows.cursor == 0


async def test_the_query_line_filters_and_names_its_errors_inline(open_app: OpenApp, models: list[str]) -> None:
    app = open_app()
    async with app.run_test(size=(120, 30)) as pilot:
        await settle(pilot)
        screen = _screen(app)
        rows = screen.query_one(ModelList)
        await press(pilot, "slash")
        await write(pilot, "rating:>=4")
        expected = len([row for row in _all(app) if row.rating >= 4])
        assert rows.row_count == expected
        assert f"{expected} of 12" in text_of(app)
        screen.set_query("rating:>=4 bse:sdxl")
        await settle(pilot)
        assert "did you mean base" in str(screen.query_one("#problem", Static).content)
        assert rows.row_count == expected, "a bad query leaves the last good list"
        await press(pilot, "enter")
        assert rows.has_focus
        await press(pilot, "escape")
        assert rows.row_count == len(models)
        assert not screen.query_one("#problem").display


def _all(app: HubmanApp) -> list[ModelRow]:
    return library.list_models(app.data.registry)


async def test_enter_on_a_facet_filters_and_again_no_longer(open_app: OpenApp, models: list[str]) -> None:
    app = open_app()
    async with app.run_test(size=(160, 40)) as pilot:
        await settle(pilot)
        screen = _screen(app)
        await press(pilot, "f", "j")
        facet = screen.query_one(FacetList).current
        assert facet is not None
        assert facet.count is not None
        await press(pilot, "enter")
        assert screen.query_one(ModelList).row_count == facet.count
        await press(pilot, "enter")
        assert screen.query_one(ModelList).row_count == len(models)
        assert screen.query_one("#query", Input).value == ""


async def test_an_edit_is_stored_and_undone(open_app: OpenApp, home: Path, models: list[str]) -> None:
    app = open_app()
    async with app.run_test(size=(120, 30)) as pilot:
        await settle(pilot)
        current = _screen(app).current
        assert current is not None
        before = _stored(home, current.id)
        await press(pilot, "t")
        assert ", ".join(before.tags) in text_of(app), "the field shows what is there"
        await press(pilot, "end", "ctrl+u")
        await write(pilot, "ink, quiet")
        await press(pilot, "enter")
        assert set(_stored(home, current.id).tags) == {"ink", "quiet"}
        await press(pilot, "z")
        assert _stored(home, current.id).tags == before.tags


async def test_undo_gives_back_what_a_file_said_before_the_person_did(
    open_app: OpenApp, home: Path, models: list[str]
) -> None:
    app = open_app()
    async with app.run_test(size=(120, 30)) as pilot:
        await settle(pilot)
        current = _screen(app).current
        assert current is not None
        before = _stored(home, current.id)
        key, by = ("greater_than_sign", 1) if before.rating < 5 else ("less_than_sign", -1)
        await press(pilot, key)
        after = _stored(home, current.id)
        assert (after.rating, after.sources["rating"]) == (before.rating + by, "user")
        await press(pilot, "z")
        again = _stored(home, current.id)
        assert (again.rating, again.sources.get("rating")) == (before.rating, before.sources.get("rating"))


async def test_strength_takes_one_number_or_three_rising_ones(open_app: OpenApp, home: Path, models: list[str]) -> None:
    app = open_app()
    async with app.run_test(size=(120, 30)) as pilot:
        await settle(pilot)
        current = _screen(app).current
        assert current is not None
        await press(pilot, "s", "end", "ctrl+u")
        await write(pilot, "0.9 0.5 1")
        await press(pilot, "enter")
        assert "must rise" in text_of(app)
        await press(pilot, "end", "ctrl+u")
        await write(pilot, "0.5 0.7 1.1")
        await press(pilot, "enter")
        version = _stored(home, current.id).versions[0]
        assert (version.strength_min, version.strength, version.strength_max) == (0.5, 0.7, 1.1)


async def test_trash_takes_the_marked_models_and_undo_brings_them_back(
    open_app: OpenApp, home: Path, models: list[str]
) -> None:
    app = open_app()
    async with app.run_test(size=(120, 30)) as pilot:
        await settle(pilot)
        rows = _screen(app).query_one(ModelList)
        await press(pilot, "space", "space")
        assert "2 marked" in text_of(app)
        await press(pilot, "d", "enter")
        assert rows.row_count == len(models) - 2
        await press(pilot, "z")
        assert rows.row_count == len(models)


async def test_the_trash_is_a_view_from_which_models_come_back(
    open_app: OpenApp, home: Path, models: list[str]
) -> None:
    app = open_app()
    async with app.run_test(size=(120, 30)) as pilot:
        await settle(pilot)
        current = _screen(app).current
        assert current is not None
        await press(pilot, "d", "enter", "F")
        assert "@dupes" in text_of(app)
        await press(pilot, "G", "enter")
        assert _screen(app).query_one(ModelList).row_count == 1
        await press(pilot, "d")
        assert _stored(home, current.id).deleted_at is None
        assert _screen(app).query_one(ModelList).row_count == 0


async def test_the_metadata_of_the_file_can_be_read(open_app: OpenApp, models: list[str]) -> None:
    app = open_app()
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        await press(pilot, "i")
        assert "ss_output_name" in text_of(app)


async def test_copy_says_what_was_copied(open_app: OpenApp, models: list[str]) -> None:
    app = open_app()
    async with app.run_test(size=(120, 30)) as pilot:
        await settle(pilot)
        detail = _screen(app).detail
        assert detail is not None
        await press(pilot, "y")
        assert app.clipboard.startswith(f"<lora:{detail.alias}:")
        assert any(app.clipboard in note for note in notes_of(app))
        await press(pilot, "Y")
        assert app.clipboard.startswith(f"{detail.versions[0].trigger_words[0]}, <lora:")


async def test_an_action_that_is_impossible_says_why(open_app: OpenApp) -> None:
    app = open_app()
    async with app.run_test(size=(120, 30)) as pilot:
        await settle(pilot)
        await press(pilot, "z", "Z", "e")
        assert notes_of(app) == [
            "nothing to undo",
            "nothing was done here yet",
            "there is no model under the cursor",
        ]


async def test_undo_reaches_what_was_done_before_the_app_was_opened(
    open_app: OpenApp, home: Path, models: list[str]
) -> None:
    with Registry(home) as registry:
        edits.tag(registry, [models[3]], add=["from the shell"])
    app = open_app()
    async with app.run_test(size=(120, 30)) as pilot:
        await settle(pilot)
        await press(pilot, "z")
        assert "from the shell" not in _stored(home, models[3]).tags


async def test_the_journal_undoes_any_entry_and_does_it_again(open_app: OpenApp, home: Path, models: list[str]) -> None:
    with Registry(home) as registry:
        edits.tag(registry, [models[3]], add=["first"])
        edits.tag(registry, [models[4]], add=["second"])
    app = open_app()
    async with app.run_test(size=(120, 30)) as pilot:
        await settle(pilot)
        await press(pilot, "Z")
        assert "tags of" in text_of(app)
        await press(pilot, "j", "enter")
        assert "first" not in _stored(home, models[3]).tags
        assert "second" in _stored(home, models[4]).tags
        await press(pilot, "Z", "enter")
        assert "first" in _stored(home, models[3]).tags


async def test_an_undo_leaves_later_edits_alone_and_says_so(open_app: OpenApp, home: Path, models: list[str]) -> None:
    with Registry(home) as registry:
        version = library.show(registry, models[3]).versions[0].id
        edits.edit(registry, models[3], version, {"rating": "2", "notes": "n"})
        edits.edit(registry, models[3], version, {"rating": "1"})
    app = open_app()
    async with app.run_test(size=(120, 30)) as pilot:
        await settle(pilot)
        await press(pilot, "Z", "j", "enter")
        assert any("was edited later and stays" in note for note in notes_of(app))
        model = _stored(home, models[3])
        assert (model.rating, model.notes) == (1, None)


async def test_all_filtered_models_are_marked_and_edited_after_a_look_at_the_plan(
    open_app: OpenApp, home: Path, models: list[str]
) -> None:
    app = open_app()
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        screen = _screen(app)
        screen.set_query("base:sdxl")
        await settle(pilot)
        filtered = list(screen.order.ids)
        assert 1 < len(filtered) < len(models)
        await press(pilot, "asterisk", "s")
        await press(pilot, "end", "ctrl+u")
        await write(pilot, "0.45")
        await press(pilot, "enter")
        assert "→ 0.45" in text_of(app)
        await press(pilot, "n")
        assert not any(_stored(home, model).versions[0].strength == 0.45 for model in filtered)
        await press(pilot, "s", "end", "ctrl+u")
        await write(pilot, "0.45")
        await press(pilot, "enter", "y")
        edited = [model for model in models if _stored(home, model).versions[0].strength == 0.45]
        assert sorted(edited) == sorted(filtered)
        await press(pilot, "z")
        assert not any(_stored(home, model).versions[0].strength == 0.45 for model in models)


async def test_marked_models_go_into_a_collection_and_out_of_it(
    open_app: OpenApp, home: Path, models: list[str]
) -> None:
    app = open_app()
    async with app.run_test(size=(120, 30)) as pilot:
        await settle(pilot)
        marked = _screen(app).order.ids[:2]
        await press(pilot, "space", "space", "a")
        await write(pilot, "Clients/A")
        await press(pilot, "enter", "y")
        assert {_stored(home, model).collections for model in marked} == {("Clients/A",)}
        await press(pilot, "a")
        await write(pilot, "-Clients/A")
        await press(pilot, "enter", "y")
        assert {_stored(home, model).collections for model in marked} == {()}


async def test_tags_of_marked_models_are_added_and_removed_and_the_others_stay(
    open_app: OpenApp, home: Path, models: list[str]
) -> None:
    app = open_app()
    async with app.run_test(size=(120, 30)) as pilot:
        await settle(pilot)
        marked = _screen(app).order.ids[:2]
        before = {model: set(_stored(home, model).tags) for model in marked}
        gone = next(iter(before[marked[0]] | before[marked[1]]))
        await press(pilot, "space", "space", "t")
        await write(pilot, f"client a, -{gone}")
        await press(pilot, "enter")
        assert "client a" in text_of(app), "the plan is shown first"
        await press(pilot, "y")
        for model in marked:
            assert set(_stored(home, model).tags) == (before[model] - {gone}) | {"client a"}


async def test_cards_share_cursor_and_query_with_the_list(
    open_app: OpenApp, home: Path, models: list[str], tmp_path: Path
) -> None:
    with Registry(home) as registry:
        library_factory.add_pictures(registry, models, tmp_path / "pictures")
    app = open_app()
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        screen = _screen(app)
        await press(pilot, "j", "c")
        gallery = screen.query_one(Gallery)
        assert gallery.cursor == 1
        assert gallery.has_focus
        assert any(block in text_of(app) for block in "▘▚▙▄▌")
        await press(pilot, "l", "c")
        assert screen.query_one(ModelList).cursor == 2
        assert screen.query_one(Picture).path is not None


async def test_narrow_windows_show_one_pane_at_a_time(open_app: OpenApp, models: list[str]) -> None:
    app = open_app()
    async with app.run_test(size=(70, 20)) as pilot:
        await settle(pilot)
        screen = _screen(app)
        assert not screen.query_one("#detail").display
        await press(pilot, "enter")
        assert screen.query_one("#detail").display
        assert not screen.query_one(ModelList).display
        await press(pilot, "escape")
        assert screen.query_one(ModelList).has_focus
        await pilot.resize_terminal(50, 12)
        await settle(pilot)
        assert "needs 60 columns" in text_of(app)


async def test_names_from_outside_are_no_markup_and_no_control_characters(
    open_app: OpenApp, home: Path, models: list[str]
) -> None:
    with Registry(home) as registry:
        library.set_facts(registry, models[0], "civitai", {"name": "[red]evil[/] \x1b[2J 日本"})
        library.set_facts(registry, models[0], "user", {"name": "[red]evil[/] \x1b[2J 日本"})
        library.write_text(registry, models[0], "description", "<p>fine &amp; <b>bold</b></p>\x07[bold]plain[/]")
    app = open_app()
    async with app.run_test(size=(160, 40)) as pilot:
        await settle(pilot)
        await press(pilot, "g")
        text = text_of(app)
        assert "[red]evil[/]" in text
        assert "fine & bold" in text
        assert "\x1b" not in text


async def test_carets_stand_under_the_wrong_part_of_the_query(open_app: OpenApp, models: list[str]) -> None:
    app = open_app()
    async with app.run_test(size=(120, 30)) as pilot:
        await settle(pilot)
        _screen(app).set_query("rating:>=4 bse:sdxl")
        await settle(pilot)
        query, carets, message, *_ = text_of(app).splitlines()[1:]
        assert carets.index("^^^") == query.index("bse")
        assert carets.count("^") == 3
        assert "did you mean base" in message


async def test_facets_follow_the_query(open_app: OpenApp, home: Path, models: list[str]) -> None:
    app = open_app()
    async with app.run_test(size=(160, 40)) as pilot:
        await settle(pilot)
        _screen(app).set_query("rating:>=4")
        await settle(pilot)
        with Registry(home) as registry:
            (name, count), *_ = facets.facets(registry, "rating:>=4")["base"]
        lines = _screen(app).query_one(FacetList)._items
        assert [line.count for line in lines if (line.field, line.value) == ("base", name)] == [count]
        assert count < len([row for row in _all(app) if (row.base_model or "unknown") == name])


async def test_a_long_list_shows_its_first_rows_and_then_all_and_keeps_the_marks(open_app: OpenApp, home: Path) -> None:
    with Registry(home) as registry:
        library_factory.fill(registry, 230)
    app = open_app()
    async with app.run_test(size=(120, 30)) as pilot:
        await settle(pilot)
        rows = _screen(app).query_one(ModelList)
        await press(pilot, "G", "space")
        _screen(app).set_query("sort:name")
        await settle(pilot)
        assert rows.row_count == 230
        assert "1 marked · 230 models" in text_of(app)
        assert rows.cursor == 229, "it stays on its model"


async def test_a_query_is_saved_as_a_view_renamed_removed_and_undone(
    open_app: OpenApp, home: Path, models: list[str]
) -> None:
    app = open_app()
    async with app.run_test(size=(120, 36)) as pilot:
        await settle(pilot)
        screen = _screen(app)
        screen.set_query("rating:>=4")
        await settle(pilot)
        await press(pilot, "F", "s")
        await write(pilot, "best")
        await press(pilot, "enter")
        assert _views(home) == {"best": "rating:>=4"}
        screen.set_query("@best")
        await settle(pilot)
        assert screen.query_one(ModelList).row_count == len([row for row in _all(app) if row.rating >= 4])
        await press(pilot, "F", "r", "end", "ctrl+u")
        await write(pilot, "good")
        await press(pilot, "enter")
        assert _views(home) == {"good": "rating:>=4"}
        screen.set_query("@good")
        await settle(pilot)
        await press(pilot, "F", "d")
        assert _views(home) == {}
        await press(pilot, "z")
        assert _views(home) == {"good": "rating:>=4"}
        await press(pilot, "F", "g", "j", "d")
        assert notes_of(app)[-1] == "only views of your own can be removed"


def _views(home: Path) -> dict[str, str]:
    with Registry(home) as registry:
        return views.own(registry)
