"""The versions and epochs of a model in the library, the panes beside the list, and the trash's view."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from registry import edits, library, roots
from registry.database import Registry
from registry.records import ModelDetail
from registry.scan import scan
from tests.support.model_files import small_lora, write_model
from tests.support.screens import notes_of, press, settle, text_of, write
from tui.app import HubmanApp
from tui.screens.generate import GenerateScreen
from tui.screens.library import LibraryScreen
from tui.widgets.detail import About, describe
from tui.widgets.stack import StackList

OpenApp = Callable[[], HubmanApp]


def _screen(app: HubmanApp) -> LibraryScreen:
    assert isinstance(app.screen, LibraryScreen)
    return app.screen


def _stored(home: Path, ref: str) -> ModelDetail:
    with Registry(home) as registry:
        return library.show(registry, library.resolve(registry, ref)[0])


async def test_h_and_l_choose_the_version_that_actions_are_about(open_app: OpenApp, home: Path, folder: Path) -> None:
    app = open_app()
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        screen = _screen(app)
        await press(pilot, "j")
        newest, other = _stored(home, "ink").versions
        assert screen.version == newest
        await press(pilot, "l")
        assert screen.version == other
        assert screen.detail is not None
        newer, older = (describe(About(screen.detail, at)).plain.splitlines() for at in (0, 1))
        shown = text_of(app)
        assert any(line.strip() in shown for line in set(older) - set(newer)), "the detail follows"
        await press(pilot, "y")
        assert app.clipboard == f"<lora:old:{other.strength:g}>", "another version goes by its own file's name"
        assert f"<lora:old:{other.strength:g}>" in shown
        await press(pilot, "s", "end", "ctrl+u")
        await write(pilot, "0.35")
        await press(pilot, "enter")
        assert [version.strength for version in _stored(home, "ink").versions] == [newest.strength, 0.35]
        await press(pilot, "T")
        assert isinstance(app.screen, GenerateScreen)
        (item,) = app.screen.query_one(StackList)._items
        assert (item.version_id, item.strength, item.tag) == (other.id, 0.35, "<lora:old:0.35>")
        await press(pilot, "1", "right", "left", "left")
        assert _screen(app).version is not None
        assert _screen(app).version == _stored(home, "ink").versions[0]


async def test_an_alias_of_a_person_is_the_newest_versions_alone(open_app: OpenApp, home: Path, folder: Path) -> None:
    with Registry(home) as registry:
        ink, version = library.resolve(registry, "ink")
        edits.edit(registry, ink, version, {"alias": "wash"})
    app = open_app()
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        await press(pilot, "j", "y")
        assert app.clipboard == "<lora:wash:0.7>"
        await press(pilot, "l", "Y")
        assert app.clipboard.endswith("<lora:old:0.4>")
        await press(pilot, "w", "Y")
        assert app.clipboard.endswith("<lora:old:0.4>")


async def test_h_and_l_step_through_the_epochs_of_a_training(open_app: OpenApp, home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "loras"
    for epoch, name in enumerate(("ink-000001", "ink-000002", "ink"), 1):
        said = {"ss_output_name": "ink", "ss_session_id": "7", "ss_epoch": str(epoch)}
        write_model(folder / f"{name}.safetensors", small_lora(), said, seed=epoch)
    with Registry(home) as registry:
        roots.add(registry, folder)
        scan(registry)
        first, second, last = (library.resolve(registry, name)[0] for name in ("ink-000001", "ink-000002", "ink"))
    app = open_app()
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        screen = _screen(app)
        screen.rows.cursor = screen.order.ids.index(first)
        await settle(pilot)
        seen = []
        for key in ("l", "l", "h"):
            await press(pilot, key)
            assert screen.current is not None
            assert screen.detail is not None
            assert screen.detail.id == screen.current.id
            seen.append(screen.current.id)
        assert seen == [second, last, second]
        await press(pilot, "h", "h")
        assert notes_of(app)[-1] == "this is the first epoch that is here"
        screen.set_query("file:000001")
        await settle(pilot)
        await press(pilot, "l")
        assert notes_of(app)[-1].startswith("epoch 2, ink-000002 is not in this list")
        assert screen.current is not None
        assert screen.current.id == first


@pytest.mark.parametrize("width", [100, 120, 160])
async def test_q_goes_from_any_pane_to_the_list_before_it_quits(
    open_app: OpenApp, home: Path, folder: Path, width: int
) -> None:
    app = open_app()
    async with app.run_test(size=(width, 40)) as pilot:
        await settle(pilot)
        screen = _screen(app)
        for pane in ("enter", "f"):
            await press(pilot, pane)
            assert app.focused is not screen.rows
            await press(pilot, "q")
            assert app.is_running
            assert app.focused is screen.rows
        await press(pilot, "q")
        assert app._exit


async def test_the_footer_of_the_trash_says_that_d_brings_back(open_app: OpenApp, home: Path, folder: Path) -> None:
    app = open_app()
    async with app.run_test(size=(160, 40)) as pilot:
        await settle(pilot)
        assert "d trash" in text_of(app).splitlines()[-1]
        await press(pilot, "d", "enter")
        _screen(app).set_query("is:trash")
        await settle(pilot)
        footer = text_of(app).splitlines()[-1]
        assert "d bring back" in footer
        assert "d trash" not in footer
        await press(pilot, "d")
        _screen(app).set_query("")
        await settle(pilot)
        assert "d trash" in text_of(app).splitlines()[-1]
