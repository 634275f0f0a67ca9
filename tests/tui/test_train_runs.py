from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hubman.jobs import store
from hubman.progress import Progress
from registry import blobs, library
from registry.database import Registry
from tests.support import library_factory
from tests.support.jobs import fake_job
from tests.support.screens import notes_of, press, settle, text_of
from tests.support.trainings import recipe, training
from tui import run_record
from tui.app import HubmanApp
from tui.screens.look import LookScreen
from tui.screens.train import TrainScreen
from tui.screens.train_compare import CompareScreen
from tui.screens.train_runs import RunsScreen
from tui.widgets.grid_view import GridView
from tui.widgets.run_lists import EpochList
from tui.widgets.stack import StackList

OpenApp = Callable[[], HubmanApp]
pytestmark = pytest.mark.usefixtures("in_train")
FALLS_THEN_RISES = (0.5, 0.4, 0.3, 0.35)


async def test_a_run_shows_loss_pace_and_samples_by_epoch_one_of_them_large(
    open_app: OpenApp, home: Path, tmp_path: Path
) -> None:
    with Registry(home) as registry:
        training(registry, tmp_path, "ink", FALLS_THEN_RISES)
    app = open_app()
    async with app.run_test(size=(120, 40)) as pilot:
        app.poll_soon()
        await press(pilot, "r")
        text = text_of(app)
        assert "train ink · running" in text
        assert "60% 60/100 steps" in text
        assert "20 s left" in text
        assert "2.00 it/s" in text
        assert "learning rate 0.0001" in text
        assert text.count("◆") >= 4, "a validation point each, and one in the legend"
        assert any(0x2800 < ord(letter) < 0x2900 for letter in text), "a braille curve"
        assert any(letter in "▘▝▀▖▌▞▛▗▚▐▜▄▙▟" for letter in text), "a sample"
        assert "best so far: epoch 2 of 5" in text
        epochs = app.screen.query_one(EpochList)
        assert [epoch.number for epoch in map(epochs.item, range(6)) if epoch and epoch.is_there] == [0, 1, 2, 3]
        assert epochs.current is not None
        assert epochs.current.number == 2, "the cursor is on the proposed one"
        await press(pilot, "enter", "g", "j")
        assert app.screen.query_one(GridView).at == (0, 1)
        await press(pilot, "enter", "j", "l")
        assert app.screen.query_one(EpochList).cursor == 2
        assert "prompt 2: zvk style, a portrait" in text_of(app)
        await press(pilot, "enter")
        assert isinstance(app.screen, LookScreen)


async def test_marked_epochs_of_two_runs_are_compared_with_their_recipes(
    open_app: OpenApp, home: Path, tmp_path: Path
) -> None:
    with Registry(home) as registry:
        training(registry, tmp_path, "ink", FALLS_THEN_RISES, changes={"network.rank": 8})
        training(registry, tmp_path, "paper", (0.5, 0.2), changes={"network.rank": 64})
    app = open_app()
    async with app.run_test(size=(120, 40)) as pilot:
        app.poll_soon()
        await press(pilot, "r", "c")
        assert "mark two or more" in notes_of(app)[-1]
        await press(pilot, "space", "j", "space", "c")
        assert isinstance(app.screen, CompareScreen)
        lines = [line.split() for line in text_of(app).splitlines()]
        assert ["validation", "0.2000", "0.3000"] in [line[:3] for line in lines]
        rank = next(line for line in lines if line and "rank" in line[0])
        assert rank[1:3] == ["64", "8"]
        assert not any("schedule" in line for text in lines for line in text), "what is the same is left out"
        await press(pilot, "escape")
        assert isinstance(app.screen, RunsScreen)
        await press(pilot, "enter", "G", "space")
        assert "epoch 5 is still to come" in notes_of(app)[-1]


async def test_a_run_is_paused_and_the_next_one_waits_for_it(open_app: OpenApp, home: Path, tmp_path: Path) -> None:
    with Registry(home) as registry:
        training(registry, tmp_path, "paper", (), state="queued")
        job = training(registry, tmp_path, "ink", (0.5, 0.4))
        training(registry, tmp_path, "clay", (), state="queued")
        training(registry, tmp_path, "coal", (), state="queued")
        app = open_app()
        async with app.run_test(size=(100, 24)) as pilot:
            app.poll_soon()
            await press(pilot, "r")
            assert any(line.split()[:3] == ["coal", "3", "before"] for line in text_of(app).splitlines())
            await press(pilot, "j", "j", "P")
            assert store.get(registry, job.id).paused
            app.poll_soon()
            await settle(pilot)
            assert "P go on" in text_of(app)
            assert "paused: P goes on" in text_of(app)
            await press(pilot, "P")
            assert not store.get(registry, job.id).paused


