"""The prompt language: A1111's reading of tags, emphasis, schedules and AND, total over any text."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubman.generate.prompt import loras_of, parse, refuse_tags, tag_of, with_tags
from hubman.generate.prompt_emphasis import Run, escape, runs
from hubman.generate.prompt_parts import Part, parts
from hubman.generate.prompt_schedule import Stretch, schedule
from hubman.generate.prompt_slots import fill_slots
from hubman.generate.prompt_tags import LoraTag, cut_tags
from hubman.generate.request import LoraUse
from registry.errors import NotFoundError, UsageError
from tests.support.patient import PATIENT

PROMPTS = st.text(st.sampled_from("ab ,.:|()[]\\<>{}=-+0123456789loraANDBREK\n\té漢"), max_size=60) | st.text(
    max_size=60
)
NAMES = st.text(st.characters(exclude_characters=":>", exclude_categories=["Cs"]), min_size=1, max_size=20)
STRENGTHS = st.integers(-300, 300).map(lambda n: n / 100)


def _codes(text: str) -> list[str]:
    return [lint.code for lint in parse(text).lints]


@PATIENT
@given(PROMPTS, st.integers(1, 30))
def test_any_text_has_a_reading(text: str, steps: int) -> None:
    prompt = parse(text)
    assert all(0 <= lint.start <= lint.end <= len(text) for lint in prompt.lints)
    for part in parts(prompt.text):
        stretches = schedule(part.text, steps)
        assert stretches[-1].until == steps
        assert all(runs(stretch.text) for stretch in stretches)


@PATIENT
@given(NAMES, STRENGTHS, STRENGTHS, st.integers(0, 30), st.none() | st.integers(0, 30))
def test_a_written_tag_is_read_back(name: str, te: float, unet: float, start: int, stop: int | None) -> None:
    tag = LoraTag(name, te=te, unet=unet, start=start, stop=stop)
    cut = cut_tags(f"before {tag} after")
    assert cut.tags == (tag,)
    assert cut.text == "before  after"


@pytest.mark.parametrize(
    ("tag", "te", "unet"),
    [
        ("<lora:x>", 1.0, 1.0),
        ("<lora:x:0.8>", 0.8, 0.8),
        ("<lora:x:0.5:0.25>", 0.5, 0.25),
        ("<lora:x:te=0.5:unet=.25>", 0.5, 0.25),
        ("<lora:x:unet=0.3>", 1.0, 0.3),
        ("<lora:x:-1>", -1.0, -1.0),
    ],
)
def test_strengths_are_read_as_a1111_reads_them(tag: str, te: float, unet: float) -> None:
    (read,) = cut_tags(tag).tags
    assert (read.te, read.unet) == (te, unet)


def test_steps_and_block_weights_of_a_tag() -> None:
    (tag,) = cut_tags("<lora:x:0.8:step=3-9:MIDD>").tags
    assert (tag.start, tag.stop, tag.block_weights) == (3, 9, "MIDD")


def test_a_tag_inside_emphasis_keeps_its_strength_and_is_remarked() -> None:
    prompt = parse("a (<lora:x:0.8>:1.2) b")
    assert prompt.text == "a (:1.2) b"
    assert prompt.tags[0].unet == 0.8
    assert "tag-in-emphasis" in _codes("a (<lora:x:0.8>:1.2) b")


def test_a_tag_inside_a_schedule_is_on_for_the_whole_run_and_start_is_offered() -> None:
    prompt = parse("[<lora:x:1>:10]")
    assert prompt.tags[0].start == 0
    assert any(lint.code == "tag-in-schedule" and "start=10" in lint.fix for lint in prompt.lints)


@pytest.mark.parametrize("typed", ["<LORA:x:1>", "< lora:x:1>"])
def test_near_misses_are_text_and_remarked(typed: str) -> None:
    prompt = parse(f"a {typed}")
    assert prompt.tags == ()
    assert prompt.lints[0].code == "near-miss"
    assert prompt.lints[0].start == 2


def test_lints_after_a_tag_point_into_the_text_as_typed() -> None:
    typed = "a <lora:x:1> b) c"
    (lint,) = parse(typed).lints
    assert typed[lint.start] == ")"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a (b) [c] (d:1.5)", [("a ", 1), ("b", 1.1), (" ", 1), ("c", 1 / 1.1), (" ", 1), ("d", 1.5)]),
        ("((b))", [("b", 1.21)]),
        ("(a (b:1.5):1.2)", [("a ", 1.2), ("b", 1.8)]),
        ("(b:-0.5)", [("b", -0.5)]),
        ("(b:1.2", [("b:1.2", 1.1)]),
        (r"\(b\) \[c\]", [("(b) [c]", 1)]),
        ("", [("", 1)]),
        ("a BREAK b", [("a", 1), ("", 1), ("b", 1)]),
        ("a(b", [("a", 1), ("b", 1.1)]),
    ],
)
def test_emphasis_is_a1111s(text: str, expected: list[tuple[str, float]]) -> None:
    found = runs(text)
    assert [run.text for run in found] == [text for text, _ in expected]
    assert all(math.isclose(run.weight, weight) for run, (_, weight) in zip(found, expected, strict=True))


@PATIENT
@given(st.text(max_size=40))
def test_escaped_text_is_literal(text: str) -> None:
    read = runs(escape(text).replace("BREAK", "break"))
    assert "".join(run.text for run in read) == text.replace("BREAK", "break")
    assert {run.weight for run in read} == {1.0}


@pytest.mark.parametrize("text", ["(b:1.2", "[b"])
def test_unclosed_brackets_are_remarked(text: str) -> None:
    assert _codes(text) == ["unclosed"]


@pytest.mark.parametrize(
    ("text", "steps", "expected"),
    [
        ("a", 4, [(4, "a")]),
        ("[a:b:2]", 4, [(2, "a"), (4, "b")]),
        ("x [b:2]", 4, [(2, "x "), (4, "x b")]),
        ("[a::2] y", 4, [(2, "a y"), (4, " y")]),
        ("[a:b:0.5]", 10, [(5, "a"), (10, "b")]),
        ("[a|b|]", 4, [(1, "a"), (2, "b"), (3, ""), (4, "a")]),
        ("[a:[b:c:3]:1]", 4, [(1, "a"), (3, "b"), (4, "c")]),
        ("([a:b:1]:1.2)", 2, [(1, "(a:1.2)"), (2, "(b:1.2)")]),
        ("[a]", 2, [(2, "[a]")]),
        ("[a:b", 2, [(2, "[a:b")]),
        ("a | [b|c]", 2, [(2, "a | [b|c]")]),
        ("[a:b:c:2]", 2, [(2, "[a:b:c:2]")]),
        ("[a:b:99]", 2, [(2, "a")]),
        (r"\[a:b:1\]", 2, [(2, r"\[a:b:1\]")]),
    ],
)
def test_schedules_change_the_text_at_their_steps(text: str, steps: int, expected: list[tuple[int, str]]) -> None:
    assert schedule(text, steps) == tuple(Stretch(*stretch) for stretch in expected)


def test_and_splits_with_weights() -> None:
    assert parts("a cat:1.2 AND a dog : -0.5 AND b") == (Part("a cat", 1.2), Part(" a dog ", -0.5), Part(" b", 1.0))
    assert parts("a HAND:2") == (Part("a HAND:2", 1.0),)


def test_slots_are_filled_and_empty_ones_named() -> None:
    assert fill_slots(r"a {subject} \{x\}", {"subject": "cat"}) == "a cat {x}"
    with pytest.raises(UsageError, match="style"):
        fill_slots("{style}", {})


def _library(name: str) -> LoraUse:
    if name != "ink":
        raise NotFoundError(f"no LoRA {name}")
    return LoraUse(path="ink.safetensors", name="ink", sha256="a" * 64)


def test_tags_become_loras_with_their_strengths() -> None:
    (use,) = loras_of(parse("a <lora:ink:0.5:0.25>"), _library)
    assert (use.text_strength, use.strength) == (0.5, 0.25)
    assert cut_tags(str(tag_of(use))).tags == parse("a <lora:ink:0.5:0.25>").tags


def test_the_same_lora_twice_is_refused_with_the_sum() -> None:
    assert "twice" in _codes("<lora:ink:0.5> <lora:ink:0.25>")
    with pytest.raises(UsageError) as caught:
        loras_of(parse("<lora:ink:0.5> <lora:ink:0.25>"), _library)
    assert "0.75" in caught.value.hint


def test_block_weights_and_ranks_of_tags_are_part_of_the_request_and_back() -> None:
    text = "a <lora:ink:0.8:dyn=4:lbw=MIDD:start=2:stop=9>"
    (use,) = loras_of(parse(text), _library)
    assert (use.blocks, use.rank, use.start, use.stop) == ("MIDD", 4, 2, 9)
    assert with_tags("a", (use,)) == text


def test_tags_in_the_negative_prompt_are_refused() -> None:
    refuse_tags("ugly")
    with pytest.raises(UsageError, match="negative prompt"):
        refuse_tags("ugly <lora:ink:1>")


def test_tags_are_written_after_the_text() -> None:
    use = LoraUse(path="p", name="ink", sha256="a", strength=0.8)
    assert with_tags("a cat", (use,)) == "a cat <lora:ink:0.8>"
    assert Run("x").weight == 1
