"""Edits of machines that did not know of each other: every machine shows them, and a choice made on one ends it on all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hubman.cli.main import run
from hubman.sync import lost, remotes
from hubman.sync.lost import LostEdit
from hubman.sync.run import sync
from registry import collecting, edits, library, projection
from registry.errors import NotFoundError, UsageError
from registry.undo import undo
from tests.support.machines import Machine, settle

pytestmark = pytest.mark.usefixtures("time")


@pytest.fixture
def three(place: Path) -> Iterator[list[Machine]]:
    """Three machines that know one LoRA, called ink."""
    machines = [Machine(place, name, place / "remote") for name in "abc"]
    machines[0].add_lora("ink")
    settle(machines, rounds=2)
    yield machines
    for machine in machines:
        machine.registry.close()


def ink(machine: Machine) -> str:
    return library.list_models(machine.registry)[0].id


def say(machine: Machine, **values: str) -> None:
    edits.edit(machine.registry, ink(machine), ink(machine), values)


def races(machine: Machine) -> list[tuple[str, object, object]]:
    return [(edit.field, edit.kept, edit.lost) for edit in lost.unseen(machine.registry)]


def only(machine: Machine) -> LostEdit:
    (edit,) = lost.unseen(machine.registry)
    return edit


def agree(machines: list[Machine]) -> None:
    settle(machines, rounds=2)
    first, *others = machines
    for other in others:
        assert first.state() == other.state()
        assert first.shown() == other.shown()
        assert sorted(races(first), key=str) == sorted(races(other), key=str)


def test_a_machine_that_edited_nothing_shows_the_race_and_can_end_it_for_all(three: list[Machine]) -> None:
    a, b, c = three
    say(a, strength="0.5")
    say(b, strength="0.9")
    settle([a, b])
    assert c.sync().lost_races == 1
    assert races(c) == [("strength", 0.9, 0.5)]
    assert [side.device for side in (only(c).mine, only(c).theirs)] == [b.device, a.device]
    lost.resolve(c.registry, only(c).id, "theirs")
    agree(three)
    assert [races(machine) for machine in three] == [[], [], []]
    assert library.show(a.registry, ink(a)).versions[0].strength == 0.5


def test_an_edit_made_in_the_knowledge_of_the_other_is_no_race_however_it_was_known(three: list[Machine]) -> None:
    a, b, c = three
    say(a, rating="1")
    settle([a, b])
    say(b, rating="2")
    b.sync()
    say(b, rating="3")
    settle([c, a, b])
    assert [races(machine) for machine in three] == [[], [], []]


def test_what_came_by_another_remote_was_seen(place: Path, three: list[Machine]) -> None:
    a, b, _ = three
    for machine in (a, b):
        remotes.add(machine.registry, "usb", str(place / "usb"))
    say(a, rating="1")
    for machine in (a, b):
        sync(machine.registry, "usb")
    say(b, rating="2")
    agree(three)
    assert races(b) == []


def test_the_edit_that_is_older_by_the_clock_is_shown_too_when_it_arrives_last(three: list[Machine]) -> None:
    a, b, c = three
    say(a, name="old")
    say(b, name="new")
    settle([b, c])
    assert a.sync().lost_races == 1
    agree(three)
    assert races(c) == [("name", "new", "old")]


def test_two_that_say_the_same_or_both_trash_do_not_race(three: list[Machine]) -> None:
    a, b, _ = three
    for machine in (a, b):
        say(machine, rating="4", notes="same")
        edits.trash(machine.registry, ink(machine))
    agree(three)
    assert races(a) == []
    model = library.model_ids(a.registry, "is:trash")[0]
    assert library.show(a.registry, model).notes == "same"


def test_an_edit_of_what_shows_leaves_the_lost_one_to_be_looked_at(three: list[Machine]) -> None:
    a, b, c = three
    say(a, rating="1")
    say(b, rating="2")
    settle(three, rounds=2)
    say(c, rating="5")
    agree(three)
    assert races(a) == [("rating", 5, 1)]
    say(a, rating="1")
    agree(three)
    assert races(a) == []


@pytest.mark.parametrize(("keep", "value"), [("mine", 1), ("theirs", 2)])
def test_a_choice_is_an_edit_that_undo_takes_back_everywhere(three: list[Machine], keep: lost.Keep, value: int) -> None:
    a, b, _ = three
    say(a, rating="1")
    say(b, rating="2")
    agree(three)
    edit = only(a)
    with pytest.raises(UsageError, match="both"):
        lost.resolve(a.registry, edit.id, "both")
    lost.resolve(a.registry, edit.id, keep)
    with pytest.raises(NotFoundError):
        lost.resolve(a.registry, edit.id, keep)
    agree(three)
    assert (races(b), library.show(b.registry, ink(b)).rating) == ([], value)
    undo(a.registry)
    agree(three)
    assert (races(b), library.show(b.registry, ink(b)).rating) == ([("rating", 2, 1)], 2)
    undo(a.registry, 3)
    agree(three)
    assert (races(b), library.show(b.registry, ink(b)).rating) == ([], value)


@pytest.mark.parametrize(("keep", "text"), [("mine", "from a"), ("theirs", "from b"), ("both", "from a\n\nfrom b")])
def test_of_two_texts_one_or_both_are_kept(three: list[Machine], keep: lost.Keep, text: str) -> None:
    a, b, c = three
    say(a, notes="from a")
    say(b, notes="from b")
    agree(three)
    assert only(a).mine.value == "from a"
    assert only(a).can_keep_both
    lost.resolve(a.registry, only(a).id, keep)
    agree(three)
    assert (races(c), projection.text_of(c.registry.db, ink(c), "notes")) == ([], text)
    undo(a.registry)
    settle(three, rounds=2)
    assert projection.text_of(c.registry.db, ink(c), "notes") == "from a\n\nfrom b"
    assert races(a) == [("notes", "from b", "from a")]


def test_three_texts_are_chosen_between_together(three: list[Machine]) -> None:
    a, b, c = three
    for machine, text in zip(three, ("one", "two", "three"), strict=True):
        say(machine, notes=text)
    agree(three)
    assert races(b) == [("notes", "three", "two"), ("notes", "three", "one")]
    lost.resolve_all(b.registry, [edit.id for edit in lost.unseen(b.registry)], "both")
    agree(three)
    assert (races(a), library.show(c.registry, ink(c)).notes) == ([], "one\n\ntwo\n\nthree")


@pytest.mark.parametrize("is_edited_first", [True, False])
@pytest.mark.parametrize("field", ["rating", "notes", "strength"])
def test_an_edit_of_what_another_machine_trashed_is_shown(
    three: list[Machine], field: str, is_edited_first: bool
) -> None:
    a, b, c = three
    item = ink(a)
    for trashes in (not is_edited_first, is_edited_first):
        if trashes:
            edits.trash(a.registry, item)
        else:
            say(b, **{field: "1"})
    agree(three)
    (edit,) = lost.unseen(c.registry)
    assert (edit.kind, edit.lost) == ("trash", [field])
    lost.resolve(c.registry, edit.id, "mine")
    agree(three)
    assert library.model_ids(a.registry, "is:trash") == [item]
    assert races(a) == []
    undo(c.registry)
    agree(three)
    lost.resolve(b.registry, only(b).id, "mine")
    agree(three)
    assert library.model_ids(a.registry, "is:trash") == []
    assert races(a) == []


def test_whoever_trashes_a_model_knowing_its_edits_loses_nothing(three: list[Machine]) -> None:
    a, b, _ = three
    say(b, rating="1", notes="n")
    settle(three, rounds=2)
    say(a, rating="2")
    edits.trash(a.registry, ink(a))
    agree(three)
    assert races(b) == []


def test_collections_race_by_name(three: list[Machine]) -> None:
    a, b, c = three
    collecting.create(a.registry, "Clients")
    agree(three)
    collecting.rename(a.registry, "Clients", "Customers")
    collecting.rename(b.registry, "Clients", "Partners")
    agree(three)
    assert races(c) == [("collection_name", "Partners", "Customers")]
    assert only(c).name == "Partners"
    lost.resolve(c.registry, only(c).id, "theirs")
    agree(three)
    assert [one.path for one in collecting.listed(a.registry)] == ["Customers"]


def test_the_commands_list_choose_and_tell(
    three: list[Machine], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b, _ = three
    say(a, rating="1", notes="from a", name="x\x1b[2J")
    say(b, rating="2", notes="from b", name="y")
    a.sync()
    monkeypatch.setenv("HUBMAN_HOME", str(b.home))
    assert run(["sync"]) == 0
    assert "3 edits lost a race: hubman conflicts" in capsys.readouterr().out
    assert run(["conflicts"]) == 0
    listed = capsys.readouterr().out
    assert "\x1b" not in listed
    assert "y: rating\t2 *" in listed
    number = next(edit.id for edit in lost.unseen(b.registry) if edit.field == "rating")
    assert run(["conflicts", "keep", "mine"]) == 2
    assert run(["conflicts", "keep", str(number), "both"]) == 2
    assert run(["conflicts", "keep", "999", "mine"]) == 1
    assert run(["conflicts", "keep", str(number), "theirs"]) == 0
    assert run(["conflicts", "keep", "--all", "both"]) == 0
    assert "kept both of 1; 1 left" in capsys.readouterr().out
    assert run(["conflicts", "keep", "--all", "mine", "--json"]) == 0
    capsys.readouterr()
    assert run(["conflicts", "--json"]) == 0
    assert capsys.readouterr().out == "[]\n"
    model = library.show(b.registry, ink(b))
    assert (model.rating, model.name, model.notes) == (1, "y", "from a\n\nfrom b")
