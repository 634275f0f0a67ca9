"""Axes are exact: what each kind changes, in ranges of decimals that keep their ends."""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubman.generate.axes import parse_decimals, parse_floats, parse_integers, parse_values
from hubman.generate.grids.grid import make_grid
from hubman.generate.grids.spec import KINDS, build_axis, parse_axis
from hubman.generate.request import LoraUse
from registry.errors import NotFoundError, UsageError
from tests.support.grids import ONE, REQUEST, THREE, Shelf, made_grid, strengths_of
from tests.support.patient import PATIENT


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.5-1.0 (+0.1)", ["0.5", "0.6", "0.7", "0.8", "0.9", "1.0"]),
        ("0.5-1", ["0.5", "0.6", "0.7", "0.8", "0.9", "1.0"]),
        ("0.5-1.0 [3]", ["0.5", "0.75", "1"]),
        ("0.5-1.0 [6]", ["0.5", "0.6", "0.7", "0.8", "0.9", "1"]),
        ("-1-1 (+0.5)", ["-1", "-0.5", "0", "0.5", "1"]),
        ("-1--0.5 (+0.25)", ["-1", "-0.75", "-0.5"]),
        ("1-0 (-0.5)", ["1", "0.5", "0"]),
        ("0-1 (+0.3)", ["0", "0.3", "0.6", "0.9"]),
        ("0.2, 0.4 ,-.5", ["0.2", "0.4", "-0.5"]),
        ('"0.2", 0.4-0.6 [2]', ["0.2", "0.4", "0.6"]),
    ],
)
def test_ranges_are_exact_and_keep_their_ends(text: str, expected: list[str]) -> None:
    assert list(parse_decimals(text)) == [Decimal(value) for value in expected]
    assert list(parse_floats(text)) == [float(value) for value in expected]


_NUMBERS = st.decimals(-10, 10, places=4, allow_nan=False, allow_infinity=False)


@PATIENT
@given(_NUMBERS, _NUMBERS, st.decimals("0.05", 3, places=4, allow_nan=False, allow_infinity=False))
def test_a_range_by_step_counts_in_decimals_and_never_passes_its_end(
    start: Decimal, end: Decimal, step: Decimal
) -> None:
    values = parse_decimals(f"{start:f}-{end:f} (+{step:f})")
    signed = step if end >= start else -step
    assert list(values) == [start + i * signed for i in range(len(values))]
    low, high = sorted((start, end))
    assert all(low <= value <= high for value in values)
    assert not low <= values[-1] + signed <= high


@PATIENT
@given(_NUMBERS, _NUMBERS, st.integers(2, 40))
def test_a_range_by_count_has_both_ends(start: Decimal, end: Decimal, count: int) -> None:
    values = parse_decimals(f"{start:f}-{end:f} [{count}]")
    assert (len(values), values[0], values[-1]) == (count, start, end)


@PATIENT
@given(st.text(max_size=30) | st.from_regex(r"[-+0-9., ()\[\]]{0,24}", fullmatch=True))
def test_any_axis_text_is_values_or_a_usage_error(text: str) -> None:
    with suppress(UsageError):
        assert parse_integers(text)
    with suppress(UsageError):
        assert str(parse_axis(f"seed={text}")) == f"seed={text.strip()}"
    with suppress(UsageError):
        parse_axis(text)


def test_seeds_count_by_one_and_quotes_keep_commas() -> None:
    assert parse_integers("1-4, 10") == (1, 2, 3, 4, 10)
    assert parse_values('a, "b, c"') == ("a", "b, c")
    for bad in ("", "x", "1.5", "1-9 (+0)", "0-1000000", "0-" + "9" * 50, "9" * 60):
        with pytest.raises(UsageError):
            parse_integers(bad)


def test_every_kind_of_axis_changes_what_it_says() -> None:
    def values(text: str, field: str) -> list[object]:
        return [getattr(cell.request, field) for cell in made_grid(text).cells]

    def uses(text: str, field: str) -> list[object]:
        return [getattr(cell.request.loras[0], field) for cell in made_grid(text).cells]

    assert strengths_of(made_grid("strength:ink=0.5, 1")) == [(0.5, 1.0), (1.0, 1.0)]
    assert [
        (a, b) for a, b in zip(uses("te:ink=0.5", "strength"), uses("te:ink=0.5", "text_strength"), strict=True)
    ] == [(1.0, 0.5)]
    assert uses("unet:INK=0.5", "text_strength") == [1.0]
    assert uses("lora:ink=clay, ink", "name") == ["clay", "ink"]
    assert uses("epochs:ink=all", "name") == ["ink-000001", "ink"]
    assert uses("start:ink=0-8 (+4)", "start") == [0, 4, 8]
    assert uses("stop:#1=8, 12", "stop") == [8, 12]
    assert strengths_of(made_grid("ratio:ink:neon:1=0-1 [3]")) == [(0.0, 1.0), (0.5, 0.5), (1.0, 0.0)]
    assert strengths_of(made_grid("ratio=1:3, 3:1")) == [(0.5, 1.5), (1.5, 0.5)]
    assert values("seed=1-3", "seed") == [1, 2, 3]
    assert values("steps=4, 8", "steps") == [4, 8]
    assert values("cfg=3-5 [3]", "cfg") == [3, 4, 5]
    assert values("sampler=Euler a, DDIM", "sampler") == ["Euler a", "DDIM"]
    assert values("schedule=Automatic, Karras", "schedule") == ["Automatic", "Karras"]
    assert uses('blocks:ink=none, "1,0,0,0,0,0,0,0,0,0,0,0"', "blocks") == ["", "1,0,0,0,0,0,0,0,0,0,0,0"]
    assert values("clip-skip=1, 2", "clip_skip") == [1, 2]
    assert values("mode=bank, composite", "mode") == ["bank", "composite"]
    assert values("emphasis=Original, Interpolate", "emphasis") == ["Original", "Interpolate"]
    assert values("checkpoint=a, b", "base") == ["/models/a", "/models/b"]
    assert [(c.request.width, c.request.height) for c in made_grid("size=512x768, 64x64").cells] == [
        (512, 768),
        (64, 64),
    ]
    assert values("prompt=circle, square", "prompt") == ["inkwash circle, {mood} sky", "inkwash square, {mood} sky"]
    assert values("prompt=blur, noise", "negative") == ["blur", "noise"]
    assert values('slot:mood="red, dim", blue', "prompt") == [
        "inkwash circle, red, dim sky",
        "inkwash circle, blue sky",
    ]
    assert values("order=sky, inkwash", "prompt") == ["inkwash circle, {mood} sky", "sky circle, {mood} inkwash"]


