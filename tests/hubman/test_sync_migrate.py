"""A remote moves to another place while others use it; nothing is lost, wherever that is stopped."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
import pytest

from hubman.cli.main import run
from hubman.sync.care import moving, upgrade
from hubman.sync.care.check import check
from hubman.sync.records import layout
from hubman.sync.remote import find
from registry import edits, library
from registry.errors import CancelledError, HubError, UsageError
from tests.support.machines import Machine, WatchedStorage, settle


def filled(pair: tuple[Machine, Machine]) -> str:
    a, _ = pair
    ink = a.add_lora("ink")
    a.add_picture(ink, b"picture")
    settle(pair)
    return ink


def test_everything_moves_and_the_others_are_told_and_follow(pair: tuple[Machine, Machine], place: Path) -> None:
    a, b = pair
    ink = filled(pair)
    copied = moving.migrate(a.registry, "r", str(place / "new"))
    assert copied.objects >= 2 + 2 + 2
    assert find(a.registry, "r").location == str(place / "new")
    edits.edit(a.registry, ink, ink, {"rating": "3"})
    a.sync()
    # b does not know yet: what it does meanwhile goes to the old place.
    edits.edit(b.registry, ink, ink, {"notes": "to the old place"})
    b.add_lora("late", seed=7)
    (warning,) = b.sync().warnings
    assert f"moved r to {place / 'new'}" in warning
    moving.follow(b.registry, "r", str(place / "new"))
    shutil.rmtree(place / "remote")
    for machine in (*pair, *pair):
        assert machine.sync().warnings == ()
    assert a.shown() == b.shown()
    assert library.show(a.registry, ink).notes == "to the old place"
    assert check(a.registry, "r") == []
    c = Machine(place, "c", place / "new")
    assert c.sync().warnings == ()
    assert c.shown() == a.shown()
    c.registry.close()


def test_who_follows_when_the_old_place_is_gone_sends_its_own_again(pair: tuple[Machine, Machine], place: Path) -> None:
    a, b = pair
    ink = filled(pair)
    moving.migrate(a.registry, "r", str(place / "new"))
    edits.edit(b.registry, ink, ink, {"rating": "2"})
    b.add_lora("late", seed=7)
    b.sync()
    shutil.rmtree(place / "remote")
    moving.follow(b.registry, "r", str(place / "new"))
    for machine in (b, a):
        machine.sync(deep=True)
    assert library.show(a.registry, ink).rating == 2
    assert {row.name for row in library.list_models(a.registry)} == {"ink", "late"}
    assert check(a.registry, "r") == []


def test_stopped_at_every_write_it_goes_on_and_both_places_stay_whole(
    pair: tuple[Machine, Machine], place: Path
) -> None:
    a, b = pair
    ink = filled(pair)
    for stop in range(1, 40):
        (place / "new").mkdir(exist_ok=True)
        writes = 0

        def die(operation: str, _key: str) -> None:
            nonlocal writes
            writes += operation in {"put", "put_stream", "create"}
            if writes == stop:  # noqa: B023 - called in this round
                raise CancelledError("killed", "")

        try:
            moving.migrate(a.registry, "r", str(place / "new"), target=WatchedStorage(place / "new", before=die))
        except CancelledError:
            assert find(a.registry, "r").location == str(place / "remote")
            assert check(a.registry, "r") == []
            continue
        break
    assert stop > 1
    edits.edit(a.registry, ink, ink, {"rating": "5"})
    a.sync()
    moving.follow(b.registry, "r", str(place / "new"))
    b.sync()
    assert a.shown() == b.shown()
    assert check(b.registry, "r") == []


def test_only_an_empty_place_or_this_remote_itself_is_written_to(pair: tuple[Machine, Machine], place: Path) -> None:
    a, _ = pair
    filled(pair)
    (place / "full").mkdir()
    (place / "full" / "holiday.jpg").touch()
    other = Machine(place, "other", place / "theirs")
    for taken in ("full", "theirs"):
        before = sorted(path.name for path in (place / taken).rglob("*"))
        with pytest.raises(HubError):
            moving.migrate(a.registry, "r", str(place / taken))
        assert sorted(path.name for path in (place / taken).rglob("*")) == before
    with pytest.raises(UsageError):
        moving.migrate(a.registry, "r", str(place / "remote"))
    with pytest.raises(HubError):
        moving.follow(a.registry, "r", str(place / "theirs"))
    other.registry.close()


def test_damaged_objects_are_not_carried_over(pair: tuple[Machine, Machine], place: Path) -> None:
    a, _ = pair
    filled(pair)
    blob = max(a.remote.glob("blob/*/*"), key=lambda path: path.stat().st_size)
    blob.write_bytes(b"x" * blob.stat().st_size)
    with pytest.raises(HubError, match="--repair"):
        moving.migrate(a.registry, "r", str(place / "new"))
    assert not (place / "new" / layout.HUB).exists()
    assert not list((place / "new").rglob(blob.name))


def test_an_upgraded_remote_is_refused_by_older_versions(
    pair: tuple[Machine, Machine], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = pair
    ink = filled(pair)
    assert upgrade.upgrade(a.registry, "r") is None
    for name in ("FORMAT", "MIN_READER", "MIN_WRITER", "NEWEST"):
        monkeypatch.setattr(layout, name, 3)
    hub = upgrade.upgrade(a.registry, "r")
    assert hub is not None
    assert (hub.format, hub.min_reader, hub.min_writer) == (3, 3, 3)
    assert hub.repo == find(a.registry, "r").repo
    monkeypatch.undo()
    edits.edit(b.registry, ink, ink, {"rating": "1"})
    with pytest.raises(HubError, match="newer hubman"):
        b.sync()
    monkeypatch.setenv("HUBMAN_HOME", str(b.home))
    assert run(["sync", "r"]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1
    (b.remote / layout.HUB).write_bytes(msgspec.json.encode({**msgspec.to_builtins(hub), "format": 1, "min_reader": 1}))
    with pytest.raises(HubError, match="newer hubman"):
        upgrade.upgrade(b.registry, "r")


def test_the_commands_migrate_follow_and_upgrade(
    pair: tuple[Machine, Machine], place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = pair
    filled(pair)
    monkeypatch.setenv("HUBMAN_HOME", str(a.home))
    assert run(["remote", "migrate", "r", str(place / "new")]) == 0
    assert run(["remote", "upgrade", "r"]) == 0
    assert run(["remote", "migrate", "r", str(place / "new")]) == 2
    monkeypatch.setenv("HUBMAN_HOME", str(b.home))
    assert run(["remote", "add", "r", str(place / "new")]) == 0
    assert "is at" in capsys.readouterr().out
    assert find(b.registry, "r").location == str(place / "new")
    assert run(["sync"]) == 0
