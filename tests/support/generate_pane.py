"""The generation pane with two models for the embedded base."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.pilot import Pilot

from registry import library
from registry.database import Registry
from registry.scan import index_file
from tests.support.model_files import tiny_lora, write_model
from tests.support.screens import press, settle, text_of, write
from tui.app import HubmanApp
from tui.generation import StackItem
from tui.screens.generate import GenerateScreen
from tui.widgets.stack import StackList

FITS = tiny_lora()


@pytest.fixture(autouse=True)
def in_generate(monkeypatch: pytest.MonkeyPatch) -> None:
    """The app begins with mode 4: the library's screen would take as long to make as many a test."""
    monkeypatch.setattr(HubmanApp, "DEFAULT_MODE", "generate")


@pytest.fixture
def loras(home: Path, tmp_path: Path) -> list[str]:
    """Two models for the embedded base, whose files are here; their ids."""
    with Registry(home) as registry:
        files = [
            write_model(tmp_path / "loras" / f"{name}.safetensors", FITS, seed=seed)
            for seed, name in enumerate(("ink", "wash"))
        ]
        versions = [index_file(registry, path) for path in files]
        return [library.version(registry, version).model_id for version in versions]


def screen_of(app: HubmanApp) -> GenerateScreen:
    assert isinstance(app.screen, GenerateScreen)
    return app.screen


def item_of(app: HubmanApp) -> StackItem:
    item = screen_of(app).query_one(StackList).current
    assert item is not None
    return item


def flat_text(app: HubmanApp) -> str:
    return " ".join(text_of(app).split())


async def set_up(pilot: Pilot[None], models: list[str], words: str = "a red circle") -> GenerateScreen:
    app = pilot.app
    assert isinstance(app, HubmanApp)
    await settle(pilot)
    screen = screen_of(app)
    screen.take_models(models)
    await settle(pilot)
    screen.take_prompt(words)
    await settle(pilot)
    return screen


async def answer(pilot: Pilot[None], text: str) -> None:
    await press(pilot, "end", "ctrl+u")
    await write(pilot, text)
    await press(pilot, "enter")
