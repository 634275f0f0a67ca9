from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
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
from registry import edits, library
from registry.database import Registry
from registry.errors import HubError
from registry.scan import index_file
from tests.support import library_factory
from tests.support.jobs import fake_job
from tests.support.model_files import tiny_lora, write_model
from tests.support.screens import notes_of, press, settle, text_of, write
from tui import generate_settings, generation
from tui.app import HubmanApp
from tui.generation import StackItem
from tui.screens.generate import GenerateScreen
from tui.screens.look import FlipScreen
from tui.screens.publish import PublishScreen
from tui.widgets.grid_view import GridView
from tui.widgets.stack import AxisList, SettingsList, StackList

OpenApp = Callable[[], HubmanApp]
FITS = tiny_lora()


@pytest.fixture(autouse=True)
def _in_generate(monkeypatch: pytest.MonkeyPatch) -> None:
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


def _screen(app: HubmanApp) -> GenerateScreen:
    assert isinstance(app.screen, GenerateScreen)
    return app.screen


def _item(app: HubmanApp) -> StackItem:
    item = _screen(app).query_one(StackList).current
    assert item is not None
    return item


def _flat(app: HubmanApp) -> str:
    return " ".join(text_of(app).split())


async def _stack(pilot: Pilot[None], models: list[str], words: str = "a red circle") -> GenerateScreen:
    app = pilot.app
    assert isinstance(app, HubmanApp)
    await settle(pilot)
    screen = _screen(app)
    screen.take_models(models)
    await settle(pilot)
    screen.take_prompt(words)
    await settle(pilot)
    return screen


async def _answer(pilot: Pilot[None], text: str) -> None:
    await press(pilot, "end", "ctrl+u")
    await write(pilot, text)
    await press(pilot, "enter")


# stack ----------------------------------------------------------------------------------------------------------------


