"""What training reads of a caption: by its parts, and by how often."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubman.train.captioning.tags import split_tags
from hubman.train.loss.caption_variation import Variation, choose

TAGS = st.lists(st.text("abc xyz", min_size=1).map(str.strip).filter(bool), max_size=8).map(
    lambda tags: [" ".join(tag.split()) for tag in tags]
)
SHOWN = 600


def readings(variation: Variation, caption: str, pass_: int = 0) -> list[str]:
    return [variation.apply(caption, random.Random(i), pass_) for i in range(SHOWN)]


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60), st.integers())
def test_without_settings_a_caption_is_read_as_it_is_in_one_line(caption: str, seed: int) -> None:
    plain = Variation(separator="")
    assert plain.apply(caption, random.Random(seed)) == " ".join(caption.split())


@given(TAGS, st.integers(0, 9), st.integers())
def test_shuffling_keeps_all_tags_and_the_first_ones_in_place(tags: list[str], keep: int, seed: int) -> None:
    varied = split_tags(Variation(shuffle=True, keep_tokens=keep).apply(", ".join(tags), random.Random(seed)))
    assert sorted(varied) == sorted(tags)
    assert varied[:keep] == tags[:keep]


@given(TAGS, TAGS, TAGS, st.booleans(), st.floats(0, 1), st.integers())
def test_what_the_separators_fix_stays_at_both_ends(
    head: list[str], loose: list[str], tail: list[str], shuffle: bool, rate: float, seed: int
) -> None:
    caption = " ||| ".join(", ".join(part) for part in (head, loose, tail))
    varied = split_tags(Variation(shuffle=shuffle, tag_dropout=rate, keep_tokens=5).apply(caption, random.Random(seed)))
    assert varied[: len(head)] == head
    assert varied[len(varied) - len(tail) :] == tail
    assert not Counter(varied[len(head) : len(varied) - len(tail)]) - Counter(loose)


def test_every_order_of_loose_tags_comes_equally_often() -> None:
    counts = Counter(readings(Variation(shuffle=True, keep_tokens=1), "zvk, a, b, c"))
    assert len(counts) == 6
    assert all(reading.startswith("zvk, ") for reading in counts)
    assert max(counts.values()) < 1.5 * SHOWN / 6


@pytest.mark.parametrize("rate", [0.05, 0.3, 1.0])
def test_captions_and_tags_are_dropped_at_their_rates(rate: float) -> None:
    slack = 4 * (rate * (1 - rate) / SHOWN) ** 0.5
    empty = sum(reading == "" for reading in readings(Variation(dropout=rate), "a, b"))
    assert empty / SHOWN == pytest.approx(rate, abs=slack)
    thinned = readings(Variation(tag_dropout=rate, keep_tokens=1), "zvk, a, b")
    assert all(split_tags(reading)[0] == "zvk" for reading in thinned)
    kept = sum(len(split_tags(reading)) - 1 for reading in thinned)
    assert kept / (2 * SHOWN) == pytest.approx(1 - rate, abs=slack)


def test_each_nth_pass_runs_without_captions() -> None:
    variation = Variation(dropout_every=3)
    assert [variation.apply("a", random.Random(0), pass_) for pass_ in range(7)] == ["a", "a", "", "a", "a", "", "a"]


def test_wildcards_and_lines_are_chosen_equally_often() -> None:
    counts = Counter(readings(Variation(wildcards=True), "a {red|blue|} hat\na cat, {{sitting}}\n"))
    assert set(counts) == {"a red hat", "a blue hat", "a hat", "a cat, {sitting}"}
    assert counts["a cat, {sitting}"] / SHOWN == pytest.approx(0.5, abs=0.09)
    assert counts["a red hat"] / SHOWN == pytest.approx(1 / 6, abs=0.07)
    assert set(readings(Variation(), "a {red|blue} hat\na cat")) == {"a {red|blue} hat a cat"}


@given(st.lists(st.text("ab ", max_size=5), min_size=1, max_size=4), st.integers())
def test_a_choice_is_one_of_those_offered(choices: list[str], seed: int) -> None:
    assert choose(f"x{{{'|'.join(choices)}}}y", random.Random(seed)) in {f"x{each}y" for each in choices}


@given(st.text("ab{}| ,\n", max_size=30), st.integers())
def test_broken_braces_raise_nothing(caption: str, seed: int) -> None:
    variation = Variation(wildcards=True, shuffle=True, tag_dropout=0.5)
    assert "\n" not in variation.apply(caption, random.Random(seed))


def test_the_same_seed_reads_the_same() -> None:
    everything = Variation(dropout=0.2, tag_dropout=0.3, shuffle=True, keep_tokens=1, wildcards=True)
    assert readings(everything, "z, {a|b}, c, d") == readings(everything, "z, {a|b}, c, d")
