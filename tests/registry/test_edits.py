"""What a person may say of a model, and what is refused because it can't be so."""

from __future__ import annotations

import pytest

from registry import edits, library
from registry.database import Registry
from registry.errors import UsageError
from registry.fields import KINDS
from registry.identify_kinds import Kind
from tests.support.library import add_entry


@pytest.fixture
def model(registry: Registry) -> str:
    return add_entry(registry, "ink")


def _edit(registry: Registry, model: str, **assignments: str) -> None:
    edits.plan_edit(registry, [(model, model)], assignments)
    edits.edit(registry, model, model, assignments)


@pytest.mark.parametrize(
    ("field", "text", "says"),
    [
        ("kind", "banana", "kind can't be 'banana': use one of lora, checkpoint"),
        ("kind", "chekpoint", "did you mean checkpoint"),
        ("alias", "a>b", "would break the tag in a prompt"),
        ("alias", "a,b", "would break the tag in a prompt"),
        ("alias", "a:b", "would break the tag in a prompt"),
        ("alias", "a\nb", "would break the tag in a prompt"),
        ("nsfw_level", "rr", "use one of unrated, pg, pg13, r, x, xxx"),
    ],
)
def test_what_can_not_be_is_refused(registry: Registry, model: str, field: str, text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        edits.edit(registry, model, model, {field: text})
    with pytest.raises(UsageError, match=says):
        edits.plan_edit(registry, [(model, model)], {field: text})


def test_every_kind_that_files_are_told_to_be_can_be_said(registry: Registry, model: str) -> None:
    assert Kind.__doc__ is not None
    assert {"lora", *Kind.__doc__.split("``")[3].split()} == set(KINDS)
    for kind in KINDS:
        _edit(registry, model, kind=kind.upper())
        assert library.show(registry, model).kind == kind


def test_a_range_of_strengths_rises_also_with_what_is_stored(registry: Registry, model: str) -> None:
    with pytest.raises(UsageError, match="strength_min can't be 2 where strength_max is 1"):
        _edit(registry, model, strength_min="2", strength_max="1")
    _edit(registry, model, strength_max="1")
    with pytest.raises(UsageError, match=r"strength_min can't be 1\.5 where strength_max is 1"):
        _edit(registry, model, strength_min="1.5")
    _edit(registry, model, strength_min="1.5", strength_max="2")
    _edit(registry, model, strength_min="3", strength_max="")
    assert library.version(registry, model).strength_min == 3


def test_an_alias_is_of_one_model_only(registry: Registry, model: str) -> None:
    other = add_entry(registry, "clay")
    with pytest.raises(UsageError, match=rf"the alias clay is that of clay \({other[:8]}\)"):
        _edit(registry, model, alias="clay")
    with pytest.raises(UsageError, match="2 models can't all have the alias same"):
        edits.edit_all(registry, [(model, model), (other, other)], {"alias": "same"})
    assert library.show(registry, model).alias == "ink", "nothing is written where it is refused"
    both = [((model, model), {"alias": "clay"}), ((other, other), {"alias": "ink"})]
    edits.edit_each(registry, both, "aliases exchanged")
    assert [library.show(registry, one).alias for one in (model, other)] == ["clay", "ink"]
    _edit(registry, model, alias="clay")


def test_levels_have_names(registry: Registry, model: str) -> None:
    for text, level, shown in (
        ("r", 4, "r"),
        ("PG-13", 2, "pg13"),
        ("16", 16, "xxx"),
        ("5", 5, "r"),
        ("unrated", 0, "unrated"),
    ):
        _edit(registry, model, nsfw_level=text)
        detail = library.show(registry, model)
        assert detail.nsfw_level == level
        assert edits.shown("nsfw_level", detail, detail.versions[0]) == shown
    (planned,) = edits.plan_edit(registry, [(model, model)], {"nsfw_level": "8"})
    assert (planned.before, planned.after) == ("unrated", "x")
