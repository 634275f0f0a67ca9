from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from textual.command import CommandPalette

from registry.database import Registry
from registry.records import FLAGS
from tests.support.screens import notes_of, press, settle, text_of, write
from tui import actions, keymap
from tui.app import HubmanApp
from tui.screens.help import HelpScreen
from tui.widgets.mode_bar import ModeBar
from tui.widgets.model_list import ModelList

OpenApp = Callable[[], HubmanApp]


async def test_digits_switch_modes_and_a_mode_keeps_its_state(open_app: OpenApp, models: list[str]) -> None:
    app = open_app()
    async with app.run_test(size=(100, 30)) as pilot:
        await settle(pilot)
        await press(pilot, "j", "j")
        for key, mode in zip("2345", ("civitai", "train", "generate", "sync"), strict=True):
            await press(pilot, key)
            assert app.current_mode == mode
            assert app.screen.query_one(ModeBar).active == mode
        await press(pilot, "6", "1")
        assert app.screen.query_one(ModelList).cursor == 2


async def test_a_click_on_the_header_switches_modes(open_app: OpenApp) -> None:
    app = open_app()
    async with app.run_test(size=(100, 30)) as pilot:
        await settle(pilot)
        header = text_of(app).splitlines()[0]
        await pilot.click(offset=(header.index("5 Sync") + 2, 0))
        await settle(pilot)
        assert app.current_mode == "sync"


async def test_a_click_on_the_footer_acts(open_app: OpenApp) -> None:
    app = open_app()
    async with app.run_test(size=(100, 30)) as pilot:
        await settle(pilot)
        await pilot.click(offset=(text_of(app).splitlines()[-1].index("keys"), 29))
        await settle(pilot)
        assert isinstance(app.screen, HelpScreen)


@pytest.mark.parametrize("mode", actions.MODES)
async def test_every_mode_fits_the_smallest_terminal_and_says_what_to_do(open_app: OpenApp, mode: str) -> None:
    app = open_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await app.switch_mode(mode)
        await settle(pilot)
        lines = text_of(app).splitlines()
        assert all(len(line) <= 80 for line in lines)
        assert "? keys" in lines[-1]
        assert not [note for note in notes_of(app) if "Error" in note]
        hints = {"library": "Nothing here yet", "civitai": "Search LoRAs", "train": "Choose the images", "generate": "No LoRA on the stack",
                 "sync": "No remote yet", "jobs": "No job yet"}  # fmt: skip
        assert hints[mode] in "\n".join(lines)


async def test_help_lists_every_action_of_the_screen(open_app: OpenApp) -> None:
    app = open_app()
    async with app.run_test(size=(120, 110)) as pilot:
        await settle(pilot)
        await press(pilot, "question_mark")
        text = text_of(app)
        for action in [*actions.of_scope("library"), *actions.of_scope("facets"), *actions.of_scope("app")]:
            assert action.description in text, action.id
        assert all(meaning in text for meaning in FLAGS.values())
        await press(pilot, "escape")
        assert not isinstance(app.screen, HelpScreen)


async def test_the_palette_offers_what_is_possible_now(open_app: OpenApp, models: list[str]) -> None:
    app = open_app()
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        offered = [command.title for command in app.get_system_commands(app.screen)]
        assert "Library: edit the tags" in offered
        assert "Library: undo the last change" not in offered, "nothing to undo yet"
        assert "Hubman: go to Jobs" in offered
        await press(pilot, "colon")
        assert isinstance(app.screen, CommandPalette)
        await write(pilot, "go to jobs")
        await press(pilot, "enter")
        assert app.current_mode == "jobs"


async def test_own_keys_replace_the_default_ones_everywhere(open_app: OpenApp, home: Path) -> None:
    home.mkdir()
    (home / "keys.toml").write_text('"library.cards" = "V"\n"library.nonsense" = "x"\n"library.sort" = "d"\n')
    app = open_app()
    async with app.run_test(size=(120, 30)) as pilot:
        await settle(pilot)
        assert "V cards" in text_of(app)
        assert any("no action library.nonsense" in note for note in notes_of(app))
        assert any("d is used by library.trash and library.sort" in note for note in notes_of(app))
        await press(pilot, "V")
        assert app.screen.has_class("-cards")


def test_the_default_keys_have_no_conflicts() -> None:
    assert keymap.conflicts({}) == []


def test_actions_are_named_once_and_described() -> None:
    scopes = {action.scope for action in actions.ACTIONS.values()}
    over_library = {"publish", "publishing", "shown", "organise", "duplicates", "metadata", "words", "updates"}
    over_others = {"page", "queue", "captions", "runs", "compare", "conflicts"}
    assert scopes == {"app", "move", "facets", *over_library, *over_others, *actions.MODES}
    for action in actions.ACTIONS.values():
        assert action.description[0].isupper(), action.id
        assert not action.description.endswith("."), action.id


def test_showing_every_mode_loads_neither_torch_nor_numpy(home: Path) -> None:
    Registry(home).close()  # making the tables is what loads most, and happens once
    script = """
import asyncio, sys
from pathlib import Path
from tui.actions import MODES
from tui.app import HubmanApp

async def main():
    app = HubmanApp(Path(sys.argv[1]), poll=0)
    async with app.run_test(size=(120, 40)) as pilot:
        for mode in MODES:
            await app.switch_mode(mode)
            await pilot.pause()

asyncio.run(main())
print(*sorted(name for name in ("torch", "diffusers", "transformers", "peft", "numpy") if name in sys.modules))
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(home)], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.split() == []


def test_the_app_imports_no_screen_and_no_registry_before_it_is_shown() -> None:
    script = "import sys, tui.app; print(*[name for name in sys.modules if name.startswith(('tui.screens', 'httpx', 'sqlite_utils'))])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == []


async def test_every_action_has_its_method(open_app: OpenApp) -> None:
    app = open_app()
    async with app.run_test(size=(120, 30)):
        for mode in actions.MODES:
            await app.switch_mode(mode)
            missing = [action.id for action in actions.of_scope(mode) if not hasattr(app.screen, f"do_{action.name}")]
            assert missing == []
        assert [action.id for action in actions.of_scope("app") if not hasattr(app, f"do_{action.name}")] == []
