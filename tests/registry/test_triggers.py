"""Trigger words in groups, required or optional: written by a person, synced as a set, taken back by undo."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry import edits, library, triggers
from registry.database import Registry
from registry.errors import UsageError
from registry.triggers import Trigger
from registry.undo import undo
from tests.support.library import add_entry


def test_words_in_groups_are_words_and_only_the_required_are_copied(registry: Registry) -> None:
    item = add_entry(registry, "ink", triggers=["inkwash", "wet paper"])
    edits.edit(registry, item, item, {"trigger_groups": "optional: wet paper; outfit: red coat; outfit?: red  hat"})
    version = library.version(registry, item)
    assert set(version.trigger_words) == {"inkwash", "wet paper", "red coat", "red hat"}
    assert triggers.copied(version.trigger_words, version.trigger_groups) == ["inkwash", "red coat"]
    groups = [trigger.group for trigger in triggers.of(version.trigger_words, version.trigger_groups)]
    assert groups == ["", "", "outfit", "outfit"]
    undo(registry)
    version = library.version(registry, item)
    assert (version.trigger_words, version.trigger_groups) == (("inkwash", "wet paper"), ())


def test_an_empty_text_takes_the_groups_and_leaves_the_words(registry: Registry) -> None:
    item = add_entry(registry, "ink", triggers=["inkwash"])
    edits.edit(registry, item, item, {"trigger_groups": "optional: inkwash"})
    edits.edit(registry, item, item, {"trigger_groups": ""})
    version = library.version(registry, item)
    assert (version.trigger_words, version.trigger_groups) == (("inkwash",), ())


@pytest.mark.parametrize("text", ["inkwash", "outfit:", ": red", "?: red", "a: b; c"])
def test_what_is_no_group_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UsageError, match="is no group of trigger words"):
        triggers.parse(text)


_WORDS = st.text("abc d", min_size=1, max_size=6).map(lambda text: " ".join(text.split())).filter(bool)


@given(st.lists(st.builds(Trigger, _WORDS, st.one_of(st.just(""), _WORDS), st.booleans()), unique_by=lambda t: t.word))
def test_what_is_shown_reads_back_as_the_same(said: list[Trigger]) -> None:
    members = triggers.members_of(said)
    assert sorted(triggers.members_of(triggers.parse(triggers.shown(members)))) == sorted(members)


@given(st.lists(st.text(max_size=12)), st.lists(st.text(max_size=8), unique=True))
def test_members_from_another_machine_may_be_anything(members: list[str], words: list[str]) -> None:
    assert sorted(trigger.word for trigger in triggers.of(words, members)) == sorted(words)
