"""The machines of a collection: what each is called and holds, which are gone, and clocks that are wrong."""

from __future__ import annotations

import json

import pytest

from hubman.cli.main import run
from hubman.sync.care import alerts, devices
from registry import clock, edits, library
from registry.errors import NotFoundError, UsageError
from tests.support.machines import Machine, settle

DAY_MS = 86_400_000


def seen(machine: Machine, other: Machine) -> devices.Device:
    return next(one for one in devices.all_devices(machine.registry) if one.id == other.device)


def test_each_machine_knows_what_the_others_hold_and_when_they_were_there(pair: tuple[Machine, Machine]) -> None:
    a, b = pair
    a.add_lora("ink")
    size = (a.registry.models_folder / "ink.safetensors").stat().st_size
    settle(pair)
    for one in (seen(a, a), seen(b, a), seen(a, b)):
        assert (one.models_here, one.bytes_here, one.retired) == (1, size, False)
        assert one.last_seen is not None
        assert one.app_version
    assert [one.is_this for one in devices.all_devices(b.registry)] == [True, False]


def test_a_name_given_anywhere_is_known_everywhere_and_survives_a_restored_backup(
    pair: tuple[Machine, Machine],
) -> None:
    a, b = pair
    settle(pair)
    devices.rename(b.registry, a.device, "studio")
    settle(pair)
    assert seen(a, a).name == seen(b, a).name == "studio"
    assert devices.find(a.registry, "studio").id == a.device
    for name in ("", "a\x1b[2J", "x" * 65):
        with pytest.raises(UsageError):
            devices.rename(b.registry, a.device, name)
    with pytest.raises(NotFoundError):
        devices.find(a.registry, "nobody")


def test_a_forgotten_device_is_gone_for_all_until_it_syncs_again(pair: tuple[Machine, Machine]) -> None:
    a, b = pair
    ink = a.add_lora("ink")
    settle(pair)
    devices.retire(a.registry, b.device)
    a.sync()
    assert devices.retired(a.registry.db) == {b.device}
    edits.edit(b.registry, ink, ink, {"rating": "3"})
    assert any("is back" in warning for warning in b.sync().warnings)
    a.sync()
    assert devices.retired(a.registry.db) == devices.retired(b.registry.db) == frozenset()
    assert library.show(a.registry, ink).rating == 3
    assert a.state() == b.state()
    with pytest.raises(UsageError):
        devices.retire(a.registry, a.device)


def test_a_held_log_is_released_by_one_command_and_later_edits_win(
    pair: tuple[Machine, Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = pair
    ink = a.add_lora("ink")
    settle(pair)
    right = clock.wall_ms()
    monkeypatch.setattr(clock, "wall_ms", lambda: right + 400 * DAY_MS)
    edits.edit(a.registry, ink, ink, {"rating": "5"})
    a.sync()
    monkeypatch.setattr(clock, "wall_ms", lambda: right)
    (warning,) = b.sync().warnings
    assert f"hubman device release {a.device}" in warning
    assert library.show(b.registry, ink).rating == 0
    last = seen(b, a).last_seen
    assert last is not None
    assert last[:10] <= seen(b, b).last_seen[:10]  # type: ignore[index]
    devices.release(b.registry, a.device)
    assert b.sync().warnings == ()
    assert library.show(b.registry, ink).rating == 5
    edits.edit(b.registry, ink, ink, {"rating": "2"})
    settle(pair)
    assert library.show(a.registry, ink).rating == library.show(b.registry, ink).rating == 2


def test_a_clock_of_another_age_is_held_even_when_released(
    pair: tuple[Machine, Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = pair
    ink = a.add_lora("ink")
    settle(pair)
    right = clock.wall_ms()
    monkeypatch.setattr(clock, "wall_ms", lambda: right + 8000 * DAY_MS)
    edits.edit(a.registry, ink, ink, {"rating": "5"})
    a.sync()
    monkeypatch.setattr(clock, "wall_ms", lambda: right)
    devices.release(b.registry, a.device)
    assert any("far from now" in warning for warning in b.sync().warnings)
    assert library.show(b.registry, ink).rating == 0


def test_the_commands_list_name_and_forget(
    pair: tuple[Machine, Machine], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = pair
    a.add_lora("ink")
    settle(pair)
    monkeypatch.setenv("HUBMAN_HOME", str(a.home))
    assert run(["device", "rename", b.device, "laptop"]) == 0
    assert run(["device", "forget", "laptop", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.partition("\n")[2])["retired"] is True
    assert run(["device", "ls"]) == 0
    assert "laptop (forgotten)" in capsys.readouterr().out
    assert run(["device", "ls", "--json"]) == 0
    assert [one["name"] for one in json.loads(capsys.readouterr().out)][1] == "laptop"
    assert run(["device", "release", "laptop"]) == 0
    assert run(["device", "forget", a.device]) == 2
    assert run(["device", "rename", "nobody", "x"]) == 1


def test_a_clock_that_is_ahead_a_copy_and_a_log_that_stands_are_told(
    pair: tuple[Machine, Machine], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = pair
    ink = a.add_lora("ink")
    settle(pair)
    assert alerts.alerts(b.registry) == []
    right = clock.wall_ms()
    monkeypatch.setattr(clock, "wall_ms", lambda: right + 3_600_000)
    edits.edit(a.registry, ink, ink, {"rating": "5"})
    a.sync()
    monkeypatch.setattr(clock, "wall_ms", lambda: right)
    b.sync()
    (ahead,) = alerts.alerts(b.registry)
    assert "minutes ahead" in ahead.message
    newest = max((a.remote / "log" / a.device).iterdir())
    b.registry.db.execute(
        "INSERT INTO received SELECT remote, device, ?||'-copy' FROM received WHERE name = ?",
        (newest.name[:10], newest.name),
    )
    edits.edit(a.registry, ink, ink, {"rating": "4"})
    a.sync()
    max((a.remote / "log" / a.device).iterdir()).unlink()
    b.sync()
    assert not any("stands since" in alert.message for alert in alerts.alerts(b.registry)), "it may be on its way"
    b.registry.db.execute("UPDATE cursors SET since = '2026-01-01T00:00:00.000Z' WHERE since NOT NULL")
    told = [alert.message for alert in alerts.alerts(b.registry)]
    assert any("stands since 2026-01-01" in message for message in told)
    assert any("was copied" in message for message in told)
    monkeypatch.setenv("HUBMAN_HOME", str(b.home))
    assert run(["doctor", "--json"]) == 0
    said = {one["name"]: one["ok"] for one in json.loads(capsys.readouterr().out)}
    assert said["remote r"] is said["home place"] is True
    assert [ok for name, ok in said.items() if name.startswith("device ")] == [False]
    devices.retire(b.registry, a.device)
    assert alerts.alerts(b.registry) == []
