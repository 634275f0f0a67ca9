from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from hubman.jobs import store
from hubman.jobs.records import Job
from hubman.progress import Progress
from hubman.sync import remotes
from hubman.sync.care import devices, moving
from hubman.sync.policies import policy
from hubman.sync.policies.policy import Policy
from hubman.sync.remote import all_remotes
from hubman.sync.transfer import holding
from registry import clock
from registry.database import Registry
from tests.support.jobs import fake_job
from tests.support.machines import Machine
from tests.support.screens import notes_of, press, settle, text_of, write
from tests.support.sealing import no_keyring
from tests.support.synced import edit, pair
from tui import actions, sync_transfers
from tui.app import HubmanApp
from tui.screens.sync_conflicts import ConflictScreen
from tui.widgets.sync_lists import DeviceList, RemoteList, WaitingList

__all__ = ["pair"]

OpenApp = Callable[[], HubmanApp]
Pair = tuple[Machine, Machine]


@pytest.fixture(autouse=True)
def _in_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    """The app begins with mode 5: the library's screen would take as long to make as many a test."""
    monkeypatch.setattr(HubmanApp, "DEFAULT_MODE", "sync")


def _app(machine: Machine) -> HubmanApp:
    return HubmanApp(machine.home, poll=0)


# remotes --------------------------------------------------------------------------------------------------------------


async def test_a_folder_becomes_a_remote_and_is_synced_as_a_job(
    open_app: OpenApp, home: Path, tmp_path: Path, started: list[Job]
) -> None:
    app = open_app()
    async with app.run_test(size=(120, 30)) as pilot:
        await settle(pilot)
        assert "No remote yet" in text_of(app)
        await press(pilot, "a", "s")
        assert "a remote needs a short name" in text_of(app)
        await press(pilot, "enter")
        await write(pilot, "nas")
        await press(pilot, "enter", "s")
        assert "the place is missing" in text_of(app)
        await press(pilot, "j", "enter")
        await write(pilot, str(tmp_path / "nas"))
        await press(pilot, "enter", "s")
        with Registry(home) as registry:
            assert [remote.name for remote in all_remotes(registry)] == ["nas"]
        assert "never" in text_of(app)
        await press(pilot, "s")
        assert [(job.kind, job.request) for job in started] == [("sync", {"remote": "nas"})]


async def test_a_bucket_has_an_endpoint_and_a_region(open_app: OpenApp) -> None:
    app = open_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await press(pilot, "a", "j", "enter")
        assert "endpoint" not in text_of(app)
        await write(pilot, "s3://loras")
        await press(pilot, "enter")
        assert "endpoint" in text_of(app)
        assert "region" in text_of(app)


async def test_a_remote_that_is_only_read_gets_nothing(pair: Pair, tmp_path: Path) -> None:
    one, _ = pair
    with Registry(tmp_path / "third") as third:
        remotes.add(third, "studio", str(one.remote), read_only=True)
    app = HubmanApp(tmp_path / "third", poll=0)
    async with app.run_test(size=(120, 30)) as pilot:
        await settle(pilot)
        text = text_of(app)
        assert "read only" in text
        assert "to studio: nothing" in text
        assert "ink is new (ink.safetensors)" in text or "2 new files" in text


async def test_all_remotes_are_synced_and_a_remote_is_forgotten(pair: Pair, tmp_path: Path, started: list[Job]) -> None:
    one, _ = pair
    remotes.add(one.registry, "usb", str(tmp_path / "usb"))
    app = _app(one)
    async with app.run_test(size=(120, 30)) as pilot:
        await settle(pilot)
        await press(pilot, "S")
        assert [job.request for job in started] == [{"remote": "r"}, {"remote": "usb"}]
        await press(pilot, "j", "d")
        assert "Forget usb?" in text_of(app)
        await press(pilot, "y")
        assert [remote.name for remote in all_remotes(one.registry)] == ["r"]


async def test_a_place_that_is_not_there_is_said_in_its_line(pair: Pair) -> None:
    one, _ = pair
    one.remote.rename(one.remote.with_name("gone"))
    app = _app(one)
    async with app.run_test(size=(120, 30)) as pilot:
        await settle(pilot)
        text = text_of(app)
        assert "not there" in text
        assert "from r: it can't be asked" in text
        assert not notes_of(app)
        one.remote.with_name("gone").rename(one.remote)
        await press(pilot, "r")
        assert "in step" in text_of(app)


