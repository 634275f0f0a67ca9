from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from textual.widgets import Input, Static

from hubman.jobs.records import Job
from registry import roots
from registry.database import Registry
from tests.support.screens import press, settle
from tui.app import HubmanApp
from tui.widgets.dialogs import Ask, Choose, Options

OpenApp = Callable[[], HubmanApp]


@pytest.fixture(autouse=True)
def person(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))


async def test_a_found_programs_folders_are_offered_and_indexed(
    open_app: OpenApp, home: Path, tmp_path: Path, started: list[Job]
) -> None:
    loras = tmp_path / "ComfyUI" / "models" / "loras"
    loras.mkdir(parents=True)
    (tmp_path / "ComfyUI" / "custom_nodes").mkdir()
    app = open_app()
    async with app.run_test(size=(120, 30)) as pilot:
        await settle(pilot)
        await press(pilot, "A")
        await settle(pilot)
        assert isinstance(app.screen, Choose)
        assert app.screen.query_one(Options).current == ("0", f"comfyui  {tmp_path / 'ComfyUI'}", "loras")
        await press(pilot, "enter")
        await settle(pilot)
    with Registry(home) as registry:
        assert roots.all_roots(registry) == [loras]
    assert [job.request for job in started] == [{"folders": [str(loras)]}]


async def test_any_other_folder_can_be_typed(open_app: OpenApp, home: Path, tmp_path: Path, started: list[Job]) -> None:
    (tmp_path / "ComfyUI" / "models" / "loras").mkdir(parents=True)
    (tmp_path / "ComfyUI" / "custom_nodes").mkdir()
    (tmp_path / "mine").mkdir()
    app = open_app()
    async with app.run_test(size=(120, 30)) as pilot:
        await settle(pilot)
        await press(pilot, "A")
        await settle(pilot)
        await press(pilot, "G", "enter")
        assert isinstance(app.screen, Ask)
        app.screen.query_one(Input).value = str(tmp_path / "nothing")
        await press(pilot, "enter")
        assert "is not a folder" in str(app.screen.query_one("#error", Static).render())
        app.screen.query_one(Input).value = "~/mine"
        await press(pilot, "enter")
        await settle(pilot)
    with Registry(home) as registry:
        assert roots.all_roots(registry) == [tmp_path / "mine"]
    assert [job.request for job in started] == [{"folders": [str(tmp_path / "mine")]}]


async def test_where_nothing_new_is_found_the_folder_is_typed_at_once(
    open_app: OpenApp, home: Path, tmp_path: Path
) -> None:
    loras = tmp_path / "ComfyUI" / "models" / "loras"
    loras.mkdir(parents=True)
    (tmp_path / "ComfyUI" / "custom_nodes").mkdir()
    with Registry(home) as registry:
        roots.add(registry, tmp_path / "ComfyUI")
    app = open_app()
    async with app.run_test(size=(120, 30)) as pilot:
        await settle(pilot)
        await press(pilot, "A")
        await settle(pilot)
        assert isinstance(app.screen, Ask)
