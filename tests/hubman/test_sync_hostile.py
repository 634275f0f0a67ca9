"""A remote that is damaged, half carried, or means harm: bounded, told in a line, and never believed."""

from __future__ import annotations

import os
import shutil
import zlib
from pathlib import Path

import pytest

from hubman.sync.care.check import check
from hubman.sync.lock import BusyError, sync_lock
from hubman.sync.records import layout
from registry import changes, clock, edits, ids, library
from registry.errors import CancelledError
from tests.support.machines import Machine, WatchedStorage, settle

STRANGER = "feedfeedfeedfeed"


def stamp(milliseconds: int | None = None, device: str = STRANGER) -> str:
    return f"{(milliseconds or clock.wall_ms()) << 16:016x}-{device}"


def write_log(remote: Path, *bodies: bytes, device: str = STRANGER) -> None:
    """What a device would write whose batches hold these bytes."""
    names = [layout.batch_name(number, body) for number, body in enumerate(bodies, 1)]
    (remote / "log" / device).mkdir(parents=True, exist_ok=True)
    for name, body in zip(names, bodies, strict=True):
        (remote / "log" / device / name).write_bytes(body)
    head = layout.Head(v=1, seq=len(names), tail=names, hlc=stamp(device=device))
    (remote / "heads" / device).write_bytes(layout.encode(head))


def packed(*made: changes.Change) -> bytes:
    return zlib.compress("\n".join(changes.encode(change) for change in made).encode())


def file_change(name: str, sha256: str, size: int) -> changes.Change:
    facts = {
        "version_id": ids.item_id(sha256), "name": name, "size": size, "format": "safetensors", "autov2": sha256[:10],
        "added_at": "2026-01-01T00:00:00.000Z",
    }  # fmt: skip
    return ["file", sha256, facts]


