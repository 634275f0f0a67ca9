"""The keys of the Library mode that act on one model or on marks, row by row of its table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hubman.civitai import queue
from hubman.jobs import store
from hubman.jobs.records import Job
from registry import edits, library
from registry.database import Registry
from registry.records import ModelDetail
from registry.scan import scan
from tests.support.model_files import small_lora, write_model
from tests.support.screens import notes_of, press, settle, text_of, write
from tui.app import HubmanApp
from tui.screens.library import LibraryScreen
from tui.screens.publish import PublishScreen
from tui.widgets.dialogs import Ask, Choose, Confirm, Options
from tui.widgets.facets import FacetList
from tui.widgets.model_list import ModelList
from tui.widgets.stack import StackList

OpenApp = Callable[[], HubmanApp]


def _screen(app: HubmanApp) -> LibraryScreen:
    assert isinstance(app.screen, LibraryScreen)
    return app.screen


def _stored(home: Path, ref: str) -> ModelDetail:
    with Registry(home) as registry:
        return library.show(registry, library.resolve(registry, ref)[0])


async def test_pages_are_walked_by_ctrl_d_and_ctrl_u(open_app: OpenApp, models: list[str]) -> None:
    app = open_app()
    async with app.run_test(size=(120, 16)) as pilot:
        await settle(pilot)
        rows = _screen(app).query_one(ModelList)
        await press(pilot, "ctrl+d")
        assert rows.cursor == rows._page() > 1
        await press(pilot, "ctrl+u")
        assert rows.cursor == 0


async def test_t_prepares_a_sweep_over_the_known_range(open_app: OpenApp, home: Path, folder: Path) -> None:
    with Registry(home) as registry:
        ink, version = library.resolve(registry, "ink")
        edits.edit(registry, ink, version, {"strength_max": "1.2", "trigger_groups": "optional: paper"})
    app = open_app()
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        await press(pilot, "j")
        _screen(app).version_at = [one.id for one in _stored(home, "ink").versions].index(version)
        await press(pilot, "T")
        text = text_of(app)
        assert "0-1.2 (+0.2)" in text
        assert "inkwash" in text
        assert "paper" not in text.partition("LoRAs")[0], "an optional word is left out"


async def test_n_goes_from_hit_to_hit_of_the_last_query_after_it_was_cleared(
    open_app: OpenApp, home: Path, folder: Path, models: list[str]
) -> None:
    app = open_app()
    async with app.run_test(size=(120, 30)) as pilot:
        await settle(pilot)
        screen = _screen(app)
        await press(pilot, "n")
        assert "there was no query yet" in notes_of(app)[-1]
        screen.set_query("rank:4 type:lora")
        await settle(pilot)
        hits = list(screen.order.ids)
        assert 1 < len(hits) < 12
        screen.query_one(ModelList).focus()
        await press(pilot, "G", "n")
        assert screen.current is not None
        assert screen.current.id == hits[0], "around the end"
        screen.set_query("")
        await settle(pilot)
        await press(pilot, "g")
        screen.query_one(ModelList).cursor = screen.order.ids.index(hits[0])
        await press(pilot, "n")
        assert screen.current.id == hits[1]
        await press(pilot, "N", "N")
        assert screen.current.id == hits[-1]


async def test_a_range_grows_with_the_cursor_and_is_kept_or_dropped(open_app: OpenApp, models: list[str]) -> None:
    app = open_app()
    async with app.run_test(size=(120, 30)) as pilot:
        await settle(pilot)
        order = _screen(app).order
        await press(pilot, "space", "j", "v", "j", "j")
        assert order.marks == {order.ids[0], *order.ids[2:5]}
        assert "range" in text_of(app)
        await press(pilot, "k")
        assert order.marks == {order.ids[0], *order.ids[2:4]}
        await press(pilot, "escape")
        assert order.marks == {order.ids[0]}
        await press(pilot, "v", "k", "v", "G")
        assert order.marks == {order.ids[0], *order.ids[2:4]}
        await press(pilot, "V")
        assert order.marks == set(order.ids) - {order.ids[0], *order.ids[2:4]}
        await press(pilot, "asterisk")
        assert order.marks == set(order.ids)


async def test_the_status_line_tells_the_bytes_marked_and_when_the_disk_was_checked(
    open_app: OpenApp, home: Path, folder: Path
) -> None:
    app = open_app()
    async with app.run_test(size=(120, 30)) as pilot:
        await settle(pilot)
        assert "2 models, checked 0.0 s ago" in text_of(app)
        await press(pilot, "asterisk")
        with Registry(home) as registry:
            size = sum(row.size for row in library.list_models(registry))
        assert f"2 marked, {size / 1000:.1f} kB" in text_of(app)


async def test_a_strength_above_nine_tenths_is_warned_of_while_it_is_written(
    open_app: OpenApp, home: Path, folder: Path
) -> None:
    app = open_app()
    async with app.run_test(size=(120, 30)) as pilot:
        await settle(pilot)
        await press(pilot, "s")
        assert "burn the picture" not in text_of(app)
        await write(pilot, "0.95")
        assert "burn the picture" in text_of(app)
        await press(pilot, "enter")
        assert _stored(home, "clay").versions[0].strength == 0.95
        await press(pilot, "s")
        assert "0 ·········▮ 1" in text_of(app), "the range is shown"


async def test_a_combo_takes_three_loras_of_one_base_and_says_why_not_more(
    open_app: OpenApp, home: Path, folder: Path
) -> None:
    for seed, name in enumerate(("mist", "reed"), 10):
        write_model(folder / f"{name}.safetensors", small_lora(), seed=seed)
    write_model(folder / "xl.safetensors", small_lora(width=2048), seed=20)
    with Registry(home) as registry:
        scan(registry)
    app = open_app()
    async with app.run_test(size=(120, 30)) as pilot:
        await settle(pilot)
        assert [row.name for row in library.list_models(app.data.registry)] == ["clay", "ink", "mist", "reed", "xl"]
        await press(pilot, "x", "G", "x")
        assert "a picture has one base" in notes_of(app)[-1]
        await press(pilot, "g", "j", "x", "j", "x", "j", "x")
        assert notes_of(app)[-1].startswith("the combo is full: clay + ink + mist")
        assert "combo clay + ink + mist" in text_of(app)
        await press(pilot, "k", "x", "j", "x")
        assert app.combo.words == "clay + ink + reed"
        await press(pilot, "4")
        assert [item.alias for item in app.screen.query_one(StackList)._items] == ["clay", "ink", "reed"]
        assert app.combo.parts == []


async def test_only_loras_go_into_prompts(open_app: OpenApp, home: Path, folder: Path) -> None:
    with Registry(home) as registry:
        library.set_facts(registry, library.resolve(registry, "clay")[0], "user", {"kind": "checkpoint"})
    app = open_app()
    async with app.run_test(size=(120, 30)) as pilot:
        await settle(pilot)
        await press(pilot, "y", "x", "T")
        assert notes_of(app) == ["clay is of kind checkpoint, and prompts name LoRAs only"] * 3


@pytest.mark.parametrize(
    "ref", ["https://civitai.com/models/7?modelVersionId=9", "urn:air:sdxl:lora:civitai:7@9", "9", "a" * 64]
)
async def test_plus_pulls_by_address_air_number_or_hash_and_refuses_what_is_none(
    open_app: OpenApp, home: Path, started: list[Job], ref: str
) -> None:
    app = open_app()
    async with app.run_test(size=(120, 30)) as pilot:
        await settle(pilot)
        await press(pilot, "plus")
        await write(pilot, "no such thing")
        await press(pilot, "enter")
        assert isinstance(app.screen, Ask), "what is wrong stands under the line"
        await press(pilot, "end", "ctrl+u")
        await write(pilot, ref)
        await press(pilot, "enter")
        assert [job.kind for job in started] == ["downloads"]
    with Registry(home) as registry:
        assert [item.ref for item in queue.items(registry)] == [ref]


async def test_p_opens_the_form_for_the_chosen_version_and_q_leaves_it(
    open_app: OpenApp, home: Path, folder: Path
) -> None:
    app = open_app()
    async with app.run_test(size=(120, 30)) as pilot:
        await settle(pilot)
        await press(pilot, "j", "l", "p")
        assert isinstance(app.screen, PublishScreen)
        assert app.screen._version_ids == (_stored(home, "ink").versions[1].id,)
        await press(pilot, "q")
        assert isinstance(app.screen_stack[-1], LibraryScreen)


async def test_marked_models_are_edited_after_a_look_and_undone_together(
    open_app: OpenApp, home: Path, folder: Path
) -> None:
    app = open_app()
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        await press(pilot, "asterisk", "e")
        fields = [option[0] for option in app.screen.query_one(Options)._items]
        assert {"notes", "name", "base_model", "trigger_groups"} <= set(fields)
        await press(pilot, *["j"] * fields.index("creator"), "enter")
        await write(pilot, "mori")
        await press(pilot, "enter")
        assert isinstance(app.screen, Confirm)
        assert "creator · → mori" in text_of(app)
        await press(pilot, "y")
        assert [_stored(home, name).creator for name in ("clay", "ink")] == ["mori", "mori"]
        await press(pilot, "z")
        assert [_stored(home, name).creator for name in ("clay", "ink")] == [None, None]


async def test_u_asks_for_the_marked_and_capital_u_for_all(
    open_app: OpenApp, home: Path, folder: Path, started: list[Job]
) -> None:
    app = open_app()
    async with app.run_test(size=(120, 30)) as pilot:
        await settle(pilot)
        ids = list(_screen(app).order.ids)
        await press(pilot, "u", "escape", "U", "escape", "asterisk", "u", "escape")
        asked = [job.request["models"] for job in started if job.kind == "updates"]
        assert asked == [ids[:1], [], ids]


async def test_capital_i_asks_what_civitai_knows_and_tells_it_once(
    open_app: OpenApp, home: Path, folder: Path, started: list[Job]
) -> None:
    app = open_app()
    async with app.run_test(size=(120, 30)) as pilot:
        await settle(pilot)
        ids = list(_screen(app).order.ids)
        await press(pilot, "I", "asterisk", "I")
        assert [(job.kind, job.request["models"]) for job in started] == [("enrich", ids[:1]), ("enrich", ids)]
        with Registry(home) as registry:
            store.finish(
                registry, started[1].id, "done", result={"found": 2, "unknown": 1, "pictures": 1, "waiting": 0}
            )
        for _ in range(2):
            app.poll_soon()
            await settle(pilot)
        assert [note for note in notes_of(app) if "Civitai," in note] == ["2 known to Civitai, 1 unknown, 1 picture"]


async def test_r_renames_the_model_alone_or_with_its_files(open_app: OpenApp, home: Path, folder: Path) -> None:
    app = open_app()
    async with app.run_test(size=(120, 30)) as pilot:
        await settle(pilot)
        await press(pilot, "r", "end", "ctrl+u")
        await write(pilot, "Red Clay")
        await press(pilot, "enter", "enter")
        assert _stored(home, "Red Clay").versions[0].files[0].places[0].path == str(folder / "clay.safetensors")
        screen = _screen(app)
        screen.query_one(ModelList).cursor = [screen.order.row(at).name for at in (0, 1)].index("ink")  # type: ignore[union-attr]
        await settle(pilot)
        screen.version_at = [version.name for version in _stored(home, "ink").versions].index("v2")
        await press(pilot, "r", "end", "ctrl+u")
        await write(pilot, "Ink Wash")
        await press(pilot, "enter")
        assert "Ink Wash.safetensors" in text_of(app)
        await press(pilot, "j", "enter")
        assert {path.name for path in folder.iterdir()} == {
            "clay.safetensors", "old.safetensors", "Ink Wash.safetensors", "Ink Wash.json"
        }  # fmt: skip
        await press(pilot, "z")
        assert (folder / "ink.json").exists()
        assert _stored(home, "ink").name == "ink"


async def test_d_asks_whether_the_files_go_along_and_z_brings_them_back(
    open_app: OpenApp, home: Path, folder: Path
) -> None:
    app = open_app()
    async with app.run_test(size=(120, 30)) as pilot:
        await settle(pilot)
        await press(pilot, "j", "d")
        assert isinstance(app.screen, Choose)
        assert "3 files" in text_of(app)
        await press(pilot, "escape")
        assert _stored(home, "ink").deleted_at is None
        await press(pilot, "d", "j", "enter")
        assert {path.name for path in folder.iterdir() if path.is_file()} == {"clay.safetensors"}
        await press(pilot, "z")
        assert len(list(folder.glob("*.*"))) == 4


async def test_the_last_copy_goes_only_where_its_name_is_typed(open_app: OpenApp, home: Path, folder: Path) -> None:
    (folder / "more").mkdir()
    (folder / "more" / "clay.safetensors").write_bytes((folder / "clay.safetensors").read_bytes())
    with Registry(home) as registry:
        scan(registry)
    app = open_app()
    async with app.run_test(size=(120, 30)) as pilot:
        await settle(pilot)
        assert _screen(app).current is not None
        await press(pilot, "d", "j", "enter")
        assert isinstance(app.screen, Ask)
        await write(pilot, "cla")
        await press(pilot, "enter")
        assert "that is not its name" in text_of(app)
        assert (folder / "clay.safetensors").exists()
        await write(pilot, "y")
        await press(pilot, "enter")
        assert not (folder / "clay.safetensors").exists()
        assert not (folder / "more" / "clay.safetensors").exists()


async def test_o_offers_page_and_folder_and_without_a_desktop_copies(
    open_app: OpenApp, home: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    with Registry(home) as registry:
        _, version = library.resolve(registry, "clay")
        library.set_facts(registry, version, "civitai", {"published_url": "https://example.invalid/models/7"})
    app = open_app()
    async with app.run_test(size=(120, 30)) as pilot:
        await settle(pilot)
        await press(pilot, "o")
        assert "the folder that it lies in" in text_of(app)
        await press(pilot, "enter")
        assert app.clipboard == "https://example.invalid/models/7"
        await press(pilot, "j", "o")
        assert app.clipboard == str(folder)


async def test_o_says_why_where_there_is_nothing_to_open(open_app: OpenApp, models: list[str]) -> None:
    app = open_app()
    async with app.run_test(size=(120, 30)) as pilot:
        await settle(pilot)
        await press(pilot, "o")
        assert notes_of(app) == ["no page of it is known, and no file of it lies here"]


async def test_capital_r_looks_everywhere_and_on_a_folder_facet_there(
    open_app: OpenApp, home: Path, folder: Path, started: list[Job]
) -> None:
    app = open_app()
    async with app.run_test(size=(160, 40)) as pilot:
        await settle(pilot)
        await press(pilot, "R", "f")
        facets = _screen(app).query_one(FacetList)
        facets.cursor = next(at for at, line in enumerate(facets._items) if line.field == "folder" and line.value)
        await press(pilot, "R")
        assert [job.request["folders"] for job in started] == [[], [f"{folder}/"]]


async def test_a_facet_is_excluded_and_no_longer(open_app: OpenApp, home: Path, models: list[str]) -> None:
    app = open_app()
    async with app.run_test(size=(160, 40)) as pilot:
        await settle(pilot)
        screen = _screen(app)
        await press(pilot, "f", "j")
        facet = screen.query_one(FacetList).current
        assert facet is not None
        assert facet.count is not None
        await press(pilot, "minus")
        assert screen.query_one(ModelList).row_count == len(models) - facet.count
        lines = screen.query_one(FacetList)._items
        line = next(one for one in lines if (one.field, one.value) == (facet.field, facet.value))
        assert line.excluded
        screen.query_one(FacetList).cursor = list(screen.query_one(FacetList)._items).index(line)
        await press(pilot, "minus")
        assert screen.query_one(ModelList).row_count == len(models)


async def test_the_sorted_column_is_marked(open_app: OpenApp, models: list[str]) -> None:
    app = open_app()
    async with app.run_test(size=(160, 40)) as pilot:
        await settle(pilot)
        assert "Name▴" in text_of(app)
        await press(pilot, "S")
        options = [option[0] for option in app.screen.query_one(Options)._items]
        await press(pilot, *["j"] * options.index("size"), "enter")
        assert "Size▾" in text_of(app)
        _screen(app).set_query("sort:-size")
        await settle(pilot)
        assert "Size▴" in text_of(app)


@pytest.mark.parametrize(
    ("width", "shown"),
    [
        (80, {"Name", "Base"}),
        (150, {"★", "Name", "Version", "Base", "Kind", "Rank", "Added"}),
        (160, {"★", "Name", "Version", "Base", "Kind", "Rank", "Size", "Added"}),
        (220, {"★", "Name", "Version", "Base", "Kind", "Rank", "Str", "Size", "Used", "Added", "Lic"}),
    ],
)
async def test_columns_follow_the_width(
    open_app: OpenApp, home: Path, folder: Path, width: int, shown: set[str]
) -> None:
    app = open_app()
    async with app.run_test(size=(width, 24)) as pilot:
        await settle(pilot)
        rows = _screen(app).query_one(ModelList)
        header = rows.render_line(0).text.replace("▴", " ")
        assert set(header.split()) == shown
        if "Version" in shown:
            assert header.index("Version") - header.index("Name") > 24, "the name keeps its room"


async def test_q_goes_back_from_a_pane_or_a_screen_over_the_library_and_then_quits(
    open_app: OpenApp, home: Path, folder: Path
) -> None:
    app = open_app()
    async with app.run_test(size=(70, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "enter")
        assert _screen(app).has_class("-detail")
        await press(pilot, "q")
        assert not _screen(app).has_class("-detail")
        await press(pilot, "S", "q", "i", "q")
        assert isinstance(app.screen, LibraryScreen)
        assert not app._exit
        await press(pilot, "q")
        assert app._exit


async def test_the_palette_opens_by_colon_and_ctrl_p(open_app: OpenApp, models: list[str]) -> None:
    app = open_app()
    async with app.run_test(size=(120, 30)) as pilot:
        await settle(pilot)
        for key in ("colon", "ctrl+p"):
            await press(pilot, key)
            assert app.screen.id == "--command-palette"
            await press(pilot, "escape")