async def test_the_last_sync_says_what_it_did(pair: Pair) -> None:
    one, _ = pair
    result = {"sent_changes": 3, "received_changes": 1, "uploaded": 2, "uploaded_bytes": 5_000_000, "lost_races": 1,
              "let_go": 1, "let_go_bytes": 2_000_000, "warnings": ["a weight is missing"]}  # fmt: skip
    fake_job(one.registry, "sync", "sync with r", {"remote": "r"}, state="done", result=result)
    app = _app(one)
    async with app.run_test(size=(120, 30)) as pilot:
        app.poll_soon()
        await settle(pilot)
        text = text_of(app)
        assert "sent      3 changes, 2 files (5.0 MB)" in text
        assert "received  1 change, 0 files" in text
        assert "let go of 1 file (2.0 MB)" in text
        assert "1 edit gave way" in text
        assert "a weight is missing" in text


# what waits -----------------------------------------------------------------------------------------------------------


async def test_what_waits_both_ways_is_told_before_it_goes(pair: Pair) -> None:
    one, two = pair
    edit(two, "clay", rating="2")
    two.add_lora("from_laptop", seed=8)
    two.sync()
    edit(one, "ink", rating="4")
    app = _app(one)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        lines = [f"{line.mark} {line.text}".strip() for line in app.screen.query_one(WaitingList)._items]
        assert "↑ rating of ink → 4" in lines
        assert "↓ rating of clay → 2" in lines
        assert "↓ from_laptop.safetensors" in lines
        assert "from r:" in text_of(app)
        before = one.state()
        await press(pilot, "w", "j")
        assert "goes up with the next sync" in text_of(app)
        assert one.state() == before
        one.sync()
        app.poll_soon()
        await settle(pilot)
        await press(pilot, "escape", "r")
        assert "to r: nothing" in text_of(app)
        assert "from r: nothing" in text_of(app)


async def test_an_edit_elsewhere_is_shown_while_the_screen_is_open(pair: Pair) -> None:
    one, _ = pair
    app = _app(one)
    async with app.run_test(size=(120, 30)) as pilot:
        await settle(pilot)
        assert "to r: nothing" in text_of(app)
        edit(one, "ink", rating="4")
        app.poll_soon()
        await settle(pilot)
        assert "rating of ink → 4" in text_of(app)


# under way ------------------------------------------------------------------------------------------------------------


async def test_what_is_under_way_can_be_stopped(pair: Pair) -> None:
    one, _ = pair
    events = [Progress(stage="upload", done=4e6, total=16e6, unit="B", message="ink.safetensors")]
    job = fake_job(one.registry, "sync", "sync with r", {"remote": "r"}, events=events)
    app = _app(one)
    async with app.run_test(size=(120, 30)) as pilot:
        app.poll_soon()
        await settle(pilot)
        assert "syncing 25%" in text_of(app)
        await press(pilot, "t")
        assert "ink.safetensors" in text_of(app)
        assert "25%" in text_of(app)
        await press(pilot, "s")
        assert "is under way" in notes_of(app)[-1]
        await press(pilot, "x")
        assert job.stop_path.exists()


async def test_files_under_way_are_told_one_by_one(pair: Pair) -> None:
    one, _ = pair
    data = {"rate": 2e6, "files": 1, "files_total": 3, "moving": [["ink.safetensors", 1e6, 4e6], ["clay.pt", 0, 8e6]]}
    events = [Progress(stage="download", done=5e6, total=20e6, unit="B", data=data)]
    job = fake_job(one.registry, "sync", "sync with r", {"remote": "r"}, events=events)
    app = HubmanApp(one.home, poll=0)
    async with app.run_test(size=(80, 24)) as pilot:
        app.poll_soon()
        await settle(pilot)
        await press(pilot, "t")
        lines = [line.split() for line in text_of(app).splitlines() if line.startswith(" ↓")]
        assert [line[1:4] for line in lines] == [["1", "of", "3"], lines[1][1:4], lines[2][1:4]]
        assert {line[1] for line in lines[1:]} == {"ink.safetensors", "clay.pt"}
        assert "2.0 MB/s" in text_of(app)
        assert "15.0 MB left" in text_of(app)
        await press(pilot, "x")
        assert job.stop_path.exists()
        store.finish(one.registry, job.id, "cancelled")
        app.poll_soon()
        await settle(pilot)
        text = text_of(app)
        assert "2.0 MB/s" not in text
        assert "under way 2" not in text
        assert "waits" in text