def test_words_that_change_places_are_not_replaced_twice() -> None:
    grid = made_grid("order=red, blue, dim", request=msgspec.structs.replace(REQUEST, prompt="red (blue:1.2) dim"))
    assert len({cell.request.prompt for cell in grid.cells}) == 6
    assert grid.cells[-1].request.prompt == "dim (blue:1.2) red"


@pytest.mark.parametrize(
    "bad",
    [
        "magic=1", "strength", "strength:clay=1", "strength=1", "seed:ink=1", "seed=-1", "sampler=Magic", "prompt=triangle, square",
        "order=triangle, circle", "order=circle", "order=circle, inkwash circle", "slot:subject=cat", "slot=cat", "size=big",
        "size=13x13", "steps=0", "lora:ink=nothing", "lora:ink=neon", "epochs:ink=7", "combine=some", "ratio:ink=1:1",
        "ratio:ink:ink=1:1", "ratio=2", "ratio=0:0", "prompt=circle, <lora:clay:1>", "start:ink=-1", "emphasis=Loud",
        "blocks:ink=everything", "schedule=Never", "mode=magic",
    ],
)  # fmt: skip
def test_what_no_axis_can_be_is_one_clear_line(bad: str) -> None:
    with pytest.raises((UsageError, NotFoundError)) as caught:
        made_grid(bad)
    assert "\n" not in str(caught.value)


def test_values_that_do_not_go_together_are_refused() -> None:
    with pytest.raises(UsageError, match="DDIM has no schedule type Karras"):
        made_grid("sampler=Euler, DDIM", "schedule=Automatic, Karras")
    assert len(made_grid("sampler=Euler, DPM++ 2M", "schedule=Automatic, Karras").cells) == 4


def test_every_axis_that_is_offered_has_an_example_that_can_be_drawn() -> None:
    class Versions(Shelf):
        def lora(self, name: str) -> LoraUse:
            return LoraUse(path=name, name=name, sha256=name.ljust(64, "0"))

    request = msgspec.structs.replace(REQUEST, prompt="ink wash, a cat, {subject}", init="/p.png")
    for word, kind in KINDS.items():
        spec = parse_axis(kind.example)
        assert spec.kind == word
        assert len(make_grid(request, [build_axis(spec, request, Versions())], title="").cells) > 1


def test_combinations_are_sets_of_loras_with_the_others_off() -> None:
    assert strengths_of(made_grid("combine=pairs", request=THREE)) == [(0, 0, 0), (1, 1, 0), (1, 0, 1), (0, 1, 1)]
    assert strengths_of(made_grid("combine=all-but-one, all", request=THREE))[1:] == [
        (1, 1, 0),
        (1, 0, 1),
        (0, 1, 1),
        (1, 1, 1),
    ]
    assert len(set(strengths_of(made_grid("combine=subsets", request=THREE)))) == 8
    assert made_grid("combine=").axes[0].values == ("none", "ink", "neon", "ink + neon")
    # A set takes a LoRA away whatever strength another axis gives it, in either order.
    for axes in (("combine=alone", "strength:ink=0.5"), ("strength:ink=0.5", "combine=alone")):
        assert set(strengths_of(made_grid(*axes))) == {(0, 0), (0.5, 0), (0, 1)}


def test_in_modes_of_turns_a_lora_that_is_off_has_no_turn() -> None:
    grid = made_grid("combine=alone", request=msgspec.structs.replace(REQUEST, mode="switch"))
    assert [[use.name for use in cell.request.loras] for cell in grid.cells] == [[], ["ink"], ["neon"]]


def test_two_axes_may_change_the_same_tag() -> None:
    for axes in (("lora:ink=ink, clay", "strength:ink=0.5, 1"), ("strength:ink=0.5, 1", "lora:ink=ink, clay")):
        found = {(c.request.loras[0].name, c.request.loras[0].strength) for c in made_grid(*axes).cells}
        assert found == {("ink", 0.5), ("ink", 1.0), ("clay", 0.5), ("clay", 1.0)}
    both = {
        (c.request.loras[0].strength, c.request.loras[0].text_strength)
        for c in made_grid("te=0, 1", "unet=0.5", request=ONE).cells
    }
    assert both == {(0.5, 0.0), (0.5, 1.0)}
    with pytest.raises(UsageError, match="two axes set"):
        made_grid("strength:ink=1", "te:ink=0.5")
    with pytest.raises(UsageError, match="two axes set"):
        made_grid("seed=1", "seed=2")
