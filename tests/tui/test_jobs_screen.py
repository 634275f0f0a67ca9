from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from hubman.jobs import store
from hubman.jobs.records import Job
from hubman.progress import Progress
from registry.database import Registry
from tests.support.jobs import fake_job
from tests.support.screens import notes_of, press, settle, text_of
from tui.app import HubmanApp
from tui.widgets.mode_bar import ModeBar

OpenApp = Callable[[], HubmanApp]


async def _at_jobs(app: HubmanApp, pilot: object) -> None:
    app.poll_soon()
    await settle(pilot)  # type: ignore[arg-type]
    await press(pilot, "6")  # type: ignore[arg-type]


async def test_without_jobs_it_says_what_jobs_are(open_app: OpenApp) -> None:
    app = open_app()
    async with app.run_test(size=(100, 30)) as pilot:
        await _at_jobs(app, pilot)
        assert "No job yet" in text_of(app)


async def test_a_running_job_shows_progress_and_its_words(open_app: OpenApp, home: Path) -> None:
    with Registry(home) as registry:
        events = [Progress(stage="draw", done=3, total=12, unit="picture", message="seed 7")]
        fake_job(registry, "sweep", "sweep ink", {"version_ids": ["i1"], "strengths": [0.5, 1]}, events=events)
    app = open_app()
    async with app.run_test(size=(120, 30)) as pilot:
        await _at_jobs(app, pilot)
        text = text_of(app)
        assert "sweep ink" in text
        assert "25%" in text
        assert "draw 3/12 seed 7" in text
        assert app.screen.query_one(ModeBar).news == "sweep 25%"


async def test_a_failed_job_shows_its_error_and_can_be_resumed(
    open_app: OpenApp, home: Path, started: list[Job]
) -> None:
    with Registry(home) as registry:
        job = fake_job(registry, "downloads", "downloads", {}, state="failed", error="the disk is full: free 2 GB")
    app = open_app()
    async with app.run_test(size=(120, 30)) as pilot:
        await _at_jobs(app, pilot)
        assert "error: the disk is full: free 2 GB" in text_of(app)
        await press(pilot, "x")
        assert notes_of(app)[-1] == "this job is already failed"
        await press(pilot, "r")
        assert [each.id for each in started] == [job.id]
        assert "queued" in text_of(app)


async def test_cancelling_asks_the_job_to_stop(open_app: OpenApp, home: Path) -> None:
    with Registry(home) as registry:
        job = fake_job(registry, "scan", "scan all", {"folders": []})
    app = open_app()
    async with app.run_test(size=(100, 30)) as pilot:
        await _at_jobs(app, pilot)
        await press(pilot, "x")
        assert job.stop_path.exists()


async def test_the_list_follows_jobs_of_other_terminals_and_keeps_its_cursor(open_app: OpenApp, home: Path) -> None:
    with Registry(home) as registry:
        fake_job(registry, "scan", "the first", {}, state="done", result={"new": 2})
        app = open_app()
        async with app.run_test(size=(100, 30)) as pilot:
            await _at_jobs(app, pilot)
            assert "new               2" in text_of(app)
            job = fake_job(registry, "scan", "the second", {}, state="queued")
            app.poll_soon()
            await settle(pilot)
            assert "the second" in text_of(app)
            assert "new               2" in text_of(app), "the cursor stays on its job"
            store.cancel(registry, job.id)
            app.poll_soon()
            await settle(pilot)
            assert "cancelled" in text_of(app)
