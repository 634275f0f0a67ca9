from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from PIL import Image, PngImagePlugin
from textual.pilot import Pilot

from hubman import tinybase
from hubman.generate import saved
from hubman.generate.grids.cells import cell_path
from hubman.generate.grids.grid import make_grid, save_grid
from hubman.generate.grids.spec import build_axis, parse_axis
from hubman.generate.naming import LibrarySources
from hubman.generate.request import DrawRequest, LoraUse
from hubman.jobs import store
from hubman.jobs.records import Job
from hubman.progress import Progress
from registry import library
from registry.database import Registry
from tests.support import library_factory
from tests.support.generate_pane import answer, flat_text, in_generate, item_of, loras, screen_of
from tests.support.jobs import fake_job
from tests.support.screens import notes_of, press, settle, text_of, write
from tui.app import HubmanApp
from tui.screens.look import FlipScreen
from tui.screens.publish import PublishScreen
from tui.widgets.grid_view import GridView

__all__ = ["in_generate", "loras"]

OpenApp = Callable[[], HubmanApp]


@pytest.fixture
def drawn(home: Path, loras: list[str]) -> Job:
    """A finished sweep of ``ink`` over three strengths, two seeds and two steps, with one cell missing."""
    with Registry(home) as registry:
        version = library.show(registry, loras[0]).versions[0]
        file = version.files[0]
        use = LoraUse(path=file.places[0].path, name="ink", sha256=file.sha256)
        request = DrawRequest(base=str(tinybase.MODEL), prompt="a red circle", loras=(use,), sampler="DDIM")
        texts = ("strength=0, 0.5, 1", "seed=1-2", "steps=8, 16")
        axes = [build_axis(parse_axis(text), request, LibrarySources(registry)) for text in texts]
        grid = make_grid(request, axes, title="ink")
        curve = [{"strength": s, "distance": s * 0.4, "clip": 0.3 - s * 0.1, "burn": 0.0} for s in (0.0, 0.5, 1.0)]
        result = {"curve": curve, "suggested": 0.5, "range": [0.4, 0.6], "reason": "pictures burn from 0.75 on"}
        told = {"version_ids": [version.id], "strengths": [0, 0.5, 1], "seeds": [1, 2], "prompt": "a red circle"}
        job = fake_job(registry, "sweep", "sweep ink", told, state="done", result=result)
        save_grid(grid, home / "generations" / job.id)
        for number, cell in enumerate(grid.cells[:-1]):
            path = cell_path(home / "generations", cell.request)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(library_factory.picture(number))
        return job


async def _looking(pilot: Pilot[None]) -> GridView:
    app = pilot.app
    assert isinstance(app, HubmanApp)
    await settle(pilot)
    app.poll_soon()
    await settle(pilot)
    await press(pilot, "v")
    return screen_of(app).query_one(GridView)


@pytest.mark.usefixtures("drawn")
async def test_a_finished_sweep_shows_its_pages_its_curve_and_what_it_suggests(open_app: OpenApp) -> None:
    app = open_app()
    async with app.run_test(size=(160, 44)) as pilot:
        grid = await _looking(pilot)
        text = flat_text(app)
        assert "suggested strength 0.5 (0.4 to 0.6): pictures burn from 0.75 on" in text
        assert "CLIP adherence" in text
        assert "▲ suggested 0.4 to 0.6" in text
        assert grid.shape.xs == ("0", "0.5", "1")
        assert "1/2 Steps 8" in text
        await press(pilot, "right_square_bracket")
        assert "2/2 Steps 16" in flat_text(app)
        await press(pilot, "G")
        assert screen_of(app).result.cell is None
        await press(pilot, "left_square_bracket")
        assert grid.current is not None
        await press(pilot, "enter")
        assert "ink 1, Seed 2, Steps 8" in text_of(app)


async def test_a_sweep_that_suggests_nothing_says_all_of_why(open_app: OpenApp, drawn: Job, home: Path) -> None:
    reason = (
        "the style shows only beyond 0.75; seeds look alike from 1 on (0.37); 3 seeds cannot tell what burns: sweep 4"
    )
    curve = [{"strength": s, "style": s * 0.3 - 0.0136, "burn": 0.0} for s in (0.0, 0.5, 1.0)]
    with Registry(home) as registry:
        store.finish(registry, drawn.id, "done", result={"curve": curve, "suggested": None, "reason": reason})
    app = open_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await _looking(pilot)
        assert f"no strength is suggested: {reason}" in flat_text(app)
        axis = {line.index("▏") for line in text_of(app).splitlines() if "▏" in line}
        assert len(axis) == 1


