"""Jobs: processes of their own with rows and event files that survive them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hubman.jobs import runner, store, turns
from hubman.jobs.kinds import KINDS, handler
from hubman.progress import Progress
from registry.database import Registry
from registry.errors import NotFoundError, UsageError
from tests.support.jobs import fake_job


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "home")


def test_a_job_runs_in_its_own_process_and_leaves_its_result(registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    job = store.start(registry, "scan", "scan", {"folders": [str(tmp_path / "models")]})
    seen: list[Progress] = []
    ended = store.follow(registry, job.id, seen.append)
    assert ended.state == "done"
    assert ended.pid != os.getpid()
    assert ended.result is not None
    assert ended.result["new"] == 0


def test_an_expected_failure_is_one_line_in_the_row(registry: Registry, tmp_path: Path) -> None:
    job = store.start(registry, "train", "train", {"recipe": str(tmp_path / "missing.toml")})
    ended = store.follow(registry, job.id, lambda _: None)
    assert ended.state == "failed"
    assert ended.error
    assert "missing.toml" in ended.error
    assert "\n" not in ended.error


def test_a_killed_job_is_found_dead_and_can_be_resumed(registry: Registry, tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    job = store.add(registry, "scan", "scan", {"folders": [str(tmp_path)]})
    with registry.transaction() as db:
        db.execute(
            "UPDATE jobs SET state = 'running', pid = ?, pid_started = ? WHERE id = ?",
            (process.pid, store.process_start(process.pid), job.id),
        )
    assert store.look(registry, job.id).state == "running"
    process.send_signal(signal.SIGKILL)
    process.wait()
    dead = store.look(registry, job.id)
    assert dead.state == "failed"
    assert dead.error
    store.resume(registry, job.id)
    assert store.follow(registry, job.id, lambda _: None).state == "done"


def test_of_two_resumes_at_once_one_starts_a_process(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/true")
    job = fake_job(registry, "train", "train", {}, state="failed")
    with Registry(tmp_path / "home") as other:

        def get_ahead(statement: str) -> None:
            """The other resume begins after this one has looked and before it writes."""
            if statement == "BEGIN IMMEDIATE" and store.get(other, job.id).state == "failed":
                store.resume(other, job.id)
                assert store.begin(other, job.id)
                job.stop_path.touch()

        registry.db.set_trace_callback(get_ahead)
        found = store.resume(registry, job.id)
    assert (found.state, found.pid) == ("running", os.getpid())
    assert job.stop_path.exists()


def test_a_process_with_a_recycled_number_is_not_the_job(registry: Registry) -> None:
    assert store.is_alive(os.getpid(), store.process_start(os.getpid()))
    assert not store.is_alive(os.getpid(), 12345.0)


def test_events_wait_for_a_half_written_line(registry: Registry) -> None:
    job = store.add(registry, "scan", "scan", {})
    job.events_path.write_bytes(b'{"stage":"a","done":1}\n{"stage":"b"')
    found, offset = store.events(job)
    assert [event.stage for event in found] == ["a"]
    with job.events_path.open("ab") as stream:
        stream.write(b',"done":2}\n')
    found, offset = store.events(job, offset)
    assert [event.stage for event in found] == ["b"]
    assert store.events(job, offset) == ([], offset)


def test_a_queued_job_is_cancelled_at_once_and_an_ended_one_not_at_all(registry: Registry) -> None:
    job = store.add(registry, "scan", "scan", {})
    assert store.cancel(registry, job.id).state == "cancelled"
    with pytest.raises(UsageError):
        store.cancel(registry, job.id)


def test_a_job_is_found_by_the_end_of_its_id(registry: Registry) -> None:
    job = store.add(registry, "scan", "scan", {})
    assert store.get(registry, job.id[-6:]).id == job.id
    with pytest.raises(NotFoundError):
        store.get(registry, "nosuchjob")


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_a_handler(kind: str) -> None:
    assert callable(handler(kind))


def test_an_unknown_kind_is_named() -> None:
    with pytest.raises(UsageError, match="dance"):
        handler("dance")


def test_a_job_whose_process_dies_before_its_first_word_is_found_dead(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    job = store.start(registry, "scan", "scan", {})
    ended = store.follow(registry, job.id, lambda _: None)
    assert ended.state == "failed"
    assert ended.error


def test_a_job_that_was_cancelled_while_queued_does_nothing(registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    job = store.add(registry, "scan", "scan", {"folders": [str(tmp_path / "models")]})
    store.cancel(registry, job.id)
    assert runner.run(registry, job.id).state == "cancelled"
    assert not job.events_path.exists()


@pytest.mark.parametrize(
    ("kind", "request_"), [("scan", {}), ("publish", {"form": {"model_id": "x", "name": "x", "parts": []}})]
)
def test_work_that_moves_files_stops_where_it_tells_of_itself(
    registry: Registry, kind: str, request_: dict[str, object], tmp_path: Path
) -> None:
    root = tmp_path / "models"
    root.mkdir()
    job = store.add(registry, kind, kind, {**request_, "folders": [str(root)], "site": "http://127.0.0.1:9"})
    job.stop_path.touch()
    assert runner.run(registry, job.id).state == "cancelled"


def test_a_line_that_was_cut_short_is_passed_over(registry: Registry) -> None:
    job = store.add(registry, "scan", "scan", {})
    job.events_path.write_bytes(b'{"stage":"a"}\n{"sta\n{"stage":"b"}\n')
    assert [event.stage for event in store.events(job)[0]] == ["a", "b"]


def test_a_resumed_job_does_not_go_on_in_a_half_written_line(registry: Registry, tmp_path: Path) -> None:
    job = store.add(registry, "scan", "scan", {"folders": [str(tmp_path)]})
    job.events_path.write_bytes(b'{"stage":"a"}\n{"sta')
    assert runner.run(registry, job.id).state == "done"
    stages = [event.stage for event in store.events(job)[0]]
    assert stages[0] == "a"
    assert len(stages) > 1


def test_trainings_run_one_after_the_other_in_their_order(registry: Registry, tmp_path: Path) -> None:
    running = fake_job(registry, "train", "the first", {}, state="running")
    with registry.transaction() as db:
        db.execute("UPDATE jobs SET pid = ? WHERE id = ?", (os.getpid(), running.id))
    waiting = [store.start(registry, "train", f"training {i}", {"recipe": str(tmp_path / "none")}) for i in range(2)]
    assert [job.id for job in turns.ahead(registry, store.get(registry, waiting[1].id))] == [running.id, waiting[0].id]
    drawing = store.start(registry, "scan", "scan", {"folders": [str(tmp_path)]})
    assert store.follow(registry, drawing.id, lambda _: None).state == "done"
    assert {store.look(registry, job.id).state for job in waiting} == {"queued"}
    store.finish(registry, running.id, "done")
    ended = [store.follow(registry, job.id, lambda _: None) for job in waiting]
    assert [job.state for job in ended] == ["failed", "failed"]
    began = [job.started_at for job in ended if job.started_at]
    assert began == sorted(began)
    assert len(began) == 2


def test_a_training_that_waits_lets_others_go_first_while_it_is_paused(registry: Registry) -> None:
    first, second = (store.add(registry, "train", name, {}) for name in ("first", "second"))
    assert [job.id for job in turns.ahead(registry, second)] == [first.id]
    assert store.pause(registry, first.id).paused
    assert turns.ahead(registry, second) == []
    assert not store.resume(registry, first.id).paused
    with pytest.raises(UsageError, match="cannot be paused"):
        store.pause(registry, store.add(registry, "scan", "scan", {}).id)


def test_as_many_trainings_run_at_once_as_the_setting_says(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first, second = (store.add(registry, "train", name, {"recipe": str(tmp_path / "none")}) for name in ("one", "two"))
    assert store.begin(registry, first.id)
    monkeypatch.setenv("HUBMAN_TRAININGS", "2")
    assert runner.run(registry, second.id).state == "failed"
