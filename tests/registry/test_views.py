from __future__ import annotations

import pytest

from registry import edits, library, views
from registry.database import Registry
from registry.errors import NotFoundError, UsageError
from tests.support.library import add_entry


def test_a_view_stands_for_its_line_also_inside_others_and_negated(registry: Registry) -> None:
    ink = add_entry(registry, "ink", tags=["style"], model_facts={"rating": 5})
    wash = add_entry(registry, "wash", tags=["style"], model_facts={"rating": 2})
    face = add_entry(registry, "face", tags=["character"], model_facts={"rating": 5})
    assert views.save(registry, "@Best", "rating:>=4 sort:-name") == "best"
    views.save(registry, "best-styles", "@best tag:style")
    assert library.model_ids(registry, "@best") == [ink, face], "with its order"
    assert library.model_ids(registry, "@BEST sort:name") == [face, ink]
    assert library.model_ids(registry, "@best-styles") == [ink]
    assert library.model_ids(registry, "-@best-styles") == [face, wash], "a view is ruled out as a whole"
    edits.trash(registry, wash)
    views.save(registry, "binned", "is:trash")
    assert library.model_ids(registry, "@binned") == [wash]


@pytest.mark.parametrize(
    ("name", "line", "says"),
    [
        ("unused", "ink", "built in"),
        ("two words", "ink", "can't be called"),
        ("", "ink", "can't be called"),
        ("good", "  ", "empty query"),
        ("good", "raing:4", "did you mean rating:?"),
        ("good", "@good", "the view @good can't name itself: leave"),
        ("a1", "@b1", r"there is no view @b1: use one of @dupes, @mine"),
        ("good", "ink " * 600, "longer than"),
    ],
)
def test_a_view_that_makes_no_sense_is_refused(registry: Registry, name: str, line: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        views.save(registry, name, line)
    assert views.own(registry) == {}


def test_views_that_call_each_other_in_a_circle_or_without_end_are_refused(registry: Registry) -> None:
    views.save(registry, "a", "ink")
    views.save(registry, "b", "@a")
    with pytest.raises(UsageError, match="can't name itself"):
        views.save(registry, "a", "-@b")
    views.save(registry, "v0", "is:fav")
    for number in range(1, 7):
        views.save(registry, f"v{number}", f"@v{number - 1} -@v{number - 1}")
    with pytest.raises(UsageError, match="more than 200 terms"):
        library.model_ids(registry, "@v6 @v6")


def test_renaming_a_view_takes_along_those_that_refer_to_it(registry: Registry) -> None:
    views.save(registry, "old", "rating:5")
    views.save(registry, "both", "-@OLD tag:@old @old")
    assert views.rename(registry, "@old", "New") == "new"
    assert views.own(registry) == {"both": "-@new tag:@old @new", "new": "rating:5"}
    with pytest.raises(UsageError, match="already"):
        views.rename(registry, "new", "both")
    with pytest.raises(NotFoundError, match="yours are @both, @new"):
        views.rename(registry, "old", "other")


def test_a_removed_view_is_gone_and_a_mistyped_one_named(registry: Registry) -> None:
    views.save(registry, "best", "rating:5")
    with pytest.raises(UsageError, match="did you mean @best"):
        library.model_ids(registry, "@bets")
    views.remove(registry, "best")
    with pytest.raises(NotFoundError, match="you have none"):
        views.remove(registry, "best")
    with pytest.raises(UsageError, match="built in"):
        views.remove(registry, "dupes")


def test_a_saved_view_is_a_change_that_syncs(registry: Registry) -> None:
    registry.db.execute(
        "INSERT INTO remotes (name, kind, location, repo, part, added_at) VALUES ('nas', 'folder', '/nas', 'r', 1, '')"
    )
    views.save(registry, "best", "rating:5")
    (change,) = [row[0] for row in registry.db.execute("SELECT change FROM outbox")]
    assert '"view/best","user.query","rating:5"' in change
    assert library.model_ids(registry) == [], "a view is no model"
