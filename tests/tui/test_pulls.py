"""The queue as a line, and the search line as menus change it: no screen is needed."""

from __future__ import annotations

from typing import Any

import pytest

from registry.pull_queue import PullItem
from tui import search_text
from tui.pulls import Pulls


def item(number: int, state: Any, done: int = 0, total: int = 1000, title: str = "Harbor") -> PullItem:
    return PullItem(
        id=number, ref=str(number), title=title, state=state, position=number, done=done, total=total, error="",
        version_id="", path="", sha256="", site=None, into=None, tries=0, choice={}, verified=False,
    )  # fmt: skip


def test_the_line_tells_the_running_one_its_rate_and_what_waits() -> None:
    waiting = [item(2, "queued"), item(3, "queued"), item(4, "paused"), item(5, "failed")]
    first = Pulls().then([item(1, "running", 100), *waiting], at=10.0)
    assert first.words(99) == "↓ Harbor  10% · 100 B of 1.0 kB · 2 wait · 1 paused · 1 failed"
    second = first.then([item(1, "running", 300), *waiting], at=12.0)
    assert second.rate == 100.0
    assert "100 B/s · 7 s left" in second.words(99)
    later = second.then([item(1, "running", 350), *waiting], at=13.0)
    assert 50 < later.rate < 100, "an uneven connection reads calmly"
    assert later.then(waiting, at=14.0).rate == 0.0


def test_a_new_item_does_not_look_like_a_fast_one() -> None:
    first = Pulls().then([item(1, "running", 900)], at=1.0)
    second = first.then([item(1, "done", 1000), item(2, "running", 700)], at=2.0)
    assert second.rate == 0.0


def test_the_line_fits_and_is_empty_without_a_queue() -> None:
    assert Pulls().words(80) == ""
    assert Pulls().then([item(1, "done"), item(2, "done")], at=1.0).words(80) == "2 done"
    long = Pulls().then([item(1, "running", 500, title="Harbor " * 30)], at=1.0)
    assert len(long.words(60)) <= 60
    assert Pulls().then([item(1, "running", total=0)], at=1.0).words(60) == "↓ Harbor  asking"


@pytest.mark.parametrize(
    ("line", "field", "value", "expected"),
    [
        ("ink", "base", "Pony", "ink base:Pony"),
        ("base:pony ink", "base", "Pony", "ink"),
        ("base:pony,sdxl1.0 ink", "base", "SDXL1.0", "base:pony ink"),
        ('base:"SDXL 1.0" ink', "base", "Pony", 'base:"SDXL 1.0" base:Pony ink'),
        ('base:="SDXL 1.0" ink', "base", "SDXL1.0", "ink"),
        ("-base:pony", "base", "Pony", "-base:pony base:Pony"),
    ],
)
def test_a_choice_turns_a_value_on_and_off(line: str, field: str, value: str, expected: str) -> None:
    assert search_text.toggled(line, field, value) == expected
    assert search_text.asks(expected, field, value) is not search_text.asks(line, field, value)


def test_a_menu_replaces_the_one_value_of_a_field() -> None:
    assert search_text.with_value("ink sort:newest tag:a", "sort", "liked") == "ink tag:a sort:liked"
    assert search_text.with_value("ink sort:newest", "sort", "") == "ink"
    assert search_text.value_of("ink sort:newest", "sort") == "newest"
    assert search_text.with_value("", "by", 'an "odd" name') == 'by:"an odd name"'
