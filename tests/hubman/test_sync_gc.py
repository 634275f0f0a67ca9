"""Blobs that nobody speaks of go in two steps a month apart; what anybody speaks of, or might, stays."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest

from hubman.cli.main import main
from hubman.sync.care import devices
from hubman.sync.care.gc import Collected, gc
from hubman.sync.records import layout
from registry import changes, edits, library, projection
from registry.errors import HubError
from tests.support.clocks import Clock
from tests.support.machines import Machine, WatchedStorage, settle, sha256_of


@pytest.fixture
def pair(place: Path, time: Clock) -> tuple[Machine, Machine]:
    """Two machines that share a model of two pictures, of which one was removed."""
    a, b = Machine(place, "a", place / "remote"), Machine(place, "b", place / "remote")
    ink = a.add_lora("ink", seed=1)
    a.add_picture(ink, b"shown")
    removed = a.add_picture(ink, b"removed")
    settle([a, b])
    library.update_set(a.registry, ink, "previews", remove=[removed])
    settle([a, b])
    return a, b


def blobs(one: Machine) -> set[str]:
    return {path.name for path in (one.remote / "blob").rglob("*") if path.is_file()}


def marks(one: Machine) -> list[Path]:
    return sorted((one.remote / "gc").glob("*"))


def collect(one: Machine, **options: object) -> Collected:
    return gc(one.registry, "r", apply=True, **options)  # type: ignore[arg-type]


def heads_move(*machines: Machine) -> None:
    """A sync of the day, after which every head is newer than the marks."""
    for machine in machines:
        machine.sync(deep=True)


def test_nothing_is_written_or_deleted_without_apply(pair: tuple[Machine, Machine]) -> None:
    a, _ = pair
    storage = WatchedStorage(a.remote)
    found = gc(a.registry, "r", storage=storage)
    assert (found.applied, found.marked, found.marked_bytes, found.deleted) == (False, 1, len(b"removed"), 0)
    assert storage.writes == []
    assert storage.counts["delete"] == 0


def test_what_nobody_speaks_of_goes_after_a_month_and_all_else_stays(
    pair: tuple[Machine, Machine], time: Clock
) -> None:
    a, b = pair
    before = blobs(a)
    assert collect(a).marked == 1
    heads_move(a, b)
    time.pass_days(29)
    found = collect(a)
    assert (found.deleted, found.marked, found.waiting) == (0, 0, 1)
    assert blobs(a) == before
    time.pass_days(2)
    found = collect(b)
    assert (found.deleted, found.deleted_bytes, found.waits_for) == (1, len(b"removed"), ())
    assert len(before - blobs(a)) == 1
    assert marks(a) == []
    c = Machine(a.home.parent, "c", a.remote)
    assert c.sync().warnings == ()
    assert c.shown() == a.shown()


def test_every_machine_in_use_must_have_told_what_it_knew(pair: tuple[Machine, Machine], time: Clock) -> None:
    a, b = pair
    collect(a)
    time.pass_days(31)
    heads_move(a)
    found = collect(a)
    assert (found.deleted, len(found.waits_for)) == (0, 1)
    # Forgotten, or not heard of for half a year, it is not waited for.
    devices.retire(a.registry, b.device)
    assert collect(a).deleted == 1


def test_a_machine_away_for_half_a_year_is_not_waited_for(pair: tuple[Machine, Machine], time: Clock) -> None:
    a, _ = pair
    collect(a)
    time.pass_days(181)
    heads_move(a)
    assert collect(a).deleted == 1


def test_what_is_spoken_of_again_within_the_month_stays(pair: tuple[Machine, Machine], time: Clock) -> None:
    a, b = pair
    collect(a)
    (ink,) = library.model_ids(b.registry, "")
    b.add_picture(library.show(b.registry, ink).versions[0].id, b"removed")
    heads_move(b, a)
    time.pass_days(31)
    assert collect(a).deleted == 0
    assert marks(a) == []


def test_who_relies_on_a_candidate_sends_it_again(pair: tuple[Machine, Machine]) -> None:
    a, b = pair
    collect(a)
    (ink,) = library.model_ids(b.registry, "")
    picture = b.add_picture(library.show(b.registry, ink).versions[0].id, b"removed")
    shown = b.add_picture(library.show(b.registry, ink).versions[0].id, b"shown")
    storage = WatchedStorage(b.remote)
    b.sync(storage=storage)
    written = [key.rpartition("/")[2] for key in storage.writes if key.startswith("blob/")]
    assert picture in written
    assert shown not in written


def test_weights_go_when_their_model_was_in_the_trash_for_a_month(pair: tuple[Machine, Machine], time: Clock) -> None:
    a, b = pair
    (ink,) = library.model_ids(a.registry, "")
    weights = sha256_of(a.registry.models_folder / "ink.safetensors")
    edits.trash(a.registry, ink)
    settle([a, b])
    time.pass_days(20)
    collect(a)
    (mark,) = marks(a)
    assert weights not in zlib.decompress(mark.read_bytes()).decode()
    time.pass_days(20)
    collect(a)
    assert any(weights in zlib.decompress(mark.read_bytes()).decode() for mark in marks(a))


def test_what_a_newer_version_speaks_of_is_left_alone(pair: tuple[Machine, Machine], time: Clock) -> None:
    a, b = pair
    removed = next(name for name in blobs(a) if (a.remote / "blob" / name[:2] / name).read_bytes() == b"removed")
    with b.registry.transaction() as db:
        projection.rebuild(db, changes.record(db, [["later", {"picture": removed}]]))
    settle([b, a])
    assert collect(a).marked == 0


def test_nothing_is_judged_while_something_was_not_read(pair: tuple[Machine, Machine]) -> None:
    a, b = pair
    (ink,) = library.model_ids(b.registry, "")
    edits.edit(b.registry, ink, ink, {"rating": "3"})
    b.sync()
    with pytest.raises(HubError, match="has said things that were not read here"):
        collect(a)


@pytest.mark.parametrize("kind", ["torn", "other keys", "bomb"])
def test_by_a_bad_list_nothing_is_deleted(pair: tuple[Machine, Machine], time: Clock, kind: str) -> None:
    a, b = pair
    stamp = f"{time.ms << 16:016x}-{a.device}"
    keys = ["heads/" + b.device] if kind == "other keys" else [f"blob/{name[:2]}/{name}" for name in blobs(a)]
    body = zlib.compress("\n".join(keys).encode() if kind != "bomb" else b" " * (80 << 20))
    name = f"{stamp}-{layout.hash32(body)}"
    (a.remote / "gc").mkdir()
    (a.remote / "gc" / name).write_bytes(body[:-1] if kind == "torn" else body)
    before = blobs(a)
    heads_move(a, b)
    time.pass_days(31)
    found = collect(a)
    assert (found.deleted, blobs(a)) == (0, before)
    assert (a.remote / "heads" / b.device).exists()


def test_others_sync_while_it_deletes(pair: tuple[Machine, Machine], time: Clock) -> None:
    a, b = pair
    collect(a)
    heads_move(a, b)
    time.pass_days(31)
    (ink,) = library.model_ids(b.registry, "")

    def b_speaks(operation: str, key: str) -> None:
        if operation == "entries" and key == layout.BLOBS:
            b.add_picture(library.show(b.registry, ink).versions[0].id, b"removed")
            b.sync()

    with pytest.raises(HubError, match="not read here"):
        collect(a, storage=WatchedStorage(a.remote, after=b_speaks))
    a.sync()
    assert collect(a).deleted == 0
    assert b"removed" in {path.read_bytes() for path in (a.remote / "blob").rglob("*") if path.is_file()}


def test_the_command_says_what_it_would_do_and_does_it(
    pair: tuple[Machine, Machine], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    a, _ = pair
    monkeypatch.setenv("HUBMAN_HOME", str(a.home))
    for arguments, there in ((["remote", "gc", "r"], 0), (["remote", "gc", "r", "--apply", "--json"], 1)):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert (ended.value.code or 0, len(marks(a))) == (0, there)
    assert "1 blob (7 B) would be written down" in capsys.readouterr().out