@pytest.mark.usefixtures("drawn")
async def test_cells_are_pinned_flipped_taken_and_saved(open_app: OpenApp, home: Path, loras: list[str]) -> None:
    app = open_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await _looking(pilot)
        screen = screen_of(app)
        assert not screen.query_one("#setup").display
        assert "V use as preview  R recommend" in text_of(app)
        await press(pilot, "f")
        assert "pin a cell (m)" in notes_of(app)[-1]
        await press(pilot, "m", "l", "f")
        assert isinstance(app.screen, FlipScreen)
        assert "A: ink 0, Seed 1" in text_of(app)
        await press(pilot, "space")
        assert "B: ink 0.5, Seed 1" in text_of(app)
        await press(pilot, "escape", "S")
        await write(pilot, "Half ink")
        await press(pilot, "enter", "t")
        assert screen.setup.words == "a red circle"
        assert (screen.setup.stack[0].strength, screen.setup.settings.steps) == (0.5, "8")
        recipe = saved.load(saved.names(home)[0])
        assert (saved.names(home)[0].name, recipe.request.loras[0].strength) == ("Half-ink.json", 0.5)
        await press(pilot, "d", "L", "down", "enter")
        assert [item.strength for item in screen.setup.stack] == [0.5]


async def test_a_picture_of_another_program_is_set_up(open_app: OpenApp, loras: list[str], tmp_path: Path) -> None:
    info = PngImagePlugin.PngInfo()
    told = "a cat <lora:wash:0.4>\nNegative prompt: dog\nSteps: 9, Sampler: Euler a, CFG scale: 5, Seed: 7, Size: 64x64, Model: gone"
    info.add_text("parameters", told)
    Image.new("RGB", (8, 8)).save(tmp_path / "theirs.png", pnginfo=info)
    app = open_app()
    async with app.run_test(size=(120, 36)) as pilot:
        await settle(pilot)
        screen = screen_of(app)
        screen.load(tmp_path / "theirs.png")
        await settle(pilot)
        settings = screen.setup.settings
        assert (screen.setup.words, item_of(app).alias, item_of(app).strength) == ("a cat", "wash", 0.4)
        assert (settings.negative, settings.steps, settings.seeds, settings.size) == ("dog", "9", "7", "64x64")
        assert "gone is not known here" in notes_of(app)[-1]
        screen.load(tmp_path / "nothing.json")
        await settle(pilot)
        assert "there is no recipe nothing" in notes_of(app)[-1]


@pytest.mark.usefixtures("drawn")
async def test_a_cell_becomes_preview_recommended_strength_and_page(
    open_app: OpenApp, home: Path, loras: list[str]
) -> None:
    app = open_app()
    async with app.run_test(size=(140, 40)) as pilot:
        await _looking(pilot)
        await press(pilot, "l", "R", "V")
        with Registry(home) as registry:
            stored = library.show(registry, loras[0]).versions[0]
            assert (stored.strength, stored.sources["strength"]) == (0.5, "user")
            assert len(stored.previews) == 1
        await press(pilot, "m", "l", "p")
        assert isinstance(app.screen, PublishScreen)
        with Registry(home) as registry:
            assert len(library.show(registry, loras[0]).versions[0].previews) == 2


@pytest.mark.usefixtures("drawn")
async def test_a_grid_is_exported_and_another_result_chosen(open_app: OpenApp, home: Path, tmp_path: Path) -> None:
    with Registry(home) as registry:
        fake_job(
            registry, "generate", "draw a cat", {"prompt": "a cat", "seeds": [3]}, state="done", result={"images": []}
        )
    app = open_app()
    async with app.run_test(size=(120, 36)) as pilot:
        await _looking(pilot)
        assert "draw a cat · done" in text_of(app)
        await press(pilot, "o", "j", "enter", "E", "j", "j", "enter")
        await answer(pilot, str(tmp_path / "cells.csv"))
        assert "sweep ink · done" in text_of(app)
        assert len((tmp_path / "cells.csv").read_text().splitlines()) == 13


async def test_a_running_grid_fills_with_previews_then_pictures_and_is_stopped(
    open_app: OpenApp, home: Path, drawn: Job
) -> None:
    plan = home / "generations" / drawn.id / "grid.json"
    first = home / "generations" / "cells"
    with Registry(home) as registry:
        event = Progress(stage="draw", done=1, total=12, unit="picture", data={})
        job = fake_job(registry, "sweep", "sweep ink", drawn.request, events=[event])
    folder = home / "generations" / job.id
    folder.mkdir()
    (folder / "grid.json").write_bytes(plan.read_bytes())
    grid = msgspec.json.decode(plan.read_bytes())
    assert grid["cells"]
    missing = next(path for path in first.iterdir())
    previews = Path(job.folder) / "previews"
    previews.mkdir()
    (previews / missing.name).write_bytes(missing.read_bytes())
    missing.unlink()
    app = open_app()
    async with app.run_test(size=(140, 40)) as pilot:
        view = await _looking(pilot)
        result = screen_of(app).result
        assert "8% 10 pictures" in flat_text(app)
        places = list(result._filled.previews)
        assert len(places) == 1
        page, row, column = places[0]
        await press(pilot, *["right_square_bracket"] * page)
        view.at = (row, column)
        await settle(pilot)
        assert view._strips[row, column]
        assert view.current is None
        await press(pilot, "c")
        assert job.stop_path.exists()
