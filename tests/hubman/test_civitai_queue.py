"""The queue of downloads: ordered, pausable, shared, and whole after a kill."""

from __future__ import annotations

import itertools
import socket
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from hubman.civitai import queue, session
from hubman.civitai.client import Civitai
from hubman.civitai.downloader import drain
from hubman.jobs import store
from hubman.progress import Progress, silent
from hubman.sandbox import Fault, Seeded, seed_model
from hubman.sandbox.faults.rules import Rule
from registry import pull_queue
from registry.database import Registry
from registry.errors import CancelledError, NotFoundError, UsageError
from registry.pull_queue import Wanted
from tests.support import fault_run
from tests.support.civitai import Bench, bench, write_lora


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with bench(tmp_path_factory.mktemp("site")) as running:
        yield running


@pytest.fixture(scope="module")
def seeded(site: Bench) -> list[Seeded]:
    files = [write_lora(site.folder / f"model{number}.safetensors", seed=number) for number in range(3)]
    return [seed_model(site.sandbox, file, name=file.stem) for file in files]


def _states(registry: Registry) -> list[tuple[str, str]]:
    return [(item.ref, item.state) for item in queue.items(registry)]


def _drain(registry: Registry, site: Bench) -> dict[str, int]:
    with site.client("") as client:
        return drain(registry, lambda _site: client, silent, lambda: False, lambda _db: None)


def test_what_is_wanted_twice_is_queued_once(registry: Registry) -> None:
    first = queue.add(registry, ["7", "https://civitai.com/models/3?modelVersionId=7"], site=None, into=None)
    again = queue.add(registry, ["civitai:3@7", "8", "8"], site=None, into=None)
    assert [item.ref for item in again] == ["7", "8"]
    assert [item.id for item in first] == [again[0].id]
    assert [item.position for item in queue.items(registry)] == [1, 2]
    with pytest.raises(UsageError, match="shows the plan"):
        queue.add(registry, ["creator:ann"], site=None, into=None)


def test_one_that_names_nothing_queues_none_of_them(registry: Registry) -> None:
    with pytest.raises(UsageError, match="harbor style"):
        queue.add(registry, ["7", "harbor style"], site=None, into=None)
    assert queue.items(registry) == []


def test_a_queue_can_be_ordered_held_and_cleared(registry: Registry) -> None:
    a, b, c = (item.id for item in queue.add(registry, ["1", "2", "3"], site=None, into=None))
    queue.move(registry, c, 1)
    queue.pause(registry, [a])
    assert _states(registry) == [("3", "queued"), ("1", "paused"), ("2", "queued")]
    pull_queue.resume(registry, None)
    queue.pause(registry, None)
    assert {state for _ref, state in _states(registry)} == {"paused"}
    queue.remove(registry, [b])
    assert [ref for ref, _state in _states(registry)] == ["3", "1"]
    with pytest.raises(NotFoundError, match="hubman queue"):
        queue.move(registry, b, 1)


def test_one_is_found_without_a_look_at_the_others(registry: Registry) -> None:
    many = queue.add(registry, [str(number) for number in range(1, 6)], site=None, into=None)
    queue.move(registry, many[4].id, 2)
    pull_queue.claim(registry, 1, None, lambda _db: None)
    pull_queue.fail(registry, many[0].id, "gone")
    assert [pull_queue.get(registry, item.id) for item in many] == sorted(
        pull_queue.items(registry), key=lambda i: i.id
    )
    registry.db.execute("UPDATE pulls SET choice = 'damaged' WHERE id = ?", (many[1].id,))
    assert pull_queue.get(registry, many[4].id).position == 1
    with pytest.raises(NotFoundError, match="hubman queue"):
        pull_queue.get(registry, 99)


def test_a_queue_is_worked_off_in_its_order(registry: Registry, site: Bench, seeded: list[Seeded]) -> None:
    made = queue.add(registry, [str(one.version_id) for one in seeded], site=None, into=None)
    queue.move(registry, made[2].id, 1)
    order: list[str] = []

    def hear(event: Progress) -> None:
        if event.stage == "look up":
            order.append(event.message)

    with site.client("") as client:
        assert drain(registry, lambda _site: client, hear, lambda: False, lambda _db: None) == {"done": 3, "failed": 0}
    assert order == [str(seeded[number].version_id) for number in (2, 0, 1)]
    done = queue.items(registry)
    assert {item.state for item in done} == {"done"}
    assert all(Path(item.path).is_file() and item.version_id and item.done == item.total > 0 for item in done)