async def test_a_run_is_stopped_and_goes_on(
    open_app: OpenApp, home: Path, tmp_path: Path, started: list[object]
) -> None:
    with Registry(home) as registry:
        job = training(registry, tmp_path, "ink", (0.5, 0.4))
        app = open_app()
        async with app.run_test(size=(120, 40)) as pilot:
            app.poll_soon()
            await press(pilot, "r", "x")
            assert store.get(registry, job.id).stop_path.exists()
            store.finish(registry, job.id, "cancelled", error="stopped after 20 of 100 steps: resume it to go on")
            app.poll_soon()
            await settle(pilot)
            await press(pilot, "r")
            assert [store.get(registry, job.id).state, len(started)] == ["queued", 1]


async def test_the_recipe_of_a_run_is_taken_to_train_again(open_app: OpenApp, home: Path, tmp_path: Path) -> None:
    with Registry(home) as registry:
        training(registry, tmp_path, "ink", (0.5, 0.4), state="done", changes={"network.rank": 24})
    (tmp_path / "one.png").write_bytes((tmp_path / "ink" / "00.png").read_bytes())
    app = open_app()
    async with app.run_test(size=(120, 40)) as pilot:
        app.poll_soon()
        await press(pilot, "r", "e")
        assert isinstance(app.screen, TrainScreen)
        assert "24" in next(line for line in text_of(app).splitlines() if " rank" in line)


async def test_a_finished_training_goes_on_to_be_tested(
    open_app: OpenApp, home: Path, models: list[str], tmp_path: Path
) -> None:
    with Registry(home) as registry:
        result = {"model_id": models[0], "path": "ink.safetensors"}
        training(registry, tmp_path, "ink", (0.5, 0.4), state="done", result=result)
        training(registry, tmp_path, "paper", (0.5,), state="failed", error="the disk is full: free space")
    app = open_app()
    async with app.run_test(size=(120, 40)) as pilot:
        app.poll_soon()
        await press(pilot, "r", "T")
        assert "finished training" in notes_of(app)[-1]
        assert "the disk is full: free space" in text_of(app)
        await press(pilot, "j", "T")
        assert app.current_mode == "generate"
        assert app.screen.query_one(StackList).row_count == 1


async def test_a_training_of_another_machine_is_shown_and_its_epoch_tested(
    open_app: OpenApp, home: Path, models: list[str], tmp_path: Path
) -> None:
    sample = library_factory.write_pictures(tmp_path / "samples", 1)[0]
    with Registry(home) as registry:
        version = library.show(registry, models[3]).versions[0].id
        other = library.show(registry, models[4]).versions[0].id
        library.set_facts(registry, other, "training", {"model": models[3]})
        drawn = blobs.store(registry, sample)
        epochs = [
            {"epoch": 1, "step": 50, "version_id": other, "validation": 0.2, "samples": [drawn]},
            {"epoch": 2, "step": 100, "version_id": version, "validation": 0.3, "samples": [drawn]},
        ]
        run = {
            "id": version, "version_id": version, "name": "coal", "recipe": recipe(tmp_path, {}).public(),
            "dataset_fingerprint": "", "seed": 0, "steps": 100, "seconds": 60.0, "losses": [[50, 0.4], [100, 0.3]],
            "epochs": epochs, "best": 1, "reason": "epoch 1 of 2: the lowest loss",
            "started_at": "2026-11-01T00:00:00.000Z", "finished_at": "2026-11-01T00:01:00.000Z",
        }  # fmt: skip
        library.add_record(registry, "run", version, run)
        training(registry, tmp_path, "ink", (0.5, 0.4), changes={"network.rank": 7})
    app = open_app()
    async with app.run_test(size=(120, 40)) as pilot:
        app.poll_soon()
        await press(pilot, "r", "j")
        text = text_of(app)
        assert "train coal · done" in text
        assert "took 1:00" in text
        assert "best so far: epoch 1 of 2" in text
        assert any(letter in "▘▝▀▖▌▞▛▗▚▐▜▄▙▟" for letter in text), "its samples"
        await press(pilot, "e")
        assert "not on this machine" in notes_of(app)[-1]
        await press(pilot, "T")
        assert app.current_mode == "generate"
        stack = app.screen.query_one(StackList)
        assert stack.current is not None
        assert stack.current.version_id == other


def test_a_resumed_run_replaces_what_it_told_of_the_same_steps(home: Path) -> None:
    def losses(*steps: int, loss: float) -> list[Progress]:
        return [Progress(stage="train", done=s, total=9, data={"step": s, "loss": loss, "lr": 1.0}) for s in steps]

    with Registry(home) as registry:
        told = [*losses(1, 2, 3, 4, loss=1.0), *losses(3, 4, 5, loss=2.0)]
        record = run_record.read(registry, fake_job(registry, "train", "train ink", {}, events=told))
    assert record.events.losses == ((1, 1.0), (2, 1.0), (3, 2.0), (4, 2.0), (5, 2.0))
