"""Remotes that this machine only reads: because it was told to, because it may not write, or is too old to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from hubman.cli.main import run
from hubman.sync import remotes
from hubman.sync.records import layout
from hubman.sync.run import sync
from hubman.sync.storages.storage import RefusedError
from registry import edits, library
from registry.database import Registry
from registry.errors import HubError, UsageError
from tests.support.machines import Machine, WatchedStorage

WRITES = {"put", "create", "put_stream", "delete"}


@pytest.fixture
def studio(place: Path) -> Iterator[Machine]:
    machine = Machine(place, "studio", place / "remote")
    yield machine
    machine.registry.close()


def files_of(folder: Path) -> dict[Path, tuple[int, int]]:
    return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in folder.rglob("*")}


def test_a_freelancer_pulls_a_studios_library_and_writes_nothing_there(studio: Machine, place: Path) -> None:
    ink = studio.add_lora("ink")
    edits.edit(studio.registry, ink, ink, {"rating": "4"})
    studio.sync()
    before = files_of(studio.remote)
    with Registry(place / "guest") as guest:
        remotes.add(guest, "studio", str(studio.remote), read_only=True)
        watched = WatchedStorage(studio.remote)
        result = sync(guest, "studio", storage=watched)
        assert (result.downloaded, result.warnings) == (1, ())
        edits.edit(guest, ink, ink, {"notes": "mine alone"})
        for deep in (False, True):
            assert sync(guest, "studio", storage=watched, deep=deep).sent_changes == 0
        assert library.show(guest, ink).rating == 4
        assert not WRITES & set(watched.counts)
        assert files_of(studio.remote) == before
        edits.edit(studio.registry, ink, ink, {"rating": "5"})
        studio.sync()
        sync(guest, "studio")
        assert (library.show(guest, ink).rating, library.show(guest, ink).notes) == (5, "mine alone")
        assert guest.db.execute("SELECT count(*) FROM outbox").fetchone()[0] == 0


def test_what_a_studio_says_goes_on_to_a_guests_own_remote_and_nothing_comes_back(studio: Machine, place: Path) -> None:
    ink = studio.add_lora("ink")
    studio.sync()
    guest = Machine(place, "guest", place / "own")
    remotes.add(guest.registry, "studio", str(studio.remote), read_only=True)
    sync(guest.registry, "studio")
    edits.edit(guest.registry, ink, ink, {"rating": "2"})
    sync(guest.registry, "studio")
    guest.sync()
    laptop = Machine(place, "laptop", place / "own")
    laptop.sync()
    assert library.show(laptop.registry, ink).rating == 2
    studio.sync(deep=True)
    assert library.show(studio.registry, ink).rating == 0
    laptop.registry.close()
    guest.registry.close()


def test_reading_needs_a_remote_that_is_there_and_makes_none(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "empty").mkdir()
    with Registry(place / "guest") as guest:
        with pytest.raises(HubError, match="holds no remote to read"):
            remotes.add(guest, "studio", str(place / "empty"), read_only=True)
        with pytest.raises(UsageError, match="is not there"):
            remotes.add(guest, "studio", str(place / "nothing"), read_only=True)
    assert not list((place / "empty").iterdir())
    assert not (place / "nothing").exists()
    monkeypatch.setenv("HUBMAN_HOME", str(place / "guest"))
    assert run(["remote", "add", "studio", str(place / "empty"), "--read-only"]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_store_that_refuses_writes_is_told_and_still_read(studio: Machine, place: Path) -> None:
    ink = studio.add_lora("ink")
    studio.sync()
    guest = Machine(place, "guest", studio.remote)
    guest.add_lora("own", seed=2)

    def refuse(operation: str, key: str) -> None:
        if operation in WRITES:
            raise RefusedError(f"{key} was refused", "check your access key")

    refusing = WatchedStorage(studio.remote, before=refuse)
    result = guest.sync(storage=refusing)
    assert (result.downloaded, result.uploaded, result.sent_changes) == (1, 0, 0)
    assert ["only read" in warning and "--read-only" in warning for warning in result.warnings] == [True]
    assert library.show(guest.registry, ink).name == "ink"
    # The key has been mended: nothing of what was done here was lost.
    assert guest.sync().uploaded == 1
    studio.sync()
    assert {row.name for row in library.list_models(studio.registry)} == {"ink", "own"}
    guest.registry.close()


def test_a_folder_without_permission_to_write_counts_as_refusing(
    studio: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    def refuse(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    ink = studio.add_lora("ink")
    studio.sync()
    edits.edit(studio.registry, ink, ink, {"rating": "1"})
    monkeypatch.setattr(os, "mkdir", refuse)
    monkeypatch.setattr(os, "rename", refuse)
    monkeypatch.setattr(os, "link", refuse)
    assert ["only read" in warning for warning in studio.sync().warnings] == [True]
    monkeypatch.undo()
    assert studio.sync().warnings == ()


def test_an_older_hubman_reads_what_it_may_no_longer_write(studio: Machine, place: Path) -> None:
    ink = studio.add_lora("ink")
    studio.sync()
    other = Machine(place, "other", studio.remote)
    other.sync()
    path = studio.remote / layout.HUB
    hub = path.read_bytes()
    path.write_bytes(msgspec.json.encode({**msgspec.json.decode(hub), "min_writer": 3}))
    before = files_of(studio.remote)
    edits.edit(other.registry, ink, ink, {"rating": "3"})
    assert ["update hubman" in warning for warning in other.sync().warnings] == [True]
    assert other.sync(deep=True).warnings
    assert files_of(studio.remote) == before
    path.write_bytes(hub)
    assert other.sync().warnings == ()
    studio.sync()
    assert library.show(studio.registry, ink).rating == 3
    other.registry.close()