def test_one_that_is_paused_on_the_way_stops_and_goes_on(registry: Registry, site: Bench, seeded: list[Seeded]) -> None:
    first, second = queue.add(registry, [str(one.version_id) for one in seeded[:2]], site=None, into=None)

    def hold(event: Progress) -> None:
        if event.stage == "download" and queue.items(registry)[0].id == first.id:
            queue.pause(registry, [first.id])

    with site.client("") as client:
        drain(registry, lambda _site: client, hold, lambda: False, lambda _db: None)
        assert {item.id: item.state for item in queue.items(registry)} == {first.id: "paused", second.id: "done"}
        before = site.asked("/sandbox-models/")
        pull_queue.resume(registry, None)
        drain(registry, lambda _site: client, silent, lambda: False, lambda _db: None)
    assert pull_queue.get(registry, first.id).state == "done"
    # All of it had arrived.
    assert site.asked("/sandbox-models/") == before


def test_a_download_that_was_removed_on_the_way_is_dropped(
    registry: Registry, site: Bench, seeded: list[Seeded]
) -> None:
    (item,) = queue.add(registry, [str(seeded[0].version_id)], site=None, into=None)

    def drop(event: Progress) -> None:
        if event.stage == "look up":
            queue.remove(registry, [item.id])

    before = site.asked("/api/download/")
    with site.client("") as client:
        assert drain(registry, lambda _site: client, drop, lambda: False, lambda _db: None) == {"done": 0, "failed": 0}
    assert site.asked("/api/download/") == before


def test_what_a_stopped_downloader_was_at_waits(registry: Registry, site: Bench, seeded: list[Seeded]) -> None:
    queue.add(registry, [str(seeded[0].version_id)], site=None, into=None)
    with site.client("") as client, pytest.raises(CancelledError):
        drain(registry, lambda _site: client, silent, lambda: True, lambda _db: None)
    assert _states(registry) == [(str(seeded[0].version_id), "queued")]


def test_a_site_that_counts_too_many_downloads_holds_the_whole_queue(
    registry: Registry, site: Bench, seeded: list[Seeded]
) -> None:
    queue.add(registry, [str(one.version_id) for one in seeded], site=None, into=None)
    said = '{"error":"We\'ve noticed an unusual amount of downloading from your account"}'
    site.sandbox.settings.faults = [Fault("/api/download/", status=429, body=said)]
    assert _drain(registry, site) == {"done": 0, "failed": 0}
    held = queue.items(registry)
    assert [item.ref for item in held] == [str(one.version_id) for one in seeded]
    assert {item.state for item in held} == {"paused"}
    assert "hubman queue resume" in held[0].error
    pull_queue.resume(registry, None)
    assert _drain(registry, site) == {"done": 3, "failed": 0}


def test_what_fails_says_why_and_can_be_tried_again(registry: Registry, site: Bench, seeded: list[Seeded]) -> None:
    (item,) = queue.add(registry, [str(seeded[0].version_id)], site=None, into=None)
    site.sandbox.settings.faults = [Fault("/api/download/", status=410)]
    assert _drain(registry, site) == {"done": 0, "failed": 1}
    failed = pull_queue.get(registry, item.id)
    assert (failed.state, failed.position) == ("failed", 0)
    assert "archived" in failed.error
    pull_queue.retry(registry, None)
    assert _drain(registry, site) == {"done": 1, "failed": 0}


def test_what_the_network_breaks_is_begun_three_times_behind_the_others(
    registry: Registry, site: Bench, seeded: list[Seeded]
) -> None:
    bad, good = queue.add(registry, [str(one.version_id) for one in seeded[:2]], site=None, into=None)
    path = f"/api/download/models/{bad.ref}"
    site.sandbox.settings.faults = [Fault(path, status=500, times=99)]
    assert _drain(registry, site) == {"done": 1, "failed": 1}
    assert pull_queue.get(registry, bad.id).tries == 3
    assert pull_queue.get(registry, good.id).state == "done"
    site.sandbox.settings.faults = []


def test_what_comes_with_another_hash_is_fetched_twice_and_no_more(
    registry: Registry, site: Bench, seeded: list[Seeded], tmp_path: Path
) -> None:
    queue.add(registry, [str(seeded[0].version_id)], site=None, into=tmp_path / "in")
    site.sandbox.settings.faults = [Fault("/sandbox-models/", status=200, body="other", times=99)]
    before = site.asked("/sandbox-models/")
    assert _drain(registry, site) == {"done": 0, "failed": 1}
    assert site.asked("/sandbox-models/") - before == 2
    assert len(list((tmp_path / "in" / ".quarantine").glob("*.damaged"))) == 1
    site.sandbox.settings.faults = []


