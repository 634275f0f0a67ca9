"""What a person did stands in the journal, and is taken back exactly, in any order, unless it was edited since."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlite_utils import Database

from registry import edits, journal, library, previews, said, schema
from registry.database import Registry
from registry.errors import HubError, NotFoundError
from registry.undo import conflicts, undo
from tests.support.library import add_entry
from tests.support.library_factory import write_pictures


def _said(registry: Registry, item: str) -> dict[tuple[str, str], list[str]]:
    """What is said of an item, without the stamps; a fact that says nothing is none."""
    found = {key: [value for value, _ in rows if value != "null"] for key, rows in said.of(registry.db, item).items()}
    return {key: values for key, values in found.items() if values}


def test_every_kind_of_edit_is_undone_to_what_stood_before(registry: Registry) -> None:
    item = add_entry(registry, "ink", tags=["style"], triggers=["ink", "wash", "line"])
    library.set_facts(registry, item, "civitai", {"rating": 3})
    before = _said(registry, item), library.show(registry, item)
    edits.edit(
        registry,
        item,
        item,
        {"rating": "5", "strength": "0.7", "notes": "mine", "tags": "mono", "trigger_words": "wash, quiet"},
    )
    edits.tag(registry, [item], add=["ink"], remove=["mono"])
    edits.trash(registry, item)
    assert library.show(registry, item).deleted_at is not None
    for _ in range(3):
        undo(registry)
    assert (_said(registry, item), library.show(registry, item)) == before
    assert library.show(registry, item).notes is None, "nothing was said, so nothing is said again"
    with pytest.raises(NotFoundError, match="nothing to undo"):
        undo(registry)


def test_an_undo_that_is_undone_does_it_again_and_can_be_undone_like_anything(registry: Registry) -> None:
    item = add_entry(registry, "ink")
    edits.edit(registry, item, item, {"rating": "4", "notes": "mine"})
    after = _said(registry, item)
    first = undo(registry)
    assert _said(registry, item) == {}
    again = undo(registry, first.entry.id)
    assert (again.entry.is_undo, _said(registry, item)) == (False, after)
    assert undo(registry).undoes.id == again.entry.id
    assert _said(registry, item) == {}


def test_the_journal_says_what_was_done_when_and_to_which_models(registry: Registry) -> None:
    ink, clay = add_entry(registry, "ink"), add_entry(registry, "clay")
    edits.edit(registry, ink, ink, {"rating": "4", "base_model": "Pony"})
    edits.tag(registry, [ink, clay], add=["style"])
    undone = undo(registry)
    tagged, edited = journal.entries(registry)[1:]
    assert (edited.verb, edited.label, edited.models) == ("edit", "rating, base model of ink", (ink,))
    assert (tagged.label, set(tagged.models)) == ("tags of 2 models", {ink, clay})
    assert (tagged.undone_by, undone.entry.undoes) == (undone.entry.id, tagged.id)
    assert edited.at <= tagged.at


def test_an_edit_that_changes_nothing_and_what_no_person_said_are_not_entered(registry: Registry) -> None:
    item = add_entry(registry, "ink")
    library.set_facts(registry, item, "civitai", {"rating": 4})
    edits.edit(registry, item, item, {"rating": "2"})
    assert edits.edit(registry, item, item, {"rating": "2"}) is None
    library.set_facts(registry, item, "sidecar", {"name": "other"})
    assert len(journal.entries(registry)) == 1


def test_what_was_edited_since_stays_and_is_named_and_gives_way_to_force(registry: Registry) -> None:
    item = add_entry(registry, "ink")
    entry = edits.edit(registry, item, item, {"rating": "4", "notes": "first"})
    assert entry is not None
    edits.edit(registry, item, item, {"rating": "5"})
    (kept,) = conflicts(registry, entry.id)[1]
    assert (kept.name, kept.field, kept.reason) == ("ink", "rating", "was edited later")
    done = undo(registry, entry.id)
    assert done.kept == (kept,)
    assert (library.show(registry, item).rating, library.show(registry, item).notes) == (5, None)
    undo(registry, done.entry.id)
    undo(registry, journal.entries(registry)[0].id, force=True)
    assert library.show(registry, item).notes is None


def test_where_all_was_edited_since_nothing_is_undone_without_force(registry: Registry) -> None:
    item = add_entry(registry, "ink")
    entry = edits.edit(registry, item, item, {"rating": "4"})
    assert entry is not None
    edits.edit(registry, item, item, {"rating": "5"})
    with pytest.raises(HubError, match=r"rating of ink was edited later.*--force"):
        undo(registry, entry.id)
    assert library.show(registry, item).rating == 5
    undo(registry, entry.id, force=True)
    assert library.show(registry, item).rating == 0


def test_an_entry_is_taken_back_once(registry: Registry) -> None:
    item = add_entry(registry, "ink")
    entry = edits.edit(registry, item, item, {"rating": "4"})
    assert entry is not None
    done = undo(registry, entry.id)
    with pytest.raises(HubError, match=f"taken back already.*hubman undo {done.entry.id}"):
        undo(registry, entry.id)
    with pytest.raises(NotFoundError):
        undo(registry, 99)


def test_the_order_of_trigger_words_comes_back_too(registry: Registry) -> None:
    item = add_entry(registry, "ink", triggers=["a", "b", "c", "d"])
    edits.edit(registry, item, item, {"trigger_words": "a, c"})
    assert library.version(registry, item).trigger_words == ("a", "c")
    done = undo(registry)
    assert library.version(registry, item).trigger_words == ("a", "b", "c", "d")
    undo(registry, done.entry.id)
    assert library.version(registry, item).trigger_words == ("a", "c")


def test_a_model_that_became_part_of_another_is_left_alone(registry: Registry) -> None:
    item = add_entry(registry, "ink")
    entry = edits.edit(registry, item, item, {"rating": "4"})
    assert entry is not None
    library.set_facts(registry, item, "civitai", {"model": "m1"})
    with pytest.raises(HubError, match="became part of another"):
        undo(registry, entry.id)
    assert library.show(registry, "m1").rating == 4


def test_a_picture_made_the_preview_is_one_entry(registry: Registry, tmp_path: Path) -> None:
    item = add_entry(registry, "ink")
    old, new = write_pictures(tmp_path / "pictures", 2)
    kept = previews.add_preview(registry, item, old)
    edits.show_first(registry, item, new)
    assert len(library.version(registry, item).previews) == 2
    undo(registry)
    version = library.version(registry, item)
    assert [preview.sha256 for preview in version.previews] == [kept]


def test_old_entries_are_forgotten(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "KEPT", 3)
    item = add_entry(registry, "ink")
    for number in range(5):
        edits.edit(registry, item, item, {"notes": str(number)})
    assert [entry.id for entry in journal.entries(registry)] == [5, 4, 3]
    assert registry.db.execute("SELECT min(entry) FROM journal_steps").fetchone()[0] == 3


_EDITS = st.lists(
    st.one_of(
        st.tuples(st.just("rating"), st.sampled_from(["", "1", "2", "3"])),
        st.tuples(st.just("notes"), st.sampled_from(["", "a", "b"])),
        st.tuples(st.just("tags"), st.sampled_from(["", "x", "x, y", "y, z"])),
        st.tuples(st.just("trigger_words"), st.sampled_from(["", "a", "b, a", "c, b", "a, b, c"])),
        st.tuples(st.just("strength"), st.sampled_from(["", "0.5", "0.8"])),
        st.just(("undo", "")),
    ),
    max_size=8,
)


@settings(max_examples=25, deadline=None)
@given(made=_EDITS)
def test_undoing_everything_step_by_step_shows_each_state_again(
    tmp_path_factory: pytest.TempPathFactory, made: list[tuple[str, str]]
) -> None:
    with Registry(tmp_path_factory.mktemp("home")) as registry:
        registry.db.execute("PRAGMA synchronous = OFF")
        item = add_entry(registry, "ink", tags=["x"], triggers=["b", "c"])
        states = [_shown(registry, item)]
        for name, value in made:
            if name == "undo":
                if len(states) > 1:
                    undo(registry)
                    states.pop()
                    assert _shown(registry, item) == states[-1]
            elif edits.edit(registry, item, item, {name: value}) is not None:
                states.append(_shown(registry, item))
        while len(states) > 1:
            assert undo(registry).kept == ()
            states.pop()
            assert _shown(registry, item) == states[-1]


def _shown(registry: Registry, item: str) -> tuple[object, ...]:
    model = library.show(registry, item)
    version = model.versions[0]
    return (
        model.rating,
        model.sources,
        model.notes,
        model.tags,
        version.trigger_words,
        version.strength,
        version.sources,
    )


def test_a_registry_of_before_the_journal_gets_it(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    with contextlib.closing(sqlite3.connect(home / "registry.db", isolation_level=None)) as db:
        schema.migrations.apply(Database(db), stop_before="m004_journal")
    with Registry(home) as registry:
        item = add_entry(registry, "ink", tags=["style"])
        edits.edit(registry, item, item, {"rating": "4"})
        undo(registry)
        assert library.show(registry, item).tags == ("style",)
