"""Where weights are, and what the library does about those that are on other machines."""

from __future__ import annotations

import pytest

from hubman.jobs import runner
from hubman.jobs.records import Job
from hubman.sync.policies import policy
from hubman.sync.policies.policy import Policy
from registry import clock, library
from tests.support.machines import Machine
from tests.support.screens import notes_of, press, settle, text_of
from tests.support.synced import pair
from tui.app import HubmanApp
from tui.widgets.model_list import ModelList

__all__ = ["pair"]

Pair = tuple[Machine, Machine]


@pytest.fixture
def laptop(pair: Pair) -> Machine:
    """The laptop, which fetches nothing by itself and lacks ``paper`` and ``wash``."""
    one, two = pair
    policy.set_policy(two.registry, Policy(weights="none"))
    one.add_lora("paper", seed=5)
    one.add_lora("wash", seed=6, rank=8)
    one.sync()
    two.sync()
    return two


def _version(machine: Machine, name: str) -> str:
    return library.resolve(machine.registry, name)[1]


def _pins(machine: Machine) -> set[str]:
    return policy.pinned(machine.registry.db, clock.device_id(machine.registry.db))


async def test_list_facets_and_detail_tell_where_weights_are(laptop: Machine) -> None:
    app = HubmanApp(laptop.home, poll=0)
    async with app.run_test(size=(160, 48)) as pilot:
        await settle(pilot)
        text = text_of(app)
        assert "Where" in text
        assert "elsewhere" in text
        rows = app.screen.query_one(ModelList)
        shown = {row.name: row.where for row in (rows.item(index) for index in range(4)) if row}
        assert shown == {"ink": "everywhere", "clay": "everywhere", "paper": "elsewhere", "wash": "elsewhere"}
        app.screen.set_query("where:elsewhere sort:name")  # type: ignore[attr-defined]
        await settle(pilot)
        text = text_of(app)
        assert rows.row_count == 2
        assert "workstation" in text
        assert "not on this machine" in text


async def test_without_other_machines_there_is_no_such_column(
    home: object, models: list[str], open_app: object
) -> None:
    del home, models
    app = open_app()  # type: ignore[operator]
    async with app.run_test(size=(160, 48)) as pilot:
        await settle(pilot)
        assert "Where" not in text_of(app)
        await press(pilot, "B")
        assert "there is no remote yet" in notes_of(app)[-1]


async def test_enter_fetches_what_is_elsewhere(laptop: Machine, started: list[Job]) -> None:
    app = HubmanApp(laptop.home, poll=0)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        app.screen.set_query("where:elsewhere name:paper")  # type: ignore[attr-defined]
        await settle(pilot)
        await press(pilot, "enter")
        text = text_of(app)
        assert "paper is on other machines" in text
        assert "fetch it now, 9.0 kB" in text
        await press(pilot, "enter")
        assert [(job.kind, job.request) for job in started] == [("fetch", {"version_ids": [_version(laptop, "paper")]})]
        done = runner.run(laptop.registry, started[0].id)
        assert done.state == "done"
        assert done.result
        assert done.result["downloaded"] == 1
        assert (laptop.registry.models_folder / "paper.safetensors").is_file()
        app.poll_soon()
        await settle(pilot)
        assert app.screen.query_one(ModelList).row_count == 0


async def test_marked_models_are_fetched_in_one_job(laptop: Machine, started: list[Job]) -> None:
    app = HubmanApp(laptop.home, poll=0)
    async with app.run_test(size=(120, 30)) as pilot:
        await settle(pilot)
        await press(pilot, "asterisk", "B")
        assert "2 models" in text_of(app)
        await press(pilot, "y")
        assert set(started[0].request["version_ids"]) == {_version(laptop, "paper"), _version(laptop, "wash")}


async def test_what_is_kept_here_is_pinned(laptop: Machine) -> None:
    app = HubmanApp(laptop.home, poll=0)
    async with app.run_test(size=(160, 48)) as pilot:
        await settle(pilot)
        app.screen.set_query("name:paper")  # type: ignore[attr-defined]
        await settle(pilot)
        await press(pilot, "K")
        assert _pins(laptop) == {_version(laptop, "paper")}
        assert "kept on this machine" in notes_of(app)[-1]
        assert "K ends it" in text_of(app)
        await press(pilot, "K")
        assert not _pins(laptop)
        await press(pilot, "E")
        assert "none of its files are on this machine" in notes_of(app)[-1]


async def test_to_free_the_room_is_asked_and_is_a_job(pair: Pair, started: list[Job]) -> None:
    one, _ = pair
    app = HubmanApp(one.home, poll=0)
    async with app.run_test(size=(120, 30)) as pilot:
        await settle(pilot)
        await press(pilot, "E")
        assert "Free the room of" in text_of(app)
        await press(pilot, "y")
        assert started[0].kind == "drop"
        path = next(iter(one.registry.models_folder.glob("*.safetensors")))
        before = len(list(one.registry.models_folder.glob("*.safetensors")))
        done = runner.run(one.registry, started[0].id)
        assert (done.state, done.error) == ("done", None)
        assert len(list(one.registry.models_folder.glob("*.safetensors"))) == before - 1
        assert path.parent.is_dir()