def everything_below(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


def test_junk_and_conflict_copies_are_ignored_and_told(pair: tuple[Machine, Machine]) -> None:
    a, b = pair
    ink = a.add_lora("ink")
    settle(pair)
    heads = a.remote / "heads"
    head = (heads / a.device).read_bytes()
    junk = [
        heads / f"{a.device}.sync-conflict-20260101-120000-ABCDEFG",
        heads / f"{a.device} (conflicted copy)",
        heads / ".DS_Store",
        a.remote / "log" / a.device / "0000000099-junk",
        a.remote / "Thumbs.db",
        a.remote / ".hub-0123456789abcdef.tmp",
    ]
    for path in junk:
        path.write_bytes(head)
    edits.edit(a.registry, ink, ink, {"rating": "2"})
    settle(pair)
    assert a.shown() == b.shown()
    assert all(path.read_bytes() == head for path in junk)
    told = {finding.about for finding in check(b.registry, "r")}
    assert {str(path.relative_to(a.remote)) for path in junk} - told == {
        "heads/.DS_Store",
        ".hub-0123456789abcdef.tmp",  # told as a half-written file
    }


def test_a_batch_that_came_half_is_waited_for(pair: tuple[Machine, Machine]) -> None:
    a, b = pair
    ink = a.add_lora("ink")
    settle(pair)
    edits.edit(a.registry, ink, ink, {"rating": "1"})
    a.sync()
    edits.edit(a.registry, ink, ink, {"rating": "5"})
    a.sync()
    first, second = sorted((a.remote / "log" / a.device).iterdir())[-2:]
    whole = first.read_bytes()
    first.write_bytes(whole[:-5])
    result = b.sync()
    assert "has not arrived whole" in result.warnings[0]
    assert library.show(b.registry, ink).rating == 0
    first.unlink()
    assert "has not arrived" in b.sync().warnings[0]
    assert b.registry.db.execute("SELECT since FROM cursors WHERE problem IS NOT NULL").fetchone()[0]
    first.write_bytes(whole)
    assert b.sync().warnings == ()
    assert second.exists()
    assert library.show(b.registry, ink).rating == 5


def test_a_head_that_came_before_its_log_is_waited_for(pair: tuple[Machine, Machine]) -> None:
    a, b = pair
    ink = a.add_lora("ink")
    a.sync()
    log = a.remote / "log" / a.device
    log.rename(a.remote.parent / "carried later")
    assert "has not arrived" in b.sync().warnings[0]
    (a.remote.parent / "carried later").rename(log)
    assert b.sync().warnings == ()
    assert library.show(b.registry, ink).name == "ink"


def test_a_lost_or_old_head_is_mended_by_a_deep_sync(pair: tuple[Machine, Machine]) -> None:
    a, b = pair
    ink = a.add_lora("ink")
    settle(pair)
    old = (a.remote / "heads" / a.device).read_bytes()
    edits.edit(a.registry, ink, ink, {"rating": "3"})
    a.sync()
    (a.remote / "heads" / a.device).write_bytes(old)
    b.sync()
    assert library.show(b.registry, ink).rating == 0
    b.sync(deep=True)
    assert library.show(b.registry, ink).rating == 3
    (a.remote / "heads" / a.device).unlink()
    a.sync()
    assert (a.remote / "heads" / a.device).read_bytes() != old


def test_a_device_far_behind_reads_the_listing(pair: tuple[Machine, Machine], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "TAIL", 2)
    a, b = pair
    ink = a.add_lora("ink")
    for rating in "12345":
        edits.edit(a.registry, ink, ink, {"rating": rating})
        a.sync()
    b.sync()
    assert library.show(b.registry, ink).rating == 5
    assert a.shown() == b.shown()


def test_a_hole_in_a_listed_log_is_waited_for(pair: tuple[Machine, Machine], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "TAIL", 2)
    a, b = pair
    ink = a.add_lora("ink")
    for tag in "vwxyz":
        library.update_set(a.registry, ink, "tags", add=[tag])
        a.sync()
    second = sorted((a.remote / "log" / a.device).iterdir())[1]
    hidden = second.rename(a.remote.parent / "hidden")
    assert f"batch 2 of {len(list(second.parent.iterdir())) + 1} has not arrived" in b.sync().warnings[0]
    hidden.rename(second)
    assert b.sync().warnings == ()
    assert a.shown() == b.shown()


def test_a_stranger_with_a_bomb_holds_up_nobody_else(pair: tuple[Machine, Machine]) -> None:
    a, b = pair
    ink = a.add_lora("ink")
    a.sync()
    write_log(a.remote, zlib.compress(b"\n" * (100 << 20), 9))
    result = b.sync()
    assert any("far more than it should" in warning for warning in result.warnings)
    assert library.show(b.registry, ink).name == "ink"


def test_malformed_changes_are_kept_and_the_rest_is_applied(pair: tuple[Machine, Machine]) -> None:
    a, b = pair
    ink = a.add_lora("ink")
    bad: list[changes.Change] = [
        ["set", ink, "user.rating", {"not": "a number"}, stamp()],
        ["file", "../../x", {}],
        ["set", ink],
        ["from the future", {"x": 1}],
    ]
    a.sync()
    write_log(a.remote, packed(*bad, ["set", ink, "user.rating", 4, stamp()]))
    result = b.sync()
    assert result.strange_changes == 3
    assert library.show(b.registry, ink).rating == 4
    kept = {row[0] for row in b.registry.db.execute("SELECT body FROM unknown_changes")}
    assert kept == {changes.encode(change) for change in bad}


def test_a_clock_a_year_ahead_holds_its_own_log_only(pair: tuple[Machine, Machine]) -> None:
    a, b = pair
    ink = a.add_lora("ink")
    a.sync()
    write_log(a.remote, packed(["set", ink, "user.rating", 5, stamp(clock.wall_ms() + 400 * 86_400_000)]))
    result = b.sync()
    assert any("clock more than a year ahead" in warning for warning in result.warnings)
    assert library.show(b.registry, ink).rating == 0
    edits.edit(b.registry, ink, ink, {"rating": "1"})
    assert library.show(b.registry, ink).rating == 1


@pytest.mark.parametrize(
    "name",
    ["../../../escaped.safetensors", "/etc/cron.d/x.safetensors", "..", "C:\\x.bin", ".bashrc", "a\x00b.pt", "con"],
)
def test_no_name_leads_out_of_the_models_folder(pair: tuple[Machine, Machine], name: str) -> None:
    _, b = pair
    data = b"weights"
    sha256 = "8d92bac2ac4c7bd0a42dcfdcae9f4b0d2c9b3ddfbe1c77f6ef1c3b2d9b7a7a33"
    import hashlib

    sha256 = hashlib.sha256(data).hexdigest()
    blob = b.remote / "blob" / sha256[:2]
    blob.mkdir(parents=True)
    (blob / sha256).write_bytes(data)
    b.sync()
    write_log(b.remote, packed(file_change(name, sha256, len(data))))
    before = everything_below(b.remote.parent)
    assert b.sync().downloaded == 1
    (new,) = {path for path in everything_below(b.remote.parent) - before if path.read_bytes() == data}
    assert new.parent == b.registry.models_folder


def test_weights_of_another_content_never_get_their_place(pair: tuple[Machine, Machine]) -> None:
    a, b = pair
    ink = a.add_lora("ink")
    picture = a.add_picture(ink, b"picture")
    a.sync()
    for blob in a.remote.glob("blob/*/*"):
        blob.write_bytes(b"x" * blob.stat().st_size)
    result = b.sync()
    assert result.downloaded == 0
    assert len([warning for warning in result.warnings if "damaged on the remote" in warning]) == 2
    assert list(b.registry.models_folder.iterdir()) == []
    assert len(list((b.home / "quarantine").iterdir())) == 1
    assert not (b.registry.blobs / picture[:2] / picture).exists()
    assert [row.flags for row in library.list_models(b.registry)] == ["R"]


def test_weights_of_the_wrong_size_are_not_even_begun(pair: tuple[Machine, Machine]) -> None:
    a, b = pair
    a.add_lora("ink")
    a.sync()
    (blob,) = a.remote.glob("blob/*/*")
    blob.write_bytes(blob.read_bytes() + b"more")
    storage = WatchedStorage(b.remote)
    assert "wrong size" in b.sync(storage=storage).warnings[0]
    assert storage.counts["read_range"] == 0
    assert [finding.level for finding in check(a.registry, "r")] == ["repairable"]


def test_pipes_and_links_planted_in_the_remote_are_not_read(pair: tuple[Machine, Machine]) -> None:
    a, b = pair
    ink = a.add_lora("ink")
    settle(pair)
    os.mkfifo(a.remote / "heads" / STRANGER)
    (a.remote / "heads" / "abcdabcdabcdabcd").symlink_to(a.remote / "hub.json")
    edits.edit(a.registry, ink, ink, {"rating": "3"})
    a.sync()
    batch = max((a.remote / "log" / a.device).iterdir())
    moved = batch.rename(a.remote.parent / "elsewhere")
    batch.symlink_to(moved)
    result = b.sync()
    assert any("is or follows a link" in warning for warning in result.warnings)
    assert library.show(b.registry, ink).rating == 0
    batch.unlink()
    shutil.move(moved, batch)
    assert b.sync().warnings == ()
    assert library.show(b.registry, ink).rating == 3


def test_blobs_that_vanished_are_found_by_the_check(pair: tuple[Machine, Machine]) -> None:
    a, b = pair
    a.add_lora("ink")
    settle(pair)
    assert check(a.registry, "r") == []
    shutil.rmtree(a.remote / "blob")
    assert [(finding.level, finding.about) for finding in check(a.registry, "r")] == [("repairable", "ink.safetensors")]
    batch = min((a.remote / "log" / a.device).iterdir())
    batch.unlink()
    assert ("repairable", f"log/{a.device}/0000000001") in {(one.level, one.about) for one in check(b.registry, "r")}


def test_a_second_sync_on_the_same_registry_is_refused_at_once(pair: tuple[Machine, Machine]) -> None:
    a, _ = pair
    with sync_lock(a.registry), pytest.raises(BusyError):
        a.sync()
    a.sync()


def test_a_stopped_sync_goes_on_later(pair: tuple[Machine, Machine]) -> None:
    a, b = pair
    a.add_lora("ink")
    with pytest.raises(CancelledError):
        a.sync(should_stop=lambda: True)
    settle(pair)
    assert a.shown() == b.shown()