def test_an_outage_uses_up_no_tries(registry: Registry, site: Bench, seeded: list[Seeded]) -> None:
    queue.add(registry, [str(one.version_id) for one in seeded[:2]], site=None, into=None)
    site.sandbox.settings.faults = [Fault("/api/v1/model-versions/", status=503, times=14)]
    with site.client("", home=registry.home) as client:
        counts = drain(registry, lambda _site: client, silent, lambda: False, lambda _db: None)
    assert counts == {"done": 2, "failed": 0}


def test_a_network_that_is_down_is_waited_for_but_not_for_ever(
    registry: Registry, site: Bench, seeded: list[Seeded]
) -> None:
    (item,) = queue.add(registry, [str(seeded[0].version_id)], site=None, into=None)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nobody = f"http://127.0.0.1:{closed.getsockname()[1]}"
    asked = itertools.count()
    with site.client("") as client, Civitai(nobody, sleep=site.clock.sleep) as lost:

        def connect(_site: str | None) -> Civitai:
            return lost if next(asked) < 10 else client

        assert drain(registry, connect, silent, lambda: False, lambda _db: None) == {"done": 1, "failed": 0}
        assert pull_queue.get(registry, item.id).tries == 1
        pull_queue.add(registry, [Wanted(ref="7", same="7", title="7")])
        before = site.clock.now
        assert drain(registry, lambda _site: lost, silent, lambda: False, lambda _db: None) == {"done": 0, "failed": 1}
    assert timedelta(hours=12) <= site.clock.now - before < timedelta(hours=24)


def test_a_job_works_the_queue_off_and_one_that_is_killed_is_followed_by_another(
    registry: Registry, site: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUBMAN_CIVITAI_URL", site.sandbox.url)
    monkeypatch.delenv("CIVITAI_API_KEY", raising=False)
    source = write_lora(site.folder / "slow.safetensors", size=400_000, seed=9)
    version = seed_model(site.sandbox, source, name="slow").version_id
    site.sandbox.settings.rules = [Rule("slow", amount=100_000)]
    queue.add(registry, [str(version)], site=None, into=None)
    job = queue.start(registry)
    again = queue.start(registry)
    assert job is not None
    assert again is not None
    assert again.id == job.id

    def kill(event: Progress) -> None:
        if event.stage == "download" and event.done:
            assert queue.items(registry)[0].state == "running"
            store.kill(store.get(registry, job.id))

    assert store.follow(registry, job.id, kill, pause=0.02).state == "failed"
    (at,) = queue.items(registry)
    assert at.state == "queued"
    site.sandbox.settings.rules = []
    (item,) = queue.follow(registry, [at.id], silent, pause_s=0.02)
    assert (item.state, item.verified) == ("done", True)
    assert Path(item.path).read_bytes() == source.read_bytes()
    assert queue.start(registry) is None


def test_300_faults_leave_right_bytes_or_a_reason_in_small(tmp_path: Path) -> None:
    found = fault_run.run(tmp_path, files=20, faults=60, seed=5)
    assert sum(found.faults.values()) >= 40
    assert (found.wrong, found.twice, found.open, found.unverified) == ([], [], [], 0)
    assert found.done + len(found.failed) == 20
    assert found.done >= 14


def test_what_kills_every_downloader_fails_at_last(registry: Registry) -> None:
    (item,) = queue.add(registry, ["7"], site=None, into=None)
    dead = 2**22 + 1
    for _ in range(pull_queue.MOST_DEATHS):
        assert pull_queue.claim(registry, dead, None, lambda _db: None) == item.id
        (found,) = queue.items(registry)
    assert (found.state, found.position) == ("failed", 0)
    assert "died" in found.error


def test_a_site_that_can_not_be_reached_fails_its_own_items_alone(
    registry: Registry, site: Bench, seeded: list[Seeded]
) -> None:
    queue.add(registry, ["7"], site="sandbox", into=None)
    queue.add(registry, [str(seeded[0].version_id)], site=None, into=None)
    with site.client("") as client:

        def connect(name: str | None) -> Civitai:
            return client if name is None else session.connect(registry.home, name)

        assert drain(registry, connect, silent, lambda: False, lambda _db: None) == {"done": 1, "failed": 1}
    assert [item.error for item in queue.items(registry) if item.error] == [
        "no sandbox is running: start one in another terminal with: hubman sandbox"
    ]
