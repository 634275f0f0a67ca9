"""Ways to lose the last copy of something, each closed by a rule of its own."""

from __future__ import annotations

import contextlib
from pathlib import Path

import msgspec
import pytest

from hubman.sync.care import check
from hubman.sync.care.gc import gc
from hubman.sync.policies import removing
from hubman.sync.records import growth, layout
from hubman.sync.storages.folder import FolderStorage
from registry import edits, scan
from registry.database import Registry
from registry.errors import HubError
from tests.support.clocks import DAY_MS, Clock
from tests.support.machines import Machine, WatchedStorage, settle, sha256_of


def blobs(one: Machine) -> set[str]:
    return {path.name for path in (one.remote / "blob").rglob("*") if path.is_file()}


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def marked_trash(pair: tuple[Machine, Machine], time: Clock) -> str:
    """A model that was in the trash so long that its weights are written down to be deleted; the model's id."""
    a, _ = pair
    ink = a.add_lora("ink", seed=1)
    settle(pair)
    edits.trash(a.registry, ink)
    settle(pair)
    time.ms += 31 * DAY_MS
    assert gc(a.registry, "r", apply=True).marked == 1
    return ink


def test_what_is_taken_out_of_the_trash_while_garbage_is_collected_stays(
    pair: tuple[Machine, Machine], time: Clock
) -> None:
    a, _ = pair
    ink = marked_trash(pair, time)
    settle(pair, 1, deep=True)
    time.ms += 31 * DAY_MS
    before = blobs(a)

    def restore(operation: str, key: str) -> None:
        if operation == "entries" and key == layout.MARKS:
            # Another process of this machine: no lock keeps a person from editing.
            with contextlib.closing(Registry(a.home)) as other:
                edits.restore(other, ink)

    gc(a.registry, "r", apply=True, storage=WatchedStorage(a.remote, after=restore))
    assert blobs(a) == before


def test_a_machine_whose_head_is_lost_is_waited_for(pair: tuple[Machine, Machine], time: Clock) -> None:
    a, b = pair
    marked_trash(pair, time)
    a.sync(deep=True)
    time.ms += 31 * DAY_MS
    (a.remote / "heads" / b.device).unlink()
    found = gc(a.registry, "r", apply=True)
    assert (found.deleted, len(found.waits_for)) == (0, 1)


@pytest.mark.parametrize("harm", ["another remote", "newer format"])
def test_garbage_of_a_place_that_is_not_ours_to_write_is_left_alone(
    pair: tuple[Machine, Machine], time: Clock, harm: str
) -> None:
    a, _ = pair
    path = a.remote / layout.HUB
    hub = msgspec.json.decode(path.read_bytes())
    path.write_bytes(
        msgspec.json.encode({**hub, **({"repo": "x" * 26} if harm == "another remote" else {"min_writer": 3})})
    )
    a.add_picture(a.add_lora("ink"), b"picture")
    before = files_of(a.remote)
    with pytest.raises(HubError, match="another remote" if harm == "another remote" else "newer hubman"):
        gc(a.registry, "r", apply=True)
    with pytest.raises(HubError):
        check.check_and_repair(a.registry, "r")
    assert files_of(a.remote) == before


def test_what_is_written_down_as_garbage_is_not_let_go_of(pair: tuple[Machine, Machine], time: Clock) -> None:
    _, b = pair
    ink = marked_trash(pair, time)
    edits.restore(b.registry, ink)
    settle((b,), 1)
    # Somebody deletes what is in the list at any moment.
    result = removing.drop(b.registry, [ink])
    assert result.files == 0
    assert "garbage" in result.problems[0]


def test_what_changes_while_the_remote_is_asked_is_not_deleted(pair: tuple[Machine, Machine]) -> None:
    a, _ = pair
    ink = a.add_lora("ink")
    a.sync()
    path = a.registry.models_folder / "ink.safetensors"
    real = FolderStorage.size

    def trained_again(storage: FolderStorage, key: str) -> int | None:
        path.write_bytes(b"better")
        return real(storage, key)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FolderStorage, "size", trained_again)
        assert removing.drop(a.registry, [ink]).files == 0
    assert path.read_bytes() == b"better"


