"""A database that was restored from a backup or copied goes on as a new device, and loses nothing."""

from __future__ import annotations

import shutil
from pathlib import Path

from hubman.sync.care.check import check
from registry import edits, library
from registry.database import Registry
from tests.support.machines import Machine, WatchedStorage, settle


def back_up(machine: Machine) -> Path:
    machine.registry.close()
    copy = machine.home.with_name(machine.home.name + "-backup")
    shutil.copytree(machine.home, copy)
    machine.restart()
    return copy


def restore(machine: Machine, copy: Path) -> None:
    machine.registry.close()
    shutil.rmtree(machine.home)
    copy.rename(machine.home)
    machine.restart()


def test_a_restored_backup_gets_back_what_it_had_sent(pair: tuple[Machine, Machine]) -> None:
    a, b = pair
    ink = a.add_lora("ink")
    settle(pair)
    copy, old = back_up(a), a.device
    edits.edit(a.registry, ink, ink, {"rating": "4", "notes": "after the backup"})
    a.sync()
    restore(a, copy)
    library.update_set(a.registry, ink, "tags", add=["after the restore"])
    assert a.sync().new_device
    assert a.device != old
    settle(pair)
    shown = library.show(a.registry, ink)
    assert (shown.rating, shown.notes, shown.tags) == (4, "after the backup", ("after the restore",))
    assert a.shown() == b.shown()
    assert a.state() == b.state()
    assert not a.sync().new_device


def test_a_restored_backup_with_nothing_new_sent_stays_the_same_device(pair: tuple[Machine, Machine]) -> None:
    a, b = pair
    ink = a.add_lora("ink")
    settle(pair)
    copy, device = back_up(a), a.device
    edits.edit(b.registry, ink, ink, {"rating": "2"})
    settle(pair)
    restore(a, copy)
    assert not a.sync().new_device
    assert a.device == device
    assert a.shown() == b.shown()


def test_two_live_copies_part_ways_and_keep_both_their_edits(pair: tuple[Machine, Machine]) -> None:
    a, b = pair
    ink = a.add_lora("ink")
    settle(pair)
    twin = Machine.__new__(Machine)
    twin.home, twin.remote = back_up(a), a.remote
    twin.registry = Registry(twin.home)
    edits.edit(a.registry, ink, ink, {"rating": "5"})
    library.update_set(twin.registry, ink, "tags", add=["twin"])
    a.sync()
    assert twin.sync().new_device
    assert twin.device != a.device
    settle([a, b, twin])
    assert a.state() == b.state() == twin.state()
    shown = library.show(b.registry, ink)
    assert (shown.rating, shown.tags) == (5, ("twin",))
    twin.registry.close()


def test_copies_that_took_the_same_number_at_once_lose_nothing(pair: tuple[Machine, Machine]) -> None:
    a, b = pair
    ink = a.add_lora("ink")
    settle(pair)
    twin = Machine.__new__(Machine)
    twin.home, twin.remote = back_up(a), a.remote
    twin.registry = Registry(twin.home)
    edits.edit(a.registry, ink, ink, {"rating": "5"})
    library.update_set(twin.registry, ink, "tags", add=["twin"])

    def other_sync_between(operation: str, key: str) -> None:
        # Both have looked at the head before either wrote it.
        if operation == "create" and not other.writes:
            a.sync(storage=other)

    other = WatchedStorage(a.remote)
    twin.sync(storage=WatchedStorage(a.remote, before=other_sync_between))
    assert other.writes
    settle([twin, b, a])
    settle([twin, b, a])
    assert len({a.device, b.device, twin.device}) == 3
    assert a.state() == b.state() == twin.state()
    shown = library.show(b.registry, ink)
    assert (shown.rating, shown.tags) == (5, ("twin",))
    assert any("was copied" in finding.message for finding in check(b.registry, "r"))
    twin.registry.close()


def test_a_device_reads_by_a_deep_sync_what_a_copy_wrote_under_a_number_it_knows(
    pair: tuple[Machine, Machine],
) -> None:
    a, b = pair
    ink = a.add_lora("ink")
    settle(pair)
    copy = back_up(a)
    edits.edit(a.registry, ink, ink, {"rating": "5"})
    a.sync()
    b.sync()
    head = (a.remote / "heads" / a.device).read_bytes()
    # The copy writes where it can't see what the first wrote, and a carrier brings both together.
    hidden = a.remote.with_name("hidden")
    shutil.copytree(a.remote, hidden)
    restore(a, copy)
    newest = max((a.remote / "log" / a.device).iterdir())
    newest.unlink()
    (a.remote / "heads" / a.device).unlink()
    library.update_set(a.registry, ink, "tags", add=["copy"])
    a.sync()
    (a.remote / "log" / a.device / newest.name).write_bytes((hidden / "log" / a.device / newest.name).read_bytes())
    (a.remote / "heads" / a.device).write_bytes(head)
    result = b.sync(deep=True)
    assert any("was copied" in warning for warning in result.warnings)
    assert library.show(b.registry, ink).tags == ("copy",)
    settle(pair)
    assert a.state() == b.state()


def test_two_copies_that_each_find_their_own_head_are_told_apart_by_their_log(pair: tuple[Machine, Machine]) -> None:
    a, b = pair
    ink = a.add_lora("ink")
    settle(pair)
    head = a.remote / "heads" / a.device
    of_twin = head.read_bytes()
    twin = Machine.__new__(Machine)
    twin.home, twin.remote = back_up(a), a.remote
    twin.registry = Registry(twin.home)
    edits.edit(a.registry, ink, ink, {"rating": "4"})
    a.sync()
    of_a = head.read_bytes()
    head.write_bytes(of_twin)
    edits.edit(twin.registry, ink, ink, {"strength": "0.5"})
    assert not twin.sync().new_device
    head.write_bytes(of_a)
    assert not a.sync().new_device
    assert a.sync(deep=True).new_device
    settle([a, b, twin], deep=True)
    assert a.state() == b.state() == twin.state()
    shown = library.show(b.registry, ink)
    assert (shown.rating, shown.versions[0].strength) == (4, 0.5)
    twin.registry.close()
