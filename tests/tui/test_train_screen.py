from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from textual.pilot import Pilot

from hubman.jobs.records import Job
from hubman.train import recent
from hubman.train.capacity.forecast import Forecast, Need
from hubman.train.capacity.ladder import Rung
from hubman.train.captioning import draft_choices
from hubman.train.captioning.captions import write_caption
from hubman.train.captioning.drafts import DraftRequest
from hubman.train.data.dataset import read_caption
from hubman.train.data.left_out import left_out
from hubman.train.recipe import Recipe, read_recipe
from registry.database import Registry
from tests.support import library_factory
from tests.support.screens import notes_of, press, settle, text_of, write
from tui import recipes
from tui.app import HubmanApp
from tui.screens.captions import CaptionsScreen
from tui.screens.train import TrainScreen
from tui.screens.train_runs import RunsScreen
from tui.widgets.caption_editor import CaptionEditor
from tui.widgets.image_lists import ImageList
from tui.widgets.recipe_list import RecipeList

OpenApp = Callable[[], HubmanApp]
pytestmark = pytest.mark.usefixtures("in_train")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Six images, the last one without a caption."""
    folder = tmp_path / "ink"
    for number, path in enumerate(library_factory.write_pictures(folder, 6)[:5]):
        path.with_suffix(".txt").write_text(f"zvk style, shapes number {number}")
    return folder


def _screen(app: HubmanApp) -> TrainScreen:
    assert isinstance(app.screen, TrainScreen)
    return app.screen


async def _opened(pilot: Pilot[Any], app: HubmanApp, folder: Path) -> TrainScreen:
    """The screen with the images of a folder and their recipe."""
    await settle(pilot)
    screen = _screen(app)
    screen.open_dataset(folder)
    await settle(pilot)
    await press(pilot, "i")
    return screen


def _recipe(screen: TrainScreen) -> Recipe:
    assert screen.draft is not None
    return screen.draft.recipe


async def _to_field(pilot: Pilot[Any], screen: TrainScreen, path: str) -> None:
    rows = screen.query_one(RecipeList)
    rows.focus()
    found = rows.find(path)
    assert found is not None, path
    rows.cursor = found
    await settle(pilot)


def _line(app: HubmanApp, word: str) -> str:
    return next(line for line in text_of(app).splitlines() if word in line)


# the three choices ----------------------------------------------------------------------------------------------------


async def test_three_choices_and_one_key_start_a_training(open_app: OpenApp, images: Path, started: list[Job]) -> None:
    app = open_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await press(pilot, "o", "end", "ctrl+u")
        await write(pilot, str(images))
        await press(pilot, "enter")
        text = text_of(app)
        assert "6 images" in text
        assert "steps in 5 epochs" in text
        await press(pilot, "G", "k", "space", "s")
        assert isinstance(app.screen, RunsScreen)
        recipe = read_recipe(Path(started[0].folder) / "recipe.toml")
        assert (recipe.kind, recipe.family, Path(recipe.dataset)) == ("character", "tiny", images)


async def test_what_was_used_before_is_offered_first(open_app: OpenApp, home: Path, images: Path) -> None:
    recent.remember(home, dataset=images, base="tiny", kind="concept")
    app = open_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        assert "● concept" in text_of(app)
        await press(pilot, "enter")
        assert "● ink" in text_of(app)
        assert "6 images" in text_of(app)


async def test_checkpoints_of_the_library_are_offered_as_bases(
    open_app: OpenApp, home: Path, models: list[str], tmp_path: Path
) -> None:
    file = tmp_path / "dream.safetensors"
    file.touch()
    with Registry(home) as registry, registry.transaction() as db:
        sha256 = db.execute("SELECT sha256 FROM files LIMIT 1").fetchone()[0]
        db.execute(
            "INSERT INTO places VALUES (?, '/m', ?, 0, 1, 1, 1, 'present', NULL, '2026-01-01T00:00:00.000Z', NULL)",
            (str(file), sha256),
        )
        db.execute("UPDATE listing SET kind = 'checkpoint'")
        name = db.execute(
            "SELECT m.name FROM models m JOIN versions v ON v.model_id = m.id JOIN files f ON f.version_id = v.id "
            "WHERE f.sha256 = ?",
            (sha256,),
        ).fetchone()[0]
    app = open_app()
    async with app.run_test(size=(100, 30)) as pilot:
        await settle(pilot)
        assert f"○ {name}" in text_of(app)
        assert "● tiny" in text_of(app)


async def test_a_folder_that_is_none_is_refused_and_tab_completes_a_path(open_app: OpenApp, images: Path) -> None:
    app = open_app()
    async with app.run_test(size=(100, 30)) as pilot:
        await settle(pilot)
        _screen(app).open_dataset(images / "nothing")
        await settle(pilot)
        assert "is not a folder" in " ".join(text_of(app).split())
        await press(pilot, "o", "end", "ctrl+u")
        await write(pilot, f"{images.parent}/in")
        await press(pilot, "tab", "enter")
        assert _screen(app).sheet is not None


# the images -----------------------------------------------------------------------------------------------------------


async def test_a_dataset_shows_its_findings_captions_and_a_recipe(open_app: OpenApp, images: Path) -> None:
    app = open_app()
    async with app.run_test(size=(120, 30)) as pilot:
        screen = await _opened(pilot, app, images)
        text = text_of(app)
        assert "6 images · 6 to train: few, 50 are better" in text
        assert "zvk style, shapes nu" in text
        assert "no caption" in text
        assert "Recipe · style on tiny" in text
        screen.images.cursor = 6
        await settle(pilot)
        assert "has no caption: write one" in text_of(app)
        assert any(letter in "▘▝▀▖▌▞▛▗▚▐▜▄▙▟" for letter in text_of(app)), "the picture"


async def test_findings_are_told_in_words_and_many_alike_in_one_line(open_app: OpenApp, images: Path) -> None:
    for number in range(5):
        (images / f"{number:02}.txt").write_text(f"zvk style, shapes number {number // 2}")
    (images / "04.txt").write_bytes(b"caf\xe9")
    app = open_app()
    async with app.run_test(size=(160, 30)) as pilot:
        screen = await _opened(pilot, app, images)
        assert "caption unreadable caption can't be read" in _line(app, "04.png")
        assert "caption missing    no caption" in _line(app, "05.png")
        screen.images.cursor = 0
        await settle(pilot)
        told = str(screen.query_one("#findings").render())
        assert told.count("share the caption") == 1
        assert "(and 1 more like this)" in told


async def test_what_is_to_be_done_stands_whole_at_eighty_columns(open_app: OpenApp, tmp_path: Path) -> None:
    folder = tmp_path / "a-folder-whose-name-is-as-long-as-names-of-training-sets-become"
    library_factory.write_pictures(folder, 4)
    (folder / "00.png").write_bytes(b"no picture")
    app = open_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        assert not [kind for kind in recipes.KINDS if "…" in _line(app, f" {kind} ")]
        screen = await _opened(pilot, app, folder)
        assert screen.sheet is not None
        warnings = screen.sheet.headline.rpartition(" · ")[2]
        assert warnings.endswith("warnings")
        assert warnings in text_of(app)
        await press(pilot, "C")
        assert "4 without a caption" in text_of(app)


async def test_an_image_is_left_out_and_taken_back_and_nothing_is_deleted(open_app: OpenApp, images: Path) -> None:
    app = open_app()
    async with app.run_test(size=(100, 24)) as pilot:
        screen = await _opened(pilot, app, images)
        await press(pilot, "G", "space")
        assert left_out(images) == {"05.png"}
        assert (images / "05.png").exists()
        assert "5 to train" in text_of(app)
        assert screen.sheet is not None
        assert "1 left out" in screen.sheet.headline
        await press(pilot, "space")
        assert left_out(images) == frozenset()
        await press(pilot, "space", "z")
        assert left_out(images) == frozenset()
        assert "6 to train" in text_of(app)
        screen.leave_out(["00.png"], left=True)
        screen.leave_out(["01.png"], left=True)
        await settle(pilot)
        assert left_out(images) == {"00.png", "01.png"}
        assert "4 to train" in text_of(app)


async def test_look_alikes_stand_in_groups_of_which_one_is_kept(open_app: OpenApp, images: Path) -> None:
    shutil.copy(images / "02.png", images / "twin.png")
    app = open_app()
    async with app.run_test(size=(100, 24)) as pilot:
        screen = await _opened(pilot, app, images)
        await press(pilot, "D")
        rows = screen.query_one(ImageList)
        assert [line.twin for line in map(rows.item, range(rows.row_count)) if line] == ["┌", "└"]
        await press(pilot, "K")
        assert left_out(images) == {"twin.png"}
        await press(pilot, "z", "D", "H")
        assert left_out(images) == {"twin.png"}


async def test_only_images_with_findings_are_shown(open_app: OpenApp, images: Path) -> None:
    (images / "03.png").write_bytes(b"no picture")
    app = open_app()
    async with app.run_test(size=(100, 24)) as pilot:
        screen = await _opened(pilot, app, images)
        everything = screen.query_one(ImageList).row_count
        await press(pilot, "f")
        rows = screen.query_one(ImageList)
        shown = [line for line in map(rows.item, range(rows.row_count)) if line and line.image]
        assert {"03.png", "05.png"} <= {line.image.name for line in shown if line.image}
        assert rows.row_count < everything
        assert all(line.worst for line in shown)


async def test_the_sheet_shows_the_same_images_as_pictures(open_app: OpenApp, images: Path) -> None:
    app = open_app()
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await _opened(pilot, app, images)
        await press(pilot, "j", "c")
        text = text_of(app)
        assert "✔ 00.png" in text
        assert any(letter in "▘▝▀▖▌▞▛▗▚▐▜▄▙▟" for letter in text)
        assert screen.line is not None
        assert screen.line.image is not None
        assert screen.line.image.name == "00.png"
        await press(pilot, "space")
        assert left_out(images) == {"00.png"}


async def test_captions_are_written_beside_their_images_or_all_in_the_editor(open_app: OpenApp, images: Path) -> None:
    app = open_app()
    async with app.run_test(size=(100, 24)) as pilot:
        await _opened(pilot, app, images)
        await press(pilot, "G", "e", "e")
        assert isinstance(app.focused, CaptionEditor)
        app.focused.insert("zvk style, night")
        await press(pilot, "escape")
        assert read_caption(images / "05.png")[0] == "zvk style, night"
        await press(pilot, "escape")
        assert isinstance(app.screen, TrainScreen)
        assert "zvk style, night" in text_of(app)
        await press(pilot, "G", "C")
        assert isinstance(app.screen, CaptionsScreen)
        write_caption(images / "05.png", "zvk style, later")
        await press(pilot, "escape")
        assert isinstance(app.screen, TrainScreen)
        assert "zvk style, later" in text_of(app)


# the recipe -----------------------------------------------------------------------------------------------------------


async def test_every_field_stands_in_the_recipe_with_its_range_and_reason(open_app: OpenApp, images: Path) -> None:
    app = open_app()
    async with app.run_test(size=(120, 30)) as pilot:
        screen = await _opened(pilot, app, images)
        rows = screen.query_one(RecipeList)
        shown = {line.path for line in map(rows.item, range(rows.row_count)) if line and line.path}
        assert shown == {path for paths in recipes.groups().values() for path in paths}
        await _to_field(pilot, screen, "network.rank")
        assert "a whole number between 1 and 1,024" in text_of(app)
        assert "a style needs more room" in text_of(app)
        await _to_field(pilot, screen, "network.rank")
        await press(pilot, "enter", "end", "ctrl+u")
        await write(pilot, "many")
        await press(pilot, "enter")
        assert "can't be 'many'" in text_of(app)
        await press(pilot, "end", "ctrl+u", "6", "enter")
        assert "● rank" in text_of(app)
        assert "preset: 8" in text_of(app)
        await press(pilot, "f")
        assert screen.query_one(RecipeList).row_count == 2, "its group and the value"
        await press(pilot, "f", "backspace")
        assert _recipe(screen).network.rank == 8
        assert "●" not in _line(app, " rank  ")
        await press(pilot, "z")
        assert _recipe(screen).network.rank == 6
        await _to_field(pilot, screen, "images.flip")
        await press(pilot, "space")
        assert _recipe(screen).images.flip
        await press(pilot, "enter")
        assert not _recipe(screen).images.flip
        await _to_field(pilot, screen, "network.type")
        await press(pilot, "enter", "j", "enter")
        assert _recipe(screen).network.type == "dora"
        await press(pilot, "slash")
        await write(pilot, "validation")
        await press(pilot, "enter")
        assert screen.field == "watch.validation_images"


async def test_a_forecast_is_told_and_what_clashes_is_named_and_not_started(
    open_app: OpenApp, images: Path, monkeypatch: pytest.MonkeyPatch, started: list[Job]
) -> None:
    need = Need(weights=10**9, adapter=0, activations=10**9)
    said = Forecast(rung=Rung(), need=need, free=9 * 10**9, step_seconds=1.0, steps=400, effective_batch=8)

    def child(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        assert read_recipe(Path(command[4])).kind == "style"
        return subprocess.CompletedProcess(command, 0, msgspec.json.encode(said).decode(), "")

    # The process loads torch, which takes longer than all tests here.
    monkeypatch.setattr(subprocess, "run", child)
    app = open_app()
    async with app.run_test(size=(100, 40)) as pilot:
        screen = await _opened(pilot, app, images)
        await press(pilot, "F")
        assert "expected: 2.5 of 9.0 GB" in text_of(app)
        screen.assign("length.batch", "4")
        await settle(pilot)
        assert "expected: " not in text_of(app)
        screen.assign("loss.min_snr_gamma", "5")
        await _to_field(pilot, screen, "loss.debiased")
        await press(pilot, "space")
        assert "✘" in _line(app, "debiased  ")
        assert "min-SNR and debiased weights" in text_of(app)
        await press(pilot, "s")
        assert not started
        assert "both weigh the timesteps" in notes_of(app)[-1]


async def test_a_start_in_spite_of_errors_is_what_the_job_is_told(
    open_app: OpenApp, images: Path, started: list[Job]
) -> None:
    (images / "05.png").write_bytes(b"no picture")
    app = open_app()
    async with app.run_test(size=(100, 40)) as pilot:
        await _opened(pilot, app, images)
        await press(pilot, "s")
        assert "Start although the checks found errors?" in text_of(app)
        await press(pilot, "y")
        assert [job.request["force"] for job in started] == [True]


def test_a_new_preset_keeps_what_the_person_chose(tmp_path: Path) -> None:
    draft = recipes.draft(tmp_path / "ink", 20)
    draft = recipes.assign(draft, "network.rank", "4")
    draft = recipes.assign(draft, "trigger", "zvk")
    changed = recipes.assign(draft, "kind", "character")
    assert (changed.recipe.kind, changed.recipe.network.rank, changed.recipe.trigger) == ("character", 4, "zvk")
    assert changed.recipe.network.conv_rank == 16, "the preset's, which was not chosen"


def test_the_length_follows_the_number_of_images_unless_it_was_chosen(tmp_path: Path) -> None:
    few = recipes.from_recipe(_of_sd15(tmp_path, 10), 10)
    many = recipes.with_images(few, 60)
    assert many.recipe.length.steps == _of_sd15(tmp_path, 60).length.steps
    chosen = recipes.assign(few, "length.steps", "77")
    assert recipes.with_images(chosen, 60).recipe.length.steps == 77


def _of_sd15(folder: Path, count: int) -> Any:
    from hubman.train.presets import preset

    return preset("style", "sd15", count, base=str(folder), dataset=str(folder))


def test_of_a_recipe_that_was_written_down_only_what_differs_from_its_preset_is_marked(tmp_path: Path) -> None:
    draft = recipes.from_recipe(_of_sd15(tmp_path, 60), 60)
    assert not draft.edited
    changed = recipes.assign(draft, "network.rank", "9")
    assert dict(recipes.from_recipe(changed.recipe, 60).edited) == {"network.rank": 9}


def test_every_field_of_a_recipe_can_be_shown_and_written_back(tmp_path: Path) -> None:
    draft = recipes.draft(tmp_path / "ink", 20)
    for path in (path for paths in recipes.groups().values() for path in paths):
        again = recipes.assign(draft, path, recipes.text_of(draft, path))
        assert again.recipe == draft.recipe, path


async def test_captions_are_drafted_as_they_were_last(
    open_app: OpenApp, home: Path, images: Path, started: list[Job], tmp_path: Path
) -> None:
    chosen = DraftRequest(folder="", source="tagger", model=str(tmp_path))
    home.mkdir()
    draft_choices.remember(home, chosen)
    app = open_app()
    async with app.run_test(size=(100, 30)) as pilot:
        await _opened(pilot, app, images)
        await press(pilot, "d", "s")
        request = started[0].request
        assert (request["source"], request["model"], request["folder"]) == ("tagger", str(tmp_path), str(images))
