"""Collections: nested, shown by paths, of models that may be in many; every change is one entry of the journal."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from registry import changes, collecting, journal, library, projection
from registry.database import Registry
from registry.errors import NotFoundError, UsageError
from registry.undo import undo
from tests.support.library import add_entry


def _paths(registry: Registry) -> list[str]:
    return [one.path for one in collecting.listed(registry)]


def test_making_one_makes_those_above_it(registry: Registry) -> None:
    collecting.create(registry, " Clients / A /")
    collecting.create(registry, "Clients/B")
    assert _paths(registry) == ["Clients", "Clients/A", "Clients/B"]
    with pytest.raises(UsageError, match="is a collection clients/a already"):
        collecting.create(registry, "clients/a")


def test_models_are_in_a_collection_and_in_those_above_it(registry: Registry) -> None:
    ink, clay = add_entry(registry, "ink"), add_entry(registry, "clay")
    collecting.create(registry, "Clients/A")
    collecting.put(registry, "Clients/A", [ink])
    collecting.put(registry, "Clients", [clay])
    assert [(one.path, one.models, one.total) for one in collecting.listed(registry)] == [
        ("Clients", 1, 2),
        ("Clients/A", 1, 1),
    ]
    assert library.show(registry, ink).collections == ("Clients/A",)
    assert library.model_ids(registry, "collection:Clients") == [clay, ink]
    assert library.model_ids(registry, "collection:Clients/A") == [ink]
    assert library.model_ids(registry, "has:collection") == [clay, ink]
    assert collecting.members(registry, "clients") == [clay, ink]
    collecting.take_out(registry, "Clients", [clay, ink])
    assert collecting.members(registry, "Clients") == [ink], "what is in a collection below stays there"


def test_a_rename_and_a_move_take_along_all_that_is_in_it(registry: Registry) -> None:
    ink = add_entry(registry, "ink")
    collecting.create(registry, "Clients/A/2026")
    collecting.create(registry, "Old")
    collecting.put(registry, "Clients/A/2026", [ink])
    collecting.rename(registry, "Clients/A", "Acme")
    assert library.show(registry, ink).collections == ("Clients/Acme/2026",)
    collecting.move(registry, "Clients/Acme", "Old")
    assert _paths(registry) == ["Clients", "Old", "Old/Acme", "Old/Acme/2026"]
    collecting.move(registry, "Old/Acme", "/")
    assert library.show(registry, ink).collections == ("Acme/2026",)
    for _ in range(3):
        undo(registry)
    assert library.show(registry, ink).collections == ("Clients/A/2026",)


def test_what_would_make_two_of_one_path_or_a_circle_is_refused(registry: Registry) -> None:
    collecting.create(registry, "A/B")
    collecting.create(registry, "B")
    refused: list[tuple[Callable[..., object], tuple[str, ...], str]] = [
        (collecting.rename, ("A", "b"), "a collection b already"),
        (collecting.move, ("B", "A"), "a collection A/B already"),
        (collecting.move, ("A", "A/B"), "into itself"),
        (collecting.move, ("A", "A"), "into itself"),
        (collecting.rename, ("A", "x/y"), "is a path"),
        (collecting.create, ("A//B",), "is no path"),
        (collecting.create, ("  ",), "is no path"),
    ]
    for act, words, says in refused:
        with pytest.raises(UsageError, match=says):
            act(registry, *words)
    with pytest.raises(NotFoundError, match="did you mean A/B"):
        collecting.find(registry, "A/C")
    assert _paths(registry) == ["A", "A/B", "B"]


def test_removing_one_removes_those_in_it_and_no_model_and_undo_brings_all_back(registry: Registry) -> None:
    ink = add_entry(registry, "ink")
    collecting.create(registry, "Clients/A")
    collecting.put(registry, "Clients/A", [ink])
    assert collecting.below(registry, "Clients") == ["Clients", "Clients/A"]
    collecting.remove(registry, "Clients")
    assert _paths(registry) == []
    assert library.show(registry, ink).collections == ()
    undo(registry)
    assert library.show(registry, ink).collections == ("Clients/A",)


def test_every_change_is_an_entry_that_names_its_models(registry: Registry) -> None:
    ink = add_entry(registry, "ink")
    collecting.create(registry, "A")
    collecting.put(registry, "A", [ink])
    assert collecting.put(registry, "A", [ink]) is None
    put, made = journal.entries(registry)
    assert (made.label, put.label, put.models) == ("collection A made", "ink put into A", (ink,))
    undo(registry)
    undo(registry)
    assert _paths(registry) == []


def test_models_in_the_trash_are_not_counted(registry: Registry) -> None:
    ink = add_entry(registry, "ink")
    collecting.create(registry, "A")
    collecting.put(registry, "A", [ink])
    library.set_facts(registry, ink, "user", {"deleted_at": "2026-01-01T00:00:00.000Z"})
    assert collecting.listed(registry)[0].total == 0


def _from_elsewhere(registry: Registry, item: str, name: str, parent: str | None, number: int) -> None:
    stamp = f"{number:016x}-" + "b" * 16
    made: list[changes.Change] = [
        ["set", item, "user.collection_name", name, stamp],
        ["set", item, "user.parent", parent, stamp],
    ]
    with registry.transaction() as db:
        projection.rebuild(db, {item for change in made for item in changes.apply(db, change)})


def test_two_of_one_path_from_two_machines_are_one(registry: Registry) -> None:
    ink, clay = add_entry(registry, "ink"), add_entry(registry, "clay")
    collecting.create(registry, "Clients/A")
    collecting.put(registry, "Clients/A", [ink])
    theirs, below = "c" + "0" * 26, "c" + "1" * 26
    _from_elsewhere(registry, theirs, "clients", None, 1)
    _from_elsewhere(registry, below, "a", theirs, 2)
    library.update_set(registry, clay, "collections", add=[below])
    assert [one.total for one in collecting.listed(registry)] == [2, 2]
    collecting.take_out(registry, "Clients/A", [ink, clay])
    assert collecting.members(registry, "Clients") == []
    collecting.remove(registry, "Clients")
    assert _paths(registry) == []


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_a_circle_made_by_two_machines_is_cut_at_the_same_place_everywhere(
    registry: Registry, order: tuple[int, ...]
) -> None:
    ids = ["c" + digit * 26 for digit in "012"]
    for at in order:
        _from_elsewhere(registry, ids[at], "xyz"[at], ids[(at + 1) % 3], at + 1)
    assert _paths(registry) == ["x", "x/z", "x/z/y"]


def test_one_whose_parent_is_gone_stands_at_the_top(registry: Registry) -> None:
    _from_elsewhere(registry, "c" + "0" * 26, "a/b", "c" + "9" * 26, 1)
    assert _paths(registry) == ["a_b"]
