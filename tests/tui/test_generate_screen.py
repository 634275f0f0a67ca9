from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from textual.widgets import TextArea

from hubman.generate import sweep as sweeps
from hubman.generate.grids import cells
from hubman.generate.grids.grid import save_grid
from hubman.generate.request import DrawRequest, LoraUse
from hubman.jobs.records import Job
from hubman.progress import Progress
from registry import edits, library
from registry.database import Registry
from registry.errors import HubError
from registry.scan import index_file
from tests.support import library_factory
from tests.support.civitai import write_lora
from tests.support.jobs import fake_job
from tests.support.screens import press, settle, text_of, write
from tui import generation
from tui.app import HubmanApp
from tui.screens.generate import GenerateScreen
from tui.widgets.grid_view import GridView
from tui.widgets.stack import StackList

OpenApp = Callable[[], HubmanApp]


@pytest.fixture
def loras(home: Path, tmp_path: Path) -> list[str]:
    """Two models whose files are here; their ids."""
    with Registry(home) as registry:
        files = [
            write_lora(tmp_path / "loras" / f"{name}.safetensors", seed=seed)
            for seed, name in enumerate(("ink", "wash"))
        ]
        versions = [index_file(registry, path) for path in files]
        return [library.version(registry, version).model_id for version in versions]


def _screen(app: HubmanApp) -> GenerateScreen:
    assert isinstance(app.screen, GenerateScreen)
    return app.screen


async def test_a_model_comes_from_the_library_with_its_strength(
    open_app: OpenApp, home: Path, loras: list[str]
) -> None:
    with Registry(home) as registry:
        detail = library.show(registry, loras[0])
        edits.edit(registry, loras[0], detail.versions[0].id, {"strength": "0.65"})
    app = open_app()
    async with app.run_test(size=(120, 36)) as pilot:
        await settle(pilot)
        await press(pilot, "T")
        item = _screen(app).query_one(StackList).current
        assert item is not None
        assert (item.alias, item.strength) == ("ink", 0.65)
        await press(pilot, "plus", "plus", "minus")
        item = _screen(app).query_one(StackList).current
        assert item is not None
        assert item.strength == 0.7


async def test_tags_in_the_prompt_move_to_the_stack(open_app: OpenApp, loras: list[str]) -> None:
    app = open_app()
    async with app.run_test(size=(120, 36)) as pilot:
        await press(pilot, "4")
        screen = _screen(app)
        screen.query_one(TextArea).text = "a red circle <lora:wash:0.4>"
        await settle(pilot)
        item = screen.query_one(StackList).current
        assert item is not None
        assert (item.alias, item.strength) == ("wash", 0.4)
        assert screen.query_one(TextArea).text == "a red circle"


async def test_writing_a_tag_opens_the_list_of_models(open_app: OpenApp, loras: list[str]) -> None:
    app = open_app()
    async with app.run_test(size=(120, 36)) as pilot:
        await press(pilot, "4", "slash")
        await pilot.press("less_than_sign", "l", "o", "r", "a", "colon")
        await settle(pilot)
        assert "put a LoRA on the stack" in text_of(app)
        await write(pilot, "wash")
        await press(pilot, "enter")
        item = _screen(app).query_one(StackList).current
        assert item is not None
        assert item.alias == "wash"


async def test_warnings_come_with_a_fix_that_one_key_applies(open_app: OpenApp, loras: list[str]) -> None:
    app = open_app()
    async with app.run_test(size=(140, 40)) as pilot:
        await press(pilot, "4")
        screen = _screen(app)
        screen.take_models(loras[:1])
        await settle(pilot)
        await press(pilot, "s", "end", "ctrl+u")
        await write(pilot, "1.4")
        await press(pilot, "enter")
        assert "is above 0.9" in " ".join(text_of(app).split())
        await press(pilot, "F")
        item = screen.query_one(StackList).current
        assert item is not None
        assert item.strength == 0.8


async def test_a_warning_names_the_key_of_its_fix_in_the_smallest_terminal(open_app: OpenApp, loras: list[str]) -> None:
    app = open_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await press(pilot, "4")
        _screen(app).take_models(loras[:1])
        await settle(pilot)
        await press(pilot, "s", "end", "ctrl+u")
        await write(pilot, "1.4")
        await press(pilot, "enter")
        assert "(F: " in text_of(app)