async def test_the_rate_of_a_file_is_that_since_it_was_looked_at(pair: Pair) -> None:
    one, _ = pair

    def event(done: float) -> Progress:
        data = {"files": 0, "files_total": 1, "moving": [["ink.safetensors", done, 9e6]]}
        return Progress(stage="upload", done=done, total=9e6, unit="B", data=data)

    job = fake_job(one.registry, "sync", "sync with r", {"remote": "r"}, events=[event(0), event(5e6)])
    first = sync_transfers.follow(job, sync_transfers.Transfers(), 100.0)
    assert [line.rate for line in first.files.values()] == [0, 0]
    with job.events_path.open("ab") as stream:
        stream.write(msgspec.json.encode(event(6e6)) + b"\n")
    then = sync_transfers.follow(job, first, 102.0)
    assert [(line.rate, line.left) for line in then.files.values() if not line.is_all] == [(5e5, 6.0)]


async def test_pausing_holds_the_files_of_every_sync_of_this_machine(pair: Pair, started: list[Job]) -> None:
    one, _ = pair
    one.add_lora("paper", seed=5)
    app = _app(one)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "space")
        assert "files wait: paused" in text_of(app)
        assert "paused" in one.sync().held
        await press(pilot, "space")
        assert "files wait" not in text_of(app)
        assert not holding.is_paused(one.registry.db)
        assert [job.request for job in started] == [{"remote": "r"}]


async def test_outside_its_hours_the_screen_says_until_when_files_wait(pair: Pair) -> None:
    one, _ = pair
    now = datetime.now().astimezone()
    start, end = now + timedelta(hours=2), now + timedelta(hours=3)
    policy.set_policy(one.registry, Policy(window=f"{start:%H:%M}-{end:%H:%M}"))
    app = _app(one)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        assert f"files wait until {start:%H:%M}" in text_of(app)


async def test_what_a_person_has_to_see_to_is_told(pair: Pair) -> None:
    one, two = pair
    moving.migrate(two.registry, "r", str(two.remote.with_name("new_disk")))
    one.sync()
    with one.registry.transaction() as db:
        db.execute("UPDATE heads_seen SET seen_at = '2026-01-01T00:00:00.000Z' WHERE device = ?", (two.device,))
    app = _app(one)
    async with app.run_test(size=(160, 48)) as pilot:
        await settle(pilot)
        text = text_of(app)
        assert "r has moved to" in text
        assert "laptop: its clock" in text
        await press(pilot, "v", "j")
        assert "! its clock" in text_of(app)
        await press(pilot, "v", "m")
        assert "Follow r to" in text_of(app)
        await press(pilot, "y")
        assert [remote.location for remote in all_remotes(one.registry)] == [str(one.remote.with_name("new_disk"))]
        assert "has moved" not in text_of(app)
        await press(pilot, "m")
        assert "nobody has moved r" in notes_of(app)[-1]


async def test_without_a_remote_keys_say_why_not(open_app: OpenApp) -> None:
    app = open_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await press(pilot, "s", "c", "x", "D")
        assert notes_of(app)[:3] == ["add a remote first (a)"] * 3
        assert "go to the machines first" in notes_of(app)[3]


# machines -------------------------------------------------------------------------------------------------------------


async def test_machines_are_listed_named_and_forgotten(pair: Pair) -> None:
    one, two = pair
    app = _app(one)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        assert not app.screen.query_one(DeviceList).display
        await press(pilot, "v")
        text = text_of(app)
        assert "workstation (here)" in text
        assert "laptop" in text
        assert not app.screen.query_one(RemoteList).display
        await press(pilot, "D")
        assert "can't forget itself" in notes_of(app)[-1]
        await press(pilot, "j", "n")
        await write(pilot, " 2")
        await press(pilot, "enter", "D", "y")
        found = devices.all_devices(one.registry)
        assert [(device.name, device.retired) for device in found] == [("workstation", False), ("laptop 2", True)]
        await press(pilot, "q")
        assert app.screen.query_one(RemoteList).has_focus
    assert two.device == found[1].id


async def test_what_a_machine_keeps_is_a_form_with_reasons(pair: Pair) -> None:
    one, two = pair
    app = _app(one)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "v", "j", "p")
        assert "what laptop keeps" in text_of(app)
        await press(pilot, "enter", "j", "enter")
        assert "pinned weights" in text_of(app)
        await press(pilot, "j", "enter", "j", "enter", "j", "enter")
        assert "A line as in the library's filter" in text_of(app)
        await write(pilot, "nonsense:1")
        await press(pilot, "enter", "s")
        assert "nonsense" in text_of(app)
        await press(pilot, "enter")
        field = app.focused
        field.value = "rating:>=4"  # type: ignore[union-attr]
        await press(pilot, "enter", "j", "j", "j", "enter")
        await write(pilot, "200GB")
        await press(pilot, "enter", "s")
        said = policy.of_device(one.registry.db, two.device)
        assert (said.weights, said.previews, said.limit) == ("query:rating:>=4", "thumbs", 200_000_000_000)
        assert "weights of rating:>=4, small pictures, at most 200 GB" in text_of(app)
        assert policy.of_device(one.registry.db, clock.device_id(one.registry.db)) == policy.PRESETS["workstation"]


