"""What the commands of sync tell a person, and their exit statuses."""

from __future__ import annotations

import json

import pytest

from hubman.cli.main import run
from hubman.sync import lost
from hubman.sync.care import devices
from hubman.sync.policies import policy
from registry import edits, library
from tests.support.machines import Machine, settle


def test_a_disk_that_is_away_keeps_no_other_remote_from_its_sync(
    pair: tuple[Machine, Machine], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = pair
    monkeypatch.setenv("HUBMAN_HOME", str(a.home))
    away = a.remote.with_name("disk")
    assert run(["remote", "add", "disk", str(away)]) == 0
    away.rename(away.with_name("unplugged"))
    a.add_lora("ink")
    assert run(["sync", "--dry-run"]) == 1
    told = capsys.readouterr()
    assert "r ↑ goes up" in told.out
    assert run(["sync"]) == 1
    told = capsys.readouterr()
    assert told.out.startswith("r: sent ")
    (line,) = told.err.splitlines()
    assert line.startswith("hubman: disk: ")
    assert "mount the disk" in line
    b.sync()
    assert library.resolve(b.registry, "ink")
    assert run(["sync", "--json"]) == 1
    both = json.loads(capsys.readouterr().out)
    assert both["r"]["sent_changes"] == 0
    assert "mount the disk" in both["disk"]["problem"]
    assert run(["sync", "disk"]) == 1, "the only one that is meant fails as a whole"


def test_adding_says_whether_something_was_there(
    pair: tuple[Machine, Machine], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = pair
    place = a.remote.with_name("nas")
    monkeypatch.setenv("HUBMAN_HOME", str(a.home))
    assert run(["remote", "add", "nas", str(place)]) == 0
    assert "made a new remote" in capsys.readouterr().out
    monkeypatch.setenv("HUBMAN_HOME", str(b.home))
    assert run(["remote", "add", "nas", str(place)]) == 0
    assert "joined the remote that is there" in capsys.readouterr().out
    assert run(["remote", "rm", "nas", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"forgotten": "nas"}
    assert run(["remote", "add", "nas", str(place), "--json"]) == 0
    added = json.loads(capsys.readouterr().out)
    assert (added["name"], added["is_new"]) == ("nas", False)
    assert run(["remote", "add", "nas", str(place.with_name("moved")), "--read-only"]) == 2
    assert "leave out the other options" in capsys.readouterr().err


def test_who_has_a_model_that_is_not_here_is_shown(
    pair: tuple[Machine, Machine], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = pair
    ink = a.add_lora("ink")
    policy.set_policy(b.registry, policy.Policy(weights="none"))
    devices.rename(a.registry, a.device, "workstation")
    settle(pair)
    monkeypatch.setenv("HUBMAN_HOME", str(b.home))
    assert run(["show", "ink"]) == 0
    assert f"on workstation: hubman fetch {ink[:8]}" in capsys.readouterr().out
    assert run(["fetch", ink[:8]]) == 0
    assert run(["show", "ink"]) == 0
    assert "hubman fetch" not in capsys.readouterr().out


def test_conflicts_call_devices_by_the_name_that_was_given(
    pair: tuple[Machine, Machine], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = pair
    monkeypatch.setenv("HUBMAN_HOME", str(b.home))
    assert run(["conflicts"]) == 0
    assert capsys.readouterr().out == "no conflicts\n"
    ink = a.add_lora("ink")
    devices.rename(a.registry, a.device, "workstation")
    settle(pair)
    model = library.resolve(b.registry, "ink")[0]
    edits.trash(b.registry, model)
    edits.edit(a.registry, model, ink, {"rating": "3"})
    settle(pair)
    assert [one.theirs.device_name for one in lost.unseen(b.registry)] == ["workstation"]
    assert run(["conflicts"]) == 0
    assert capsys.readouterr().out.startswith("ink: trash\tin the trash *")


def test_a_sync_that_lets_go_of_a_file_says_so(
    pair: tuple[Machine, Machine], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = pair
    a.add_lora("one", seed=1)
    a.add_lora("two", seed=2)
    settle(pair)
    monkeypatch.setenv("HUBMAN_HOME", str(b.home))
    assert run(["device", "policy", "--limit", "10KB"]) == 0
    capsys.readouterr()
    assert run(["sync"]) == 0
    assert "let go of 1 file (" in capsys.readouterr().out