def test_gc_and_check_agree_on_what_is_spoken_of(pair: tuple[Machine, Machine], time: Clock) -> None:
    a, b = pair
    marked_trash(pair, time)
    settle(pair, 1, deep=True)
    time.ms += 31 * DAY_MS
    assert gc(a.registry, "r", apply=True).deleted == 1
    for machine in pair:
        assert [one for one in check.check(machine.registry, "r") if one.level != "note"] == []
    assert check.check_and_repair(b.registry, "r").done == []
    assert blobs(a) == set()


@pytest.mark.parametrize("who", [0, 1])
def test_what_comes_out_of_the_trash_after_its_file_was_collected_goes_up_again(
    pair: tuple[Machine, Machine], time: Clock, who: int
) -> None:
    a, b = pair
    ink = marked_trash(pair, time)
    (b.registry.models_folder / "ink.safetensors").unlink()
    scan.scan(b.registry)
    settle(pair, 2, deep=True)
    time.ms += 31 * DAY_MS
    assert gc(a.registry, "r", apply=True).deleted == 1
    edits.restore(pair[who].registry, ink)
    settle(pair)
    assert len(blobs(a)) == 1


def test_a_disk_that_goes_away_under_a_sync_takes_nothing_for_sent(pair: tuple[Machine, Machine], place: Path) -> None:
    """What was written under the mount point meanwhile does not make the folder there a remote."""
    a, _ = pair
    ink = a.add_lora("ink")
    disk = place / "disk"

    def pulled_out(operation: str, key: str) -> None:
        if operation == "put_stream" and not disk.exists():
            a.remote.rename(disk)
            a.remote.mkdir()

    a.sync(storage=WatchedStorage(a.remote, before=pulled_out))
    edits.edit(a.registry, ink, ink, {"rating": "3"})
    with pytest.raises(HubError, match="is the disk mounted"):
        a.sync()


@pytest.mark.parametrize("deep", [False, True])
def test_a_remote_of_a_newer_format_gets_no_snapshot_and_loses_no_batch(
    pair: tuple[Machine, Machine], time: Clock, monkeypatch: pytest.MonkeyPatch, deep: bool
) -> None:
    a, _ = pair
    a.add_lora("ink")
    settle(pair)
    path = a.remote / layout.HUB
    path.write_bytes(msgspec.json.encode({**msgspec.json.decode(path.read_bytes()), "min_writer": 3}))
    monkeypatch.setattr(growth, "MAX_BATCHES", 0)
    monkeypatch.setattr(growth, "DELAY_MS", 0)
    before = files_of(a.remote)
    a.sync(deep=deep)
    a.sync(deep=deep)
    assert files_of(a.remote) == before


def test_one_file_that_finds_no_place_keeps_no_other_from_coming(pair: tuple[Machine, Machine]) -> None:
    a, b = pair
    for number, name in enumerate(("ink", "late")):
        a.add_lora(name, seed=number)
    a.sync()
    ink = sha256_of(a.registry.models_folder / "ink.safetensors")
    b.registry.models_folder.mkdir(exist_ok=True)
    for name in ("ink", f"ink-{ink[:8]}", f"ink-{ink}", f"ink_{ink[:8]}", f"ink_{ink}", f"ink.{ink[:8]}", f"ink.{ink}"):
        (b.registry.models_folder / f"{name}.safetensors").write_bytes(b"another one")
    assert any("no free name" in warning for warning in b.sync().warnings)
    assert (b.registry.models_folder / "late.safetensors").exists()


def test_a_planted_link_gives_nothing_of_this_machine_to_the_remote(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hunter2")
    remote = tmp_path / "remote"
    remote.mkdir()
    (remote / ".stignore").symlink_to(tmp_path / "secret")
    Machine(tmp_path, "a", remote).registry.close()
    assert "hunter2" not in (remote / ".stignore").read_text()
    assert (tmp_path / "secret").read_text() == "hunter2"