# checks ---------------------------------------------------------------------------------------------------------------


async def test_the_last_check_shows_its_findings(pair: Pair, started: list[Job]) -> None:
    one, _ = pair
    app = _app(one)
    async with app.run_test(size=(120, 30)) as pilot:
        await settle(pilot)
        await press(pilot, "f")
        assert "was not checked from here" in text_of(app)
        await press(pilot, "R")
        assert "found nothing that can be mended" in notes_of(app)[-1]
        await press(pilot, "c")
        assert [(job.kind, job.request) for job in started] == [("check", {"remote": "r"})]
        found = [{"level": "repairable", "about": "heads/x", "message": "is missing"}]
        fake_job(one.registry, "check", "check r", {"remote": "r"}, state="done", result={"findings": found})
        app.poll_soon()
        await settle(pilot)
        assert "heads/x" in text_of(app)
        assert "R mends it" in text_of(app)
        await press(pilot, "R", "y")
        assert started[-1].request == {"remote": "r", "repair": True}


# keys -----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def keys_in_files() -> Iterator[None]:
    """A keyring of the person who runs the tests would know the key on every machine."""
    with no_keyring():
        yield


@pytest.mark.usefixtures("keys_in_files")
async def test_a_new_key_is_shown_once_and_asked_for_where_it_is_joined(
    open_app: OpenApp, home: Path, tmp_path: Path
) -> None:
    with Registry(home) as registry:
        made: list[str] = []
        from hubman.sync.secrecy.joining import Secrecy

        remotes.add(
            registry,
            "one",
            str(tmp_path / "nas"),
            secrecy=Secrecy("hmac", made=lambda key: made.append(str(key.words()))),
        )
        remotes.remove(registry, "one")
    app = HubmanApp(tmp_path / "other", poll=0)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "a", "enter")
        await write(pilot, "nas")
        await press(pilot, "enter", "j", "enter")
        await write(pilot, str(tmp_path / "nas"))
        await press(pilot, "enter", "s")
        assert "the key of the remote" in text_of(app)
        await write(pilot, made[0])
        assert " ".join(made[0].split()[:2]) not in text_of(app)
        await press(pilot, "enter")
        assert "signed" in text_of(app)
    with Registry(tmp_path / "other") as registry:
        assert [remote.enc for remote in all_remotes(registry)] == ["hmac"]


async def test_the_words_of_a_new_key_are_shown(open_app: OpenApp, tmp_path: Path) -> None:
    app = open_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "a", "enter")
        await write(pilot, "nas")
        await press(pilot, "enter", "j", "enter")
        await write(pilot, str(tmp_path / "nas"))
        await press(pilot, "enter", "j", "enter", "j", "j", "enter", "s")
        text = text_of(app)
        assert "the key of nas" in text
        assert "Write these words down" in text


# the whole of it ------------------------------------------------------------------------------------------------------


async def test_every_action_stands_in_the_palette_where_it_is_possible(pair: Pair) -> None:
    one, _ = pair
    app = HubmanApp(one.home, poll=0)
    async with app.run_test(size=(120, 30)) as pilot:
        await settle(pilot)
        offered = {command.title for command in app.get_system_commands(app.screen)}
        for action in actions.of_scope("sync"):
            title = f"Sync: {action.description[0].lower()}{action.description[1:]}"
            assert (title in offered) == (action.palette and not app.screen.why_not(action.id)), action.id  # type: ignore[attr-defined]
        missing = [one.id for one in actions.of_scope("conflicts") if not hasattr(ConflictScreen, f"do_{one.name}")]
        assert missing == []


@pytest.mark.parametrize("size", [(60, 16), (80, 24), (160, 48)])
async def test_what_does_not_fit_is_hidden_and_never_squeezed(pair: Pair, size: tuple[int, int]) -> None:
    one, two = pair
    edit(two, "clay", rating="2")
    two.sync()
    app = HubmanApp(one.home, poll=0)
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        text = text_of(app)
        assert "rating of clay → 2" in text
        assert "waiting" in text
        assert app.screen.query_one(DeviceList).display == (size[0] >= 120)
        assert app.screen.query_one(WaitingList).size.width >= 50
        assert app.screen.query_one(WaitingList).size.height >= 3
