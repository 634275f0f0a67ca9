"""Undo between machines: taking back is an edit that syncs, and never silently beats another machine's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from registry import collecting, edits, journal, library
from registry.errors import HubError
from registry.undo import undo
from tests.support.machines import Machine, quick_folder, settle


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[tuple[Machine, Machine, str]]:
    """Two machines that both know one LoRA."""
    with quick_folder(tmp_path) as base:
        a, b = (Machine(base, name, base / "remote") for name in "ab")
        ink = a.add_lora("ink")
        settle([a, b])
        yield a, b, ink
        a.registry.close()
        b.registry.close()


def test_an_undo_reaches_the_other_machine_with_nothing_left_of_the_edit(
    machines: tuple[Machine, Machine, str],
) -> None:
    a, b, ink = machines
    before = b.shown()
    edits.edit(a.registry, ink, ink, {"rating": "4", "notes": "soft", "tags": "ink", "trigger_words": "x, y"})
    settle([a, b])
    assert library.show(b.registry, ink).notes == "soft"
    undo(a.registry)
    settle([a, b])
    assert b.shown() == before
    assert a.shown() == before
    assert a.state() == b.state()


def test_what_a_sync_brings_is_not_in_the_journal(machines: tuple[Machine, Machine, str]) -> None:
    a, b, ink = machines
    edits.edit(a.registry, ink, ink, {"rating": "4"})
    settle([a, b])
    assert library.show(b.registry, ink).rating == 4
    assert journal.entries(b.registry) == []


def test_an_undo_does_not_take_back_a_later_edit_of_another_machine(machines: tuple[Machine, Machine, str]) -> None:
    a, b, ink = machines
    entry = edits.edit(a.registry, ink, ink, {"rating": "4", "strength": "0.7", "tags": "ink", "notes": "mine"})
    assert entry is not None
    settle([a, b])
    edits.edit(b.registry, ink, ink, {"rating": "5", "notes": "mine, and theirs"})
    settle([a, b])
    done = undo(a.registry, entry.id)
    assert {one.field for one in done.kept} == {"rating", "notes"}
    settle([a, b])
    for machine in (a, b):
        model = library.show(machine.registry, ink)
        assert (model.rating, model.notes, model.tags, model.versions[0].strength) == (5, "mine, and theirs", (), None)


def test_the_same_value_said_by_another_machine_is_an_edit_of_its_own(machines: tuple[Machine, Machine, str]) -> None:
    a, b, ink = machines
    entry = edits.edit(a.registry, ink, ink, {"rating": "4"})
    assert entry is not None
    settle([a, b])
    for rating in ("2", "4"):
        edits.edit(b.registry, ink, ink, {"rating": rating})
    settle([a, b])
    with pytest.raises(HubError, match="edited later"):
        undo(a.registry, entry.id)
    undo(a.registry, entry.id, force=True)
    settle([a, b])
    assert library.show(b.registry, ink).rating == 0


def test_a_tag_that_both_machines_gave_stays(machines: tuple[Machine, Machine, str]) -> None:
    a, b, ink = machines
    entry = edits.tag(a.registry, [ink], add=["ink", "mono"])
    assert entry is not None
    edits.tag(b.registry, [ink], add=["ink"])
    settle([a, b])
    done = undo(a.registry, entry.id)
    assert [one.reason for one in done.kept] == ["got ink by another edit too"]
    settle([a, b])
    assert library.show(b.registry, ink).tags == ("ink",), "of the two tags only the one that is a's alone goes"


def test_collections_and_their_undo_reach_the_other_machine(machines: tuple[Machine, Machine, str]) -> None:
    a, b, ink = machines
    collecting.create(a.registry, "Clients/A")
    collecting.create(b.registry, "Clients")
    collecting.put(a.registry, "Clients/A", [ink])
    collecting.put(b.registry, "Clients", [ink])
    settle([a, b])
    for machine in (a, b):
        assert [one.path for one in collecting.listed(machine.registry)] == ["Clients", "Clients/A"]
        assert library.show(machine.registry, ink).collections == ("Clients", "Clients/A")
    undo(b.registry)
    undo(b.registry)
    settle([a, b])
    assert library.show(a.registry, ink).collections == ("Clients/A",)
    assert a.shown() == b.shown()
