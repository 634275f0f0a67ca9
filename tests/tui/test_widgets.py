from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from rich.cells import cell_len

from registry import timestamps
from registry.query import compile_query
from tests.support.library_factory import NOW
from tui import formats, query_text
from tui.widgets import blocks, plot
from tui.widgets.columns import Column, cut, fit

COLUMNS = (
    Column("name", 10, grow=True),
    Column("base", 8, drop=1),
    Column("rank", 4, drop=3),
    Column("size", 6, drop=2),
)


@given(st.integers(1, 200))
def test_columns_never_overflow_and_the_least_important_leave_first(width: int) -> None:
    kept = fit(COLUMNS, width)
    names = [COLUMNS[index].title for index, _ in kept]
    assert names[0] == "name"
    assert names in (["name"], ["name", "base"], ["name", "base", "size"], ["name", "base", "rank", "size"])
    if width >= 10:
        assert sum(cells for _, cells in kept) + len(kept) - 1 == width


@given(st.text(), st.integers(0, 40), st.booleans())
def test_cut_text_fills_its_cells_exactly(text: str, width: int, right: bool) -> None:
    assert cell_len(cut(text, width, right=right)) == width


def test_cut_counts_wide_characters_as_two() -> None:
    assert cut("日本語", 4) == "日 …"
    assert cut("ab", 4, right=True) == "  ab"


@pytest.mark.parametrize(
    ("size", "room", "cells"),
    [
        ((100, 100), (20, 20), (20, 10)),
        ((100, 200), (20, 10), (10, 10)),
        ((400, 100), (20, 10), (20, 2)),
        ((0, 5), (9, 9), (0, 0)),
    ],
)
def test_pictures_keep_their_shape(size: tuple[int, int], room: tuple[int, int], cells: tuple[int, int]) -> None:
    assert blocks.fit_cells(*size, *room) == cells


def test_blocks_show_edges_between_the_pixels_of_a_cell() -> None:
    image = Image.new("RGB", (4, 4), "black")
    image.paste("white", (0, 0, 1, 4))
    (line, *rest) = blocks.strips_of(image, 2, 1)
    assert rest == []
    assert line.text[0] == "▌"
    assert line.cell_length == 2


def test_a_damaged_picture_gives_no_lines() -> None:
    assert blocks.strips_of_source(b"no picture", 10, 10) == []


def test_a_curve_is_drawn_from_its_left_end_to_its_right_end() -> None:
    columns = plot.columns_of([(0, 0.0), (10, 1.0)], (0, 10), 8)
    assert all(column is not None for column in columns)
    lines = plot.braille(columns, (0.0, 1.0), 4, 2)
    assert lines[0][0] == " "
    assert lines[0][-1] != " "
    assert lines[1][0] != " "


@given(st.lists(st.tuples(st.floats(0, 1000), st.floats(-1e6, 1e6)), max_size=50))
def test_any_points_can_be_plotted(points: list[tuple[float, float]]) -> None:
    points.sort()
    xs = [x for x, _ in points] or [0.0]
    columns = plot.columns_of(points, (min(xs), max(xs)), 20)
    lines = plot.braille(columns, plot.bounds([y for _, y in points]), 10, 3)
    assert [len(line) for line in lines] == [10, 10, 10]


def test_facets_are_put_into_the_query_and_taken_out_again() -> None:
    text = query_text.toggle("ink", "base", "SDXL 1.0")
    assert text == 'ink base:="SDXL 1.0"'
    assert query_text.chosen(text, "base", "SDXL 1.0")
    assert query_text.toggle(text, "base", "SDXL 1.0") == "ink"
    assert query_text.toggle("tag:ink", "tag", "mono") == "tag:ink tag:mono"
    assert query_text.toggle("type:lora", "type", "locon") == "type:lora,locon"
    assert query_text.toggle("type:lora,locon", "type", "lora") == "type:locon"


_WORDS = st.text(st.characters(blacklist_characters='"', blacklist_categories=("Cs", "Cc")), min_size=1, max_size=12)


@given(_WORDS.map(str.strip).filter(bool), st.sampled_from(["tag", "creator", "collection", "type"]))
def test_every_facet_makes_a_query_that_compiles_and_can_be_undone(value: str, field: str) -> None:
    text = query_text.toggle("rating:>=3", field, value)
    compile_query(text)
    assert query_text.chosen(text, field, value)
    assert query_text.toggle(text, field, value) == "rating:>=3"


def test_the_order_replaces_the_one_that_was_there() -> None:
    assert query_text.with_order("ink sort:size", "added") == "ink sort:added"
    assert query_text.with_order("ink sort:size", "") == "ink"
    assert query_text.order_of("ink sort:size") == "size"


@pytest.mark.parametrize(
    ("ago", "text"),
    [
        (timedelta(0), "now"),
        (timedelta(minutes=5), "5 min"),
        (timedelta(hours=30), "1 d"),
        (timedelta(days=20), "2 w"),
        (timedelta(days=800), "2 y"),
    ],
)
def test_ages_are_short(ago: timedelta, text: str) -> None:
    assert formats.age(timestamps.of(NOW - ago)) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (12_400_000, "12.4 MB"), (999_600, "1.0 MB"), (2_000_000_000, "2.0 GB")],
)
def test_sizes_are_short(count: int, text: str) -> None:
    assert formats.size(count) == text


def test_the_strength_bar_marks_the_recommended_place() -> None:
    assert formats.strength_bar(0.5, 0.0, 1.0, 5) == "0 ··▮·· 1  0.5"
    assert formats.strength_bar(None, None, None) == "not set"
    assert formats.strength_bar(1.0, 1.0, 1.0, 5).endswith("1")


@given(st.floats(-1, 2), st.integers(1, 30))
def test_a_progress_bar_has_its_width(share: float, width: int) -> None:
    assert len(formats.bar(share, width)) == width


def test_outside_text_loses_control_characters() -> None:
    assert formats.one_line("a\x1b[31m b\n\tc") == "a [31m b c"
