from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hubman.jobs.records import Job
from hubman.progress import Progress
from hubman.train.dataset import read_caption
from hubman.train.recipe import read_recipe
from registry.database import Registry
from registry.errors import HubError
from tests.support import library_factory
from tests.support.jobs import fake_job
from tests.support.screens import notes_of, press, settle, text_of, write
from tui import recipes
from tui.app import HubmanApp
from tui.screens.train import TrainScreen
from tui.widgets.stack import StackList
from tui.widgets.train_lists import ImageList, RecipeList

OpenApp = Callable[[], HubmanApp]


def _dataset(folder: Path) -> Path:
    for number, path in enumerate(library_factory.write_pictures(folder, 6)[:5]):
        path.with_suffix(".txt").write_text(f"zvk style, shapes number {number}")
    return folder


def _screen(app: HubmanApp) -> TrainScreen:
    assert isinstance(app.screen, TrainScreen)
    return app.screen


async def test_a_dataset_shows_its_findings_captions_and_a_recipe(open_app: OpenApp, tmp_path: Path) -> None:
    folder = _dataset(tmp_path / "ink")
    app = open_app()
    async with app.run_test(size=(160, 48)) as pilot:
        await press(pilot, "3", "o", "end", "ctrl+u")
        await write(pilot, str(folder))
        await press(pilot, "enter")
        text = text_of(app)
        assert "ink · 6 images" in text
        assert "zvk style, shapes number 0" in text
        assert "no caption: e writes one" in text
        assert "Recipe · style on tiny" in text


async def test_a_folder_that_is_none_is_refused_in_one_line(open_app: OpenApp, tmp_path: Path) -> None:
    app = open_app()
    async with app.run_test(size=(100, 30)) as pilot:
        await press(pilot, "3")
        _screen(app).open_dataset(tmp_path / "nothing")
        await settle(pilot)
        assert "is not a folder" in _screen(app).query_one(ImageList).empty


async def test_a_caption_is_written_beside_its_image(open_app: OpenApp, tmp_path: Path) -> None:
    folder = _dataset(tmp_path / "ink")
    app = open_app()
    async with app.run_test(size=(120, 36)) as pilot:
        await press(pilot, "3")
        _screen(app).open_dataset(folder)
        await settle(pilot)
        rows = _screen(app).query_one(ImageList)
        rows.focus()
        await press(pilot, "G", "e")
        await write(pilot, "zvk style, night")
        await press(pilot, "enter")
        assert read_caption(folder / "05.png")[0] == "zvk style, night"
        assert "zvk style, night" in text_of(app)


async def test_the_recipe_is_edited_checked_and_started(open_app: OpenApp, tmp_path: Path, started: list[Job]) -> None:
    folder = _dataset(tmp_path / "ink")
    app = open_app()
    async with app.run_test(size=(120, 48)) as pilot:
        await press(pilot, "3")
        screen = _screen(app)
        screen.open_dataset(folder)
        await settle(pilot)
        rows = screen.query_one(RecipeList)
        rows.focus()
        rows.cursor = next(
            index for index in range(rows.row_count) if getattr(rows.item(index), "name", "") == "network.rank"
        )
        await press(pilot, "enter", "end", "ctrl+u")
        await write(pilot, "many")
        await press(pilot, "enter")
        assert "a whole number between 1 and 1,024" in text_of(app)
        await press(pilot, "end", "ctrl+u", "4", "enter")
        assert "yours" in text_of(app)
        await press(pilot, "s", "y")
        assert [job.kind for job in started] == ["train"]
        assert read_recipe(Path(started[0].folder) / "recipe.toml").network.rank == 4
        assert app.screen.has_class("-runs")


async def test_a_start_in_spite_of_errors_is_what_the_job_is_told(
    open_app: OpenApp, tmp_path: Path, started: list[Job]
) -> None:
    folder = _dataset(tmp_path / "ink")
    (folder / "05.png").write_bytes(b"no picture")
    app = open_app()
    async with app.run_test(size=(120, 48)) as pilot:
        await press(pilot, "3")
        _screen(app).open_dataset(folder)
        await settle(pilot)
        await press(pilot, "s")
        assert "Start although the checks found errors?" in text_of(app)
        await press(pilot, "y")
        assert [job.request["force"] for job in started] == [True]


async def test_a_run_shows_loss_time_left_and_samples(open_app: OpenApp, home: Path, tmp_path: Path) -> None:
    sample = library_factory.write_pictures(tmp_path / "samples", 1)[0]
    events = [
        Progress(stage="train", done=step, total=100, data={"step": step, "loss": 1 / step, "lr": 1e-4})
        for step in range(1, 41)
    ]
    events.append(Progress(stage="sample", done=1, total=2, data={"image": str(sample), "epoch": 2}))
    with Registry(home) as registry:
        fake_job(registry, "train", "train ink", {"recipe": "x"}, events=events)
    app = open_app()
    async with app.run_test(size=(120, 40)) as pilot:
        app.poll_soon()
        await press(pilot, "3", "r")
        text = text_of(app)
        assert "train ink · running" in text
        assert "40%" in text
        assert "left" in text
        assert "epoch 2" in text
        assert any(0x2800 < ord(letter) < 0x2900 for letter in text), "a braille curve"
        assert any(letter in "▘▝▀▖▌▞▛▗▚▐▜▄▙▟" for letter in text), "a sample"


def test_a_new_preset_keeps_what_the_person_chose(tmp_path: Path) -> None:
    draft = recipes.draft(tmp_path / "ink", 20)
    draft = recipes.assign(draft, "network.rank", "4")
    draft = recipes.assign(draft, "trigger", "zvk")
    changed = recipes.assign(draft, "kind", "character")
    assert (changed.recipe.kind, changed.recipe.network.rank, changed.recipe.trigger) == ("character", 4, "zvk")


def test_every_field_of_a_recipe_can_be_shown_and_written_back(tmp_path: Path) -> None:
    draft = recipes.draft(tmp_path / "ink", 20)
    for name in (name for names in recipes.groups().values() for name in names):
        again = recipes.assign(draft, name, recipes.text_of(draft, name))
        assert again.recipe == draft.recipe, name


@pytest.mark.parametrize(
    ("name", "text"),
    [("network.rank", "0"), ("schedule.shape", "sometimes"), ("images.flip", "perhaps"), ("base", "/nothing")],
)
def test_a_value_that_makes_no_sense_is_refused(tmp_path: Path, name: str, text: str) -> None:
    draft = recipes.draft(tmp_path / "ink", 20)
    with pytest.raises(HubError):
        recipes.assign(draft, name, text)


async def test_a_finished_training_goes_on_to_be_tested(open_app: OpenApp, home: Path, models: list[str]) -> None:
    with Registry(home) as registry:
        fake_job(
            registry,
            "train",
            "train ink",
            {"recipe": "x"},
            state="done",
            result={"model_id": models[0], "path": "ink.safetensors"},
        )
    app = open_app()
    async with app.run_test(size=(120, 40)) as pilot:
        app.poll_soon()
        await press(pilot, "3", "T")
        assert "finished training" in notes_of(app)[-1]
        await press(pilot, "r", "T")
        assert app.current_mode == "generate"
        assert app.screen.query_one(StackList).row_count == 1
