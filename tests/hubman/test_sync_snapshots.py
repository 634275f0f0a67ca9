"""Snapshots stand in for logs: who is new or late reads one, who has two old ones trims, and nothing is lost."""

from __future__ import annotations

import shutil
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hubman.sync import run
from hubman.sync.care import devices
from hubman.sync.merge import Merger
from hubman.sync.opening import opened
from hubman.sync.records import batches, growth, layout, snapshot, snapshots
from registry import changes, clock, edits, library
from tests.support.clocks import DAY_MS, Clock
from tests.support.library_factory import fill
from tests.support.machines import Machine, WatchedStorage, quick_folder, settle


@pytest.fixture
def time(time: Clock, monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Snapshots are due after three batches and at once, and heads name two batches."""
    monkeypatch.setattr(growth, "MAX_BATCHES", 3)
    monkeypatch.setattr(growth, "DELAY_MS", 0)
    monkeypatch.setattr(layout, "TAIL", 2)
    return time


def machine(place: Path, name: str) -> Machine:
    return Machine(place, name, place / "remote")


def edit_often(one: Machine, model: str, times: int) -> None:
    for number in range(times):
        edits.edit(one.registry, model, model, {"rating": str(number % 5 + 1), "notes": f"note {number}"})
        one.sync()


def names(place: Path, part: str) -> list[str]:
    return sorted(path.name for path in (place / "remote" / part).glob("*"))


def test_a_new_machine_reads_the_snapshot_and_only_the_batches_behind_it(place: Path, time: Clock) -> None:
    a = machine(place, "a")
    ink = a.add_lora("ink")
    library.update_set(a.registry, ink, "tags", add=["kept", "dropped"])
    library.update_set(a.registry, ink, "tags", remove=["dropped"])
    edit_often(a, ink, 6)
    assert len(names(place, "snap")) == 1
    storage = WatchedStorage(place / "remote")
    b = machine(place, "b")
    assert b.sync(storage=storage).warnings == ()
    a.sync()
    assert a.state() == b.state()
    assert a.shown() == b.shown()
    read = [seq for (seq,) in b.registry.db.execute("SELECT name FROM received")]
    assert 0 < len(read) < len(names(place, f"log/{a.device}"))
    # Later syncs go on from the snapshot's end, deep ones too, and do not take the batches in it for a copy's.
    edit_often(a, ink, 1)
    assert b.sync().warnings == b.sync(deep=True).warnings == ()
    assert a.state() == b.state()


def test_one_machine_writes_and_the_others_see_it_and_wait(place: Path, time: Clock) -> None:
    a, b = machine(place, "a"), machine(place, "b")
    ink = a.add_lora("ink")
    settle([a, b])
    for number in range(3):
        edits.edit(a.registry, ink, ink, {"rating": str(number + 1)})
        a.sync()
    assert len(names(place, "snap")) == 1
    b.sync()
    assert len(names(place, "snap")) == 1


def test_batches_that_two_old_snapshots_cover_go_and_a_late_machine_misses_nothing(place: Path, time: Clock) -> None:
    a = machine(place, "a")
    ink = a.add_lora("ink")
    late = machine(place, "late")
    settle([a, late])
    library.write_text(late.registry, ink, "notes", "written offline")
    before = len(names(place, f"log/{late.device}"))
    for _ in range(2):
        edit_often(a, ink, 5)
        time.pass_days(8)
    assert len(names(place, f"log/{a.device}")) > 10
    a.sync(deep=True)
    # Only what both have, and only its own.
    assert 0 < len(names(place, f"log/{a.device}")) < 8
    assert len(names(place, f"log/{late.device}")) == before
    assert a.sync(deep=True).warnings == ()
    assert late.sync().warnings == ()
    a.sync()
    assert a.state() == late.state()
    assert a.shown() == late.shown()
    assert "written offline" in (library.show(a.registry, ink).notes or "")
    assert [one for one in run.check(a.registry) if one.level != "note"] == []
    newcomer = machine(place, "new")
    assert newcomer.sync().warnings == ()
    assert newcomer.shown() == a.shown()


@pytest.mark.parametrize("harm", ["young", "damaged", "alone"])
def test_without_two_old_and_whole_snapshots_every_batch_stays(place: Path, time: Clock, harm: str) -> None:
    a = machine(place, "a")
    ink = a.add_lora("ink")
    for _ in range(1 if harm == "alone" else 2):
        edit_often(a, ink, 5)
        time.pass_days(8)
    if harm == "young":
        time.pass_days(-8)
    if harm == "damaged":
        newest = max((place / "remote" / "snap").iterdir())
        newest.write_bytes(newest.read_bytes()[:-3])
    count = len(names(place, f"log/{a.device}"))
    a.sync(deep=True)
    assert len(names(place, f"log/{a.device}")) == count


@pytest.mark.parametrize(("fate", "goes"), [("used", False), ("away", True), ("forgotten", True)])
def test_the_log_of_a_machine_that_is_gone_is_trimmed_by_any_other(
    place: Path, time: Clock, fate: str, goes: bool
) -> None:
    a, b = machine(place, "a"), machine(place, "b")
    ink = a.add_lora("ink")
    settle([a, b])
    count = len(names(place, f"log/{b.device}"))
    edit_often(a, ink, 5)
    if fate == "forgotten":
        devices.retire(a.registry, b.device)
    time.pass_days(200 if fate == "away" else 8)
    edit_often(a, ink, 5)
    time.pass_days(8)
    a.sync(deep=True)
    assert (len(names(place, f"log/{b.device}")) < count) == goes


def test_the_newest_three_snapshots_and_two_old_ones_are_kept(place: Path, time: Clock) -> None:
    a = machine(place, "a")
    ink = a.add_lora("ink")
    for days in (0, 5, 5, 5, 1, 1, 1):
        time.pass_days(days)
        edit_often(a, ink, 4)
    ages = [(time.ms - clock.stamp_ms(name)) // DAY_MS for name in names(place, "snap")]
    assert ages in ([8, 3, 2, 1, 0], [13, 8, 3, 2, 1, 0])


def _lines(path: Path) -> list[bytes]:
    return zlib.decompress(path.read_bytes()).split(b"\n")


def _forge(place: Path, lines: list[bytes], *, name: str = "") -> None:
    body = zlib.compress(b"\n".join(lines))
    stamp = f"{(clock.wall_ms() + DAY_MS) << 16:016x}-{'f' * 16}"
    (place / "remote" / "snap" / (name or f"{stamp}-{layout.hash32(body)}")).write_bytes(body)


@pytest.mark.parametrize("kind", ["torn", "bomb", "long line", "no header", "covers too much", "no json", "junk"])
def test_a_bad_snapshot_is_passed_over_for_an_older_one(place: Path, time: Clock, kind: str) -> None:
    a = machine(place, "a")
    ink = a.add_lora("ink")
    edit_often(a, ink, 6)
    (good,) = (place / "remote" / "snap").iterdir()
    header = _lines(good)[0]
    evil = b'["set","x","user.rating",5,"%s"]' % (b"0" * 16 + b"-" + b"f" * 16)
    if kind == "torn":
        _forge(place, [header, evil], name=f"{'f' * 16}-{'f' * 16}-{'0' * 32}")
    elif kind == "bomb":
        _forge(place, [header, evil, *[b" " * 200_000] * 600])
    elif kind == "long line":
        _forge(place, [header, evil, b" " * (batches.LINE_CAP + 1)])
    elif kind == "no header":
        _forge(place, [evil])
    elif kind == "covers too much":
        _forge(place, [b'{"v":1,"covers":{"%s":999}}' % a.device.encode(), evil])
    elif kind == "no json":
        _forge(place, [header, b"{"])
    else:
        shutil.copy(good, good.with_name(good.name + ".conflict"))
    b = machine(place, "b")
    settle([b, a], 1)
    assert a.state() == b.state()
    assert not b.registry.db.execute("SELECT 1 FROM facts WHERE item = 'x'").fetchone()


_EDITS = st.lists(
    st.tuples(st.sampled_from("ab"), st.sampled_from(["rate", "tag", "untag", "note", "trash", "unknown", "sync"])),
    min_size=4,
    max_size=12,
)


def _do(one: Machine, model: str, what: str, number: int) -> None:
    if what == "rate":
        edits.edit(one.registry, model, model, {"rating": str(number % 5 + 1)})
    elif what == "tag":
        library.update_set(one.registry, model, "tags", add=[f"t{number % 3}"])
    elif what == "untag":
        library.update_set(one.registry, model, "tags", remove=[f"t{number % 3}"])
    elif what == "note":
        library.write_text(one.registry, model, "notes", f"note {number}")
    elif what == "trash":
        edits.trash(one.registry, model)
    elif what == "unknown":
        with one.registry.transaction() as db:
            changes.record(db, [["later", number, {"x": [2]}]])
    else:
        one.sync()


@settings(max_examples=8, deadline=None)
@given(_EDITS, st.integers(0, 11))
def test_a_snapshot_and_what_follows_are_the_whole_log(template: Path, made: list[tuple[str, str]], at: int) -> None:
    with quick_folder(template.parent) as place:
        two = {name: machine(place, name) for name in "ab"}
        ink = two["a"].add_lora("ink")
        settle(two.values())
        for number, (name, what) in enumerate(made):
            _do(two[name], ink, what, number)
            if number == at:
                two[name].sync()
                with opened(two[name].registry, "r") as session:
                    snapshots.write(session)
        settle(two.values())
        full = machine(place, "full")
        full.sync()
        late = machine(place, "late")
        with opened(late.registry, "r") as session:
            for entry in snapshots.listed(session):
                with snapshot.fetched(session, entry) as found:
                    Merger(session.registry, session.remote).apply_snapshot(found.covers, found.portions())
        settle([late, full, two["a"]], 2)
        assert late.state() == full.state() == two["a"].state()
        assert late.shown() == full.shown()
        unknown = [
            sorted(map(tuple, one.registry.db.execute("SELECT body FROM unknown_changes"))) for one in (late, full)
        ]
        assert unknown[0] == unknown[1]
        for one in (*two.values(), full, late):
            one.registry.close()


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("laws") / "x"


def test_requests_do_not_depend_on_the_size_of_the_collection(place: Path) -> None:
    costs = []
    for count in (3, 300):
        base = place / str(count)
        base.mkdir()
        a = machine(base, "a")
        models = fill(a.registry, count)
        a.sync()
        b = machine(base, "b")
        settle([a, b])
        a.registry.db.execute("DELETE FROM blob_queue")
        b.registry.db.execute("DELETE FROM blob_queue")
        counted = []
        for one, rating in ((a, ""), (a, "3"), (b, ""), (b, "")):
            if rating:
                edits.edit(one.registry, models[0], models[0], {"rating": rating})
            storage = WatchedStorage(base / "remote")
            one.sync(storage=storage)
            counted.append(storage.counts)
        costs.append(counted)
    assert costs[0] == costs[1]


@pytest.mark.parametrize("kind", ["has what no other has", "can't be read"])
def test_an_old_snapshot_stays_unless_others_are_known_to_have_all_of_it(place: Path, time: Clock, kind: str) -> None:
    a = machine(place, "a")
    ink = a.add_lora("ink")
    body = zlib.compress(b'{"v":1,"covers":{"%s":7}}' % (b"c" * 16))
    # The log that it covers may be gone: then it is all that is left of it.
    old = f"{(time.ms - 30 * DAY_MS) << 16:016x}-{'c' * 16}-{layout.hash32(body)}"
    (place / "remote" / "snap").mkdir()
    (place / "remote" / "snap" / old).write_bytes(body if kind == "has what no other has" else body[:-1])
    for days in (0, 5, 5, 5, 1, 1, 1):
        time.pass_days(days)
        edit_often(a, ink, 4)
    assert len(names(place, "snap")) < 8
    assert old in names(place, "snap")