async def test_a_model_comes_from_the_library_with_its_strength(
    open_app: OpenApp, home: Path, loras: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(HubmanApp, "DEFAULT_MODE", "library")
    with Registry(home) as registry:
        detail = library.show(registry, loras[0])
        edits.edit(registry, loras[0], detail.versions[0].id, {"strength": "0.65"})
    app = open_app()
    async with app.run_test(size=(120, 36)) as pilot:
        await settle(pilot)
        await press(pilot, "T")
        assert (_item(app).alias, _item(app).strength) == ("ink", 0.65)


async def test_keys_and_the_mouse_move_strengths_and_each_step_is_undone(open_app: OpenApp, loras: list[str]) -> None:
    app = open_app()
    async with app.run_test(size=(120, 36)) as pilot:
        screen = await _stack(pilot, loras[:1])
        await press(pilot, "plus", "l", "right", "h")
        assert _item(app).strength == 0.9
        await press(pilot, "minus", "left")
        assert _item(app).strength == 0.8
        rows = screen.query_one(StackList)
        left, width = rows._bar_place()
        assert width
        await pilot.click(StackList, offset=(left + width // 2, 1))
        await settle(pilot)
        assert _item(app).strength == 0.55
        await press(pilot, "space")
        assert (_item(app).strength, "off" in text_of(app)) == (0, True)
        await press(pilot, "space", "s")
        await _answer(pilot, "0.4:0.6:start=3")
        item = _item(app)
        assert (item.te, item.strength, item.start) == (0.4, 0.6, 3)
        assert item.tag == "<lora:ink:te=0.4:unet=0.6:start=3>"
        await press(pilot, "z", "z", "z", "z")
        assert _item(app).strength == 0.8
        await press(pilot, "d")
        assert screen.setup.stack == ()
        await press(pilot, "d")
        assert "put a LoRA on the stack first (a)" in notes_of(app)[-1]


def test_what_a_tag_has_behind_its_name_is_read_or_refused() -> None:
    item = StackItem("v", "ink", "a" * 64, "ink.safetensors")
    assert generation.typed_strength(item, "0.8:stop=12").stop == 12
    for bad in ("much", "40", "", "0.5>x", "start=x"):
        with pytest.raises(HubError):
            generation.typed_strength(item, bad)


# prompt ---------------------------------------------------------------------------------------------------------------


async def test_tags_in_the_prompt_move_to_the_stack_with_all_that_they_say(open_app: OpenApp, loras: list[str]) -> None:
    app = open_app()
    async with app.run_test(size=(120, 36)) as pilot:
        await settle(pilot)
        screen = _screen(app)
        screen.take_prompt("a red circle <lora:wash:0.4:0.6:stop=9>")
        await settle(pilot)
        assert (_item(app).alias, _item(app).te, _item(app).strength, _item(app).stop) == ("wash", 0.4, 0.6, 9)
        assert screen.editor.text == "a red circle"


async def test_writing_a_tag_completes_it_from_the_library(
    open_app: OpenApp, home: Path, loras: list[str], tmp_path: Path
) -> None:
    with Registry(home) as registry:
        other = {"lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k.lora_down.weight": ("F16", [4, 2048])}
        index_file(registry, write_model(tmp_path / "loras" / "large.safetensors", other))
    app = open_app()
    async with app.run_test(size=(120, 36)) as pilot:
        await settle(pilot)
        await press(pilot, "slash")
        await pilot.press("a", "less_than_sign", "l", "o", "r", "a", "colon")
        await settle(pilot)
        screen = _screen(app)
        assert screen.completions.row_count == 3
        assert "another base" in text_of(app)
        await pilot.press("w", "a")
        await settle(pilot)
        assert [row.name for row in screen.completions._items] == ["wash"]
        await press(pilot, "escape")
        assert not screen.editor.completes
        await press(pilot, "s", "tab")
        assert (_item(app).alias, screen.editor.text) == ("wash", "a")
        await press(pilot, "slash", "escape")
        assert app.focused is screen.stack


async def test_trigger_words_are_added_and_the_prompt_is_copied_with_tags(
    open_app: OpenApp, home: Path, loras: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    copied: list[str] = []
    monkeypatch.setattr(HubmanApp, "copy_to_clipboard", lambda _, text: copied.append(text))
    with Registry(home) as registry:
        edits.edit(registry, loras[0], library.show(registry, loras[0]).versions[0].id, {"trigger_words": "inkwash"})
    app = open_app()
    async with app.run_test(size=(140, 40)) as pilot:
        screen = await _stack(pilot, loras[:1])
        assert "no trigger word of ink" in _flat(app)
        await press(pilot, "w")
        assert screen.setup.words == "a red circle, inkwash"
        assert "no trigger word" not in _flat(app)
        await press(pilot, "y")
        assert copied == ["a red circle, inkwash <lora:ink:0.8>"]


# remarks --------------------------------------------------------------------------------------------------------------


async def test_remarks_come_with_a_fix_that_one_key_applies(open_app: OpenApp, loras: list[str]) -> None:
    app = open_app()
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await _stack(pilot, loras[:1], "a (red circle")
        await press(pilot, "escape", "s")
        await _answer(pilot, "1.4")
        assert "(F: " in text_of(app)
        assert len(screen.remarks) == 2
        await press(pilot, "i")
        assert "is above 0.9" in text_of(app)
        row = next(n for n, remark in enumerate(screen.remarks) if remark.code == "strength-high")
        await press(pilot, *["j"] * row, "enter")
        assert _item(app).strength == 0.8
        await press(pilot, "F")
        assert not _screen(app).remarks
        await press(pilot, "F")
        assert "no remark offers a fix" in notes_of(app)[-1]


async def test_slots_of_the_prompt_are_filled_by_a_setting(
    open_app: OpenApp, loras: list[str], started: list[Job]
) -> None:
    app = open_app()
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await _stack(pilot, [], "a {subject}, ink")
        assert "{subject} has no value" in _flat(app)
        await press(pilot, "escape", "D")
        assert not started
        screen.become(
            replace(screen.setup, settings=generate_settings.assign(screen.setup.settings, "slots", "subject=a cat"))
        )
        await settle(pilot)
        assert not screen.remarks
        await press(pilot, "D")
        assert (started[0].request["prompt"], started[0].request["slots"]) == ("a {subject}, ink", {"subject": "a cat"})


async def test_what_no_engine_could_draw_is_not_started(
    open_app: OpenApp, home: Path, tmp_path: Path, started: list[Job]
) -> None:
    with Registry(home) as registry:
        path = write_model(tmp_path / "wrong.safetensors", {key: (dtype, [4, 4]) for key, (dtype, _) in FITS.items()})
        model = library.version(registry, index_file(registry, path)).model_id
    app = open_app()
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await _stack(pilot, [model])
        assert "wrong base" in text_of(app)
        await press(pilot, "D")
        assert not started
        await press(pilot, "F")
        assert screen.setup.stack == ()


# drawing --------------------------------------------------------------------------------------------------------------


async def test_what_is_set_up_is_drawn_swept_and_paired(
    open_app: OpenApp, loras: list[str], started: list[Job]
) -> None:
    app = open_app()
    async with app.run_test(size=(120, 40)) as pilot:
        await _stack(pilot, loras)
        await press(pilot, "D", "W", "C")
        draw, sweep, pair = started
        assert (draw.kind, draw.request["prompt"]) == ("generate", "a red circle <lora:ink:0.8> <lora:wash:0.8>")
        assert sweep.request["strengths"] == [0, 0.25, 0.5, 0.75, 1]
        assert (sweep.request["prompt"], len(sweep.request["version_ids"])) == ("a red circle <lora:wash:0.8>", 1)
        assert (pair.request["prompt"], len(pair.request["version_ids"])) == ("a red circle", 2)


async def test_axes_make_a_grid_and_a_large_one_is_asked_for(
    open_app: OpenApp, loras: list[str], started: list[Job]
) -> None:
    app = open_app()
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await _stack(pilot, loras)
        await press(pilot, "M")
        assert "add an axis first (x)" in notes_of(app)[-1]
        await press(pilot, "x", "enter")
        await _answer(pilot, "strength:nobody=0-1")
        assert "nobody is not in the prompt" in _flat(app)
        await _answer(pilot, "strength:ink=0-1 (+0.05)")
        await press(pilot, "x", "enter")
        await _answer(pilot, "seed=1-20")
        assert "across strength:ink=0-1 (+0.05)" in _flat(app)
        assert "Grid 420 cells" in _flat(app)
        assert "420 cells" in _flat(app)
        await press(pilot, "M")
        assert not started
        await press(pilot, "enter")
        assert 1 < len(screen.setup.axes[0].values.split(",")) < 21
        await press(pilot, "M")
        (job,) = started
        assert job.kind == "sweep"
        assert job.request["axes"] == list(map(str, screen.setup.axes))
        screen.query_one(AxisList).focus()
        await press(pilot, "d")
        assert len(screen.setup.axes) == 1


async def test_settings_are_chosen_or_written(open_app: OpenApp, loras: list[str], started: list[Job]) -> None:
    app = open_app()
    async with app.run_test(size=(120, 24)) as pilot:
        screen = await _stack(pilot, loras[:1])
        await press(pilot, "e")
        names = [name for name, _ in screen.setup.settings.lines]
        rows = screen.query_one(SettingsList)
        rows.cursor = names.index("mode")
        await press(pilot, "enter", "j", "enter")
        assert screen.setup.settings.mode == "fused"
        rows.cursor = names.index("hires")
        await press(pilot, "enter")
        await _answer(pilot, "2 denoise=0.5")
        rows.cursor = names.index("size")
        await press(pilot, "enter")
        await _answer(pilot, "big")
        assert "is not WIDTHxHEIGHT" in _flat(app)
        await _answer(pilot, "64x128")
        await press(pilot, "D")
        told = started[0].request
        assert (told["mode"], told["width"], told["height"]) == ("fused", 64, 128)
        assert (told["hires"]["denoise"], "cfg" in told) == (0.5, False)


def test_settings_are_checked_one_by_one(tmp_path: Path) -> None:
    settings = generate_settings.Settings()
    wrong = {
        "size": "big", "steps": "0", "sampler": "Magic", "strengths": "a-b", "seeds": "", "base": "/nowhere",
        "init": "/nowhere.png", "denoise": "2", "hires": "huge", "vae": "/nowhere", "cfg": "x", "clip_skip": "1.5",
        "mode": "fast", "slots": "a cat",
    }  # fmt: skip
    for name, text in wrong.items():
        with pytest.raises(HubError):
            generate_settings.assign(settings, name, text)
    assert generate_settings.assign(settings, "size", "512x768").size == "512x768"
    changed = generate_settings.assign(settings, "hires", "1024x1536 denoise=0.4 steps=9 lanczos")
    request = generate_settings.as_request(changed)
    assert generate_settings.as_request(generate_settings.of_request(request, settings)) == request


# pictures -------------------------------------------------------------------------------------------------------------


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
    return _screen(app).query_one(GridView)


@pytest.mark.usefixtures("drawn")
async def test_a_finished_sweep_shows_its_pages_its_curve_and_what_it_suggests(open_app: OpenApp) -> None:
    app = open_app()
    async with app.run_test(size=(160, 44)) as pilot:
        grid = await _looking(pilot)
        text = _flat(app)
        assert "suggested strength 0.5 (0.4 to 0.6): pictures burn from 0.75 on" in text
        assert "CLIP adherence" in text
        assert "▲ suggested 0.4 to 0.6" in text
        assert grid.shape.xs == ("0", "0.5", "1")
        assert "1/2 Steps 8" in text
        await press(pilot, "right_square_bracket")
        assert "2/2 Steps 16" in _flat(app)
        await press(pilot, "G")
        assert _screen(app).result.cell is None
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
        assert f"no strength is suggested: {reason}" in _flat(app)
        axis = {line.index("▏") for line in text_of(app).splitlines() if "▏" in line}
        assert len(axis) == 1


@pytest.mark.usefixtures("drawn")
async def test_cells_are_pinned_flipped_taken_and_saved(open_app: OpenApp, home: Path, loras: list[str]) -> None:
    app = open_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await _looking(pilot)
        screen = _screen(app)
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
        screen = _screen(app)
        screen.load(tmp_path / "theirs.png")
        await settle(pilot)
        settings = screen.setup.settings
        assert (screen.setup.words, _item(app).alias, _item(app).strength) == ("a cat", "wash", 0.4)
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
        await _answer(pilot, str(tmp_path / "cells.csv"))
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
        result = _screen(app).result
        assert "8% 10 pictures" in _flat(app)
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


async def test_every_action_of_the_pane_has_its_method_and_says_what_it_lacks(open_app: OpenApp) -> None:
    from tui.generate_actions import GENERATE_ACTIONS

    app = open_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        screen = _screen(app)
        for action in GENERATE_ACTIONS:
            assert callable(getattr(screen, f"do_{action.name}"))
            if action.needs:
                assert screen.why_not(action.id)
