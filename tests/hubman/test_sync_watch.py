"""Watching remotes: when a sync is due, and that what one machine does reaches the other by itself."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from hubman.sync import watching
from hubman.sync.policies import schedule
from hubman.sync.policies.schedule import Schedule
from hubman.sync.watching import Event
from registry import edits, library
from registry.database import Registry
from tests.support.machines import Machine

PATIENCE = 60.0
"""How long a test waits for something that takes some seconds."""


def test_an_edit_is_sent_when_it_is_quiet_and_never_waits_for_long() -> None:
    one = Schedule(60)
    assert one.is_due(0)
    one.synced(0, newest=0, did_something=True)
    one.edited(1, 1)
    assert not one.is_due(1 + schedule.QUIET_S - 0.1)
    assert one.is_due(1 + schedule.QUIET_S)
    busy = Schedule(600)
    busy.synced(0, newest=0, did_something=False)
    busy.synced(0, newest=0, did_something=False)
    due = []
    for second in range(1, 36):
        busy.edited(second, second)
        due += [second] if busy.is_due(second) else []
    assert due[0] == 1 + schedule.PATIENCE_S


def test_looks_grow_rarer_until_something_happens() -> None:
    one = Schedule(60)
    waits = []
    now = 0.0
    for _ in range(5):
        one.synced(now, newest=0, did_something=False)
        before = now
        while not one.is_due(now):
            now += 1
        waits.append(now - before)
    assert waits == [20, 40, 60, 60, 60]
    one.synced(now, newest=0, did_something=True)
    assert one.is_due(now + schedule.FIRST_S)
    one.synced(now, newest=0, did_something=False)
    one.told(now + 1)
    assert not one.is_due(now + 1)
    assert one.is_due(now + 1 + schedule.SETTLE_S)


def test_a_failure_waits_longer_each_time_and_keeps_what_waits() -> None:
    one = Schedule(60)
    one.edited(3, 0)
    one.failed(0)
    assert not one.is_due(schedule.FIRST_S)
    assert one.is_due(2 * schedule.FIRST_S)
    one.failed(100)
    assert not one.is_due(100 + 2 * schedule.FIRST_S)
    assert one.is_due(100 + 4 * schedule.FIRST_S)


def test_two_watched_machines_come_in_step_by_themselves(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedule, "QUIET_S", 0.05)
    monkeypatch.setattr(schedule, "SETTLE_S", 0.0)
    monkeypatch.setattr(watching, "_STEP_S", 0.02)
    a, b = Machine(place, "a", place / "remote"), Machine(place, "b", place / "remote")
    ink = a.add_lora("ink")
    a.sync()
    b.sync()
    events: queue.Queue[tuple[str, Event]] = queue.Queue()
    stopped = threading.Event()

    def follow(name: str, home: Path) -> None:
        with Registry(home) as registry:
            watching.watch(registry, ["r"], lambda event: events.put((name, event)), stopped)

    threads = [threading.Thread(target=follow, args=(one.home.name, one.home)) for one in (a, b)]
    for thread in threads:
        thread.start()
    try:
        assert {events.get(timeout=PATIENCE)[0], events.get(timeout=PATIENCE)[0]} == {"a", "b"}
        edits.edit(a.registry, ink, ink, {"rating": "4"})
        done: dict[str, Event] = {}
        while done.keys() < {"a", "b"}:
            name, event = events.get(timeout=PATIENCE)
            assert event.problem == ""
            done[name] = event
        assert library.show(b.registry, ink).rating == 4
        (place / "remote").rename(place / "away")
        edits.edit(a.registry, ink, ink, {"rating": "5"})
        name, event = events.get(timeout=PATIENCE)
        assert (name, event.result) == ("a", None)
        assert "is not there" in event.problem
    finally:
        stopped.set()
        for thread in threads:
            thread.join(PATIENCE)
    assert not any(thread.is_alive() for thread in threads)
    a.registry.close()
    b.registry.close()


def test_the_command_tells_an_object_a_line_and_ends_at_ctrl_c(place: Path) -> None:
    a = Machine(place, "a", place / "remote")
    a.registry.close()
    running = subprocess.Popen(
        [sys.executable, "-m", "hubman.cli.main", "sync", "r", "--watch", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "HUBMAN_HOME": str(a.home)},
        text=True,
    )
    assert running.stdout is not None
    first = json.loads(running.stdout.readline())
    assert first["remote"] == "r"
    assert first["result"]["sent_changes"] > 0
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=PATIENCE)
    assert (running.returncode, out, err) == (0, "", "")
