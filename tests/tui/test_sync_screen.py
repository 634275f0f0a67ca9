from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from hubman.jobs.records import Job
from hubman.sync.remote import all_remotes
from registry import library
from registry.database import Registry
from tests.support.jobs import fake_job
from tests.support.screens import notes_of, press, settle, text_of, write
from tui.app import HubmanApp

OpenApp = Callable[[], HubmanApp]


async def test_a_folder_becomes_a_remote_and_is_synced_as_a_job(
    open_app: OpenApp, home: Path, models: list[str], tmp_path: Path, started: list[Job]
) -> None:
    app = open_app()
    async with app.run_test(size=(120, 30)) as pilot:
        await press(pilot, "5", "a")
        await write(pilot, "nas")
        await press(pilot, "enter")
        assert "give a name and a folder" in text_of(app)
        await write(pilot, f" {tmp_path / 'nas'}")
        await press(pilot, "enter")
        with Registry(home) as registry:
            assert [remote.name for remote in all_remotes(registry)] == ["nas"]
        assert "never" in text_of(app)
        await press(pilot, "s")
        assert [(job.kind, job.request) for job in started] == [("sync", {"remote": "nas"})]


async def test_the_last_sync_says_what_it_did(open_app: OpenApp, home: Path, tmp_path: Path) -> None:
    from hubman.sync import remotes

    with Registry(home) as registry:
        remotes.add(registry, "nas", str(tmp_path / "nas"))
        result = {"sent_changes": 3, "received_changes": 1, "uploaded": 2, "uploaded_bytes": 5_000_000, "lost_races": 1,
                  "warnings": ["a weight is missing"]}  # fmt: skip
        fake_job(registry, "sync", "sync with nas", {"remote": "nas"}, state="done", result=result)
    app = open_app()
    async with app.run_test(size=(120, 30)) as pilot:
        app.poll_soon()
        await press(pilot, "5")
        await settle(pilot)
        text = text_of(app)
        assert "sent      3 changes, 2 files (5.0 MB)" in text
        assert "received  1 change, 0 files" in text
        assert "1 edit gave way" in text
        assert "a weight is missing" in text


async def test_an_edit_that_gave_way_can_be_brought_back(open_app: OpenApp, home: Path, models: list[str]) -> None:
    with Registry(home) as registry:
        registry.db.execute(
            "INSERT INTO lost_edits (item, field, kept, lost, lost_stamp) VALUES (?, 'rating', '2', '5', 'x')",
            (models[0],),
        )
    app = open_app()
    async with app.run_test(size=(120, 30)) as pilot:
        await press(pilot, "5", "e")
        assert "5 lost to 2" in text_of(app)
        await press(pilot, "enter", "j", "enter")
        with Registry(home) as registry:
            assert library.show(registry, models[0]).rating == 5
        assert notes_of(app)[-1] == "no edit of yours was lost to another machine"


async def test_a_sync_by_command_is_known_too(open_app: OpenApp, home: Path, tmp_path: Path) -> None:
    from hubman.sync import remotes
    from hubman.sync.run import sync

    with Registry(home) as registry:
        remotes.add(registry, "nas", str(tmp_path / "nas"))
        sync(registry, "nas")
    app = open_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await press(pilot, "5")
        await settle(pilot)
        assert "synced just now by a command" in text_of(app)
