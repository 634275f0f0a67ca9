from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry import edits, facets, levels, library, licence, previews
from registry.database import Registry
from registry.errors import NotFoundError, UsageError
from tests.support.library import add_entry


@pytest.mark.parametrize(
    ("told", "letters"),
    [
        ({}, "?????"),
        ({"allowNoCredit": True}, "C????"),
        ({"allowNoCredit": False, "allowDerivatives": True}, "-???D"),
        ({"allowCommercialUse": []}, "?---?"),
        ({"allowCommercialUse": ["None"]}, "?---?"),
        ({"allowCommercialUse": "None"}, "?---?"),
        ({"allowCommercialUse": ["Image", "RentCivit"]}, "?IR-?"),
        ({"allowCommercialUse": "{Image,RentCivit,Rent,Sell}"}, "?IRS?"),
        ({"allowCommercialUse": "Sell"}, "?--S?"),
        ({"allowCommercialUse": 3, "allowNoCredit": "yes"}, "?????"),
        ({"allowCommercialUse": ["Something new"]}, "?????"),
    ],
)
def test_each_letter_is_allowed_or_not_or_unknown(told: dict[str, Any], letters: str) -> None:
    assert licence.letters(told) == letters


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3), max_leaves=6
)


@given(st.dictionaries(st.sampled_from(["allowNoCredit", "allowCommercialUse", "allowDerivatives", "x"]), _JSON))
def test_whatever_a_site_says_gives_five_letters_and_words(told: dict[str, Any]) -> None:
    letters = licence.letters(told)
    assert len(letters) == 5
    assert set(letters) <= set("CIRSD-?")
    assert licence.words(told)
    assert licence.is_known(told) or letters == "?????"


def test_the_query_finds_what_is_allowed_and_what_is_unknown(registry: Registry) -> None:
    told = {
        "open": {"allowNoCredit": True, "allowCommercialUse": ["Sell", "Image", "Rent"], "allowDerivatives": True},
        "closed": {"allowNoCredit": False, "allowCommercialUse": [], "allowDerivatives": False},
        "partly": {"allowCommercialUse": ["Sell"]},
    }
    for name, permissions in told.items():
        library.set_facts(registry, add_entry(registry, name), "civitai", {"permissions": permissions})
    add_entry(registry, "silent")

    def names(query: str) -> set[str]:
        return {row.name for row in library.list_models(registry, query)}

    assert names("lic:sell") == {"open", "partly"}
    assert names("lic:unknown") == {"partly", "silent"}
    assert names("-lic:unknown") == {"open", "closed"}
    assert dict(facets.facets(registry)["lic"])["unknown"] == 2
    letters = {row.name: row.licence for row in library.list_models(registry)}
    assert letters == {"open": "CIRSD", "closed": "-----", "partly": "?--S?", "silent": "?????"}


@pytest.mark.parametrize(("picture", "model", "counts"), [(0, 0, 0), (0, 9, 8), (2, 16, 2), (31, 1, 16), (0, -1, 0)])
def test_an_unknown_level_is_the_models(picture: int, model: int, counts: int) -> None:
    assert levels.effective(picture, model) == counts


@given(st.text())
def test_only_the_five_levels_are_levels(text: str) -> None:
    try:
        bit = levels.parse(text)
    except UsageError:
        return
    assert bit in {1, 2, 4, 8, 16}
    assert levels.parse(levels.name_of(bit)) == bit


def test_a_person_says_the_level_of_a_picture_and_takes_it_back(registry: Registry, tmp_path: Path) -> None:
    from PIL import Image

    from registry import undo

    version = add_entry(registry, "ink")
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    sha256 = previews.add_preview(registry, version, tmp_path / "a.png", nsfw_level=16)

    def level() -> int:
        found = previews.shown(registry, version)
        assert found is not None
        return found.level

    assert level() == 16
    edits.set_picture_level(registry, version, sha256, 1)
    assert level() == 1
    undo.undo(registry)
    assert level() == 16
    edits.set_picture_level(registry, version, sha256, 4)
    edits.set_picture_level(registry, version, sha256, None)
    assert level() == 16
    with pytest.raises(NotFoundError):
        edits.set_picture_level(registry, version, "ab" * 32, 1)


def test_a_level_from_elsewhere_that_is_none_is_ignored(registry: Registry, tmp_path: Path) -> None:
    from PIL import Image

    from registry import changes, projection

    version = add_entry(registry, "ink")
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    sha256 = previews.add_preview(registry, version, tmp_path / "a.png", nsfw_level=2)
    for value in ("r", 3, True, {"x": 1}, -4, 1 << 70):
        with registry.transaction() as db:
            change = changes.set_field(db, version, "user", levels.field_of(sha256), value)
            projection.rebuild(db, changes.record(db, [change]))
        assert library.version(registry, version).previews[0].nsfw_level == 2