async def test_a_sweep_is_started_for_the_lora_under_the_cursor(
    open_app: OpenApp, home: Path, loras: list[str], started: list[Job]
) -> None:
    app = open_app()
    async with app.run_test(size=(120, 40)) as pilot:
        await press(pilot, "4")
        screen = _screen(app)
        screen.take_models(loras)
        await settle(pilot)
        screen.query_one(TextArea).text = "a red circle"
        await settle(pilot)
        await press(pilot, "W")
        (job,) = started
        assert job.kind == "sweep"
        assert job.request["strengths"] == [0, 0.25, 0.5, 0.75, 1]
        assert job.request["prompt"] == "a red circle <lora:wash:0.8>"
        assert len(job.request["version_ids"]) == 1


async def test_a_finished_sweep_shows_grid_and_curve_and_its_cells_can_be_kept(
    open_app: OpenApp, home: Path, loras: list[str], tmp_path: Path
) -> None:
    pictures = library_factory.write_pictures(tmp_path / "cells", 3)
    with Registry(home) as registry:
        version = library.show(registry, loras[0]).versions[0].id
        curve = [{"strength": s, "distance": s * 0.4, "clip": 0.3 - s * 0.1, "burn": 0.0} for s in (0.0, 0.5, 1.0)]
        request = {"version_ids": [version], "strengths": [0.5, 1.0], "seeds": [7], "prompt": "a red circle"}
        result = {"curve": curve, "suggested": 0.5, "grid_path": "grid.png", "images": [str(path) for path in pictures]}
        fake_job(registry, "sweep", "sweep ink", request, state="done", result=result)
    app = open_app()
    async with app.run_test(size=(140, 40)) as pilot:
        app.poll_soon()
        await press(pilot, "4")
        await settle(pilot)
        text = text_of(app)
        assert "suggested strength 0.5" in text
        assert "CLIP adherence" in text
        grid = _screen(app).query_one(GridView)
        assert grid.shape.xs == ("0", "0.5", "1")
        grid.focus()
        await press(pilot, "l", "R", "V")
        with Registry(home) as registry:
            stored = library.version(registry, version)
        assert (stored.strength, stored.sources["strength"]) == (0.5, "user")
        assert len(stored.previews) == 1


async def test_a_running_sweep_fills_its_grid_as_pictures_arrive(open_app: OpenApp, home: Path) -> None:
    use = LoraUse(path="ink.safetensors", name="ink", sha256="0" * 64)
    plan = sweeps.strength_sweep(
        DrawRequest(base="tiny", prompt="a", loras=(use,)), "ink", strengths=[0.5, 1], seeds=[1, 2]
    )
    grid = plan.grid()
    cell = next(cell for cell in grid.cells if cell.at == (2, 1))
    path = cells.cell_path(home / "generations", cell.request)
    path.parent.mkdir(parents=True)
    path.write_bytes(library_factory.picture(3))
    event = Progress(
        stage="draw", done=1, total=6, unit="picture", data={"image": str(path), "key": cell.request.key()}
    )
    with Registry(home) as registry:
        request = {"version_ids": ["i1"], "strengths": [0.5, 1], "seeds": [1, 2], "prompt": "a"}
        job = fake_job(registry, "sweep", "sweep ink", request, events=[event])
    save_grid(grid, home / "generations" / job.id)
    app = open_app()
    async with app.run_test(size=(140, 40)) as pilot:
        app.poll_soon()
        await press(pilot, "4")
        await settle(pilot)
        view = _screen(app).query_one(GridView)
        view.at = (1, 2)
        assert view.current == path
        assert "17%  1 picture" in text_of(app)


def test_settings_are_checked_one_by_one() -> None:
    settings = generation.Settings()
    for name, text in (
        ("size", "big"),
        ("steps", "0"),
        ("sampler", "Magic"),
        ("strengths", "a-b"),
        ("seeds", ""),
        ("base", "/nowhere"),
    ):
        with pytest.raises(HubError):
            generation.assign(settings, name, text)
    assert generation.assign(settings, "size", "512x768").size == "512x768"
