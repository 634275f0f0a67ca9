"""Remarks on prompts: where they stand, what their edits make, and that mending any text ends."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubman.generate.lint import mended
from hubman.generate.prompt import lint, mend, parse
from hubman.generate.prompt_parts import Part
from hubman.generate.prompt_slots import slots
from hubman.generate.prompt_tags import LoraTag, cut_tags
from tests.support.patient import PATIENT

WORDS = [
    "<lora:",
    "<lyco:",
    "a:1>",
    "ink:0,8>",
    "AND",
    "BREAK",
    "{subject}",
    "\\",
    ":0.5]",
    ":1.2)",
    "lbw=1,0",
    "start=3",
    ">",
]
TEXTS = st.lists(st.sampled_from([*"ab ,.:|()[]<>{}=-+01\né漢", *WORDS]), max_size=25).map("".join) | st.text(
    max_size=40
)
SLOTS: st.SearchStrategy[dict[str, str] | None] = st.none() | st.just({}) | st.just({"subject": "(x [y"})


@PATIENT
@given(TEXTS, SLOTS, st.none() | st.just(10), st.booleans())
def test_mending_any_text_ends_with_nothing_left_to_mend(
    typed: str, values: dict[str, str] | None, steps: int | None, is_negative: bool
) -> None:
    found = lint(typed, slots=values, steps=steps, is_negative=is_negative)
    assert all(0 <= one.start <= one.end <= len(typed) for one in found)
    assert [one.start for one in found] == sorted(one.start for one in found)
    left = lint(
        mend(typed, slots=values, steps=steps, is_negative=is_negative),
        slots=values, steps=steps, is_negative=is_negative,
    )  # fmt: skip
    assert [one for one in left if one.edit] == []


@pytest.mark.parametrize(
    ("typed", "code", "about", "better"),
    [
        ("a (<lora:x:0.8>:1.2) b", "tag-in-emphasis", "(<lora:x:0.8>:1.2)", "a <lora:x:0.96> b"),
        ("a (<lora:x>)", "tag-in-emphasis", "(<lora:x>)", "a <lora:x:1.1>"),
        ("[<lora:x:1>:10]", "tag-in-schedule", "[<lora:x:1>:10]", "<lora:x:1:start=10>"),
        ("[<lora:x:1>::10]", "tag-in-schedule", "[<lora:x:1>::10]", "<lora:x:1:stop=10>"),
        ("[<lora:x:1>:0.5]", "tag-in-schedule", "[<lora:x:1>:0.5]", "<lora:x:1:start=10>"),
        ("[<lora:x:1>:<lora:y:1>:4]", "tag-in-schedule", None, "<lora:x:1:stop=4> <lora:y:1:start=4>"),
        ("[cat <lora:x:1>:dog:4]", "tag-in-schedule", None, "[cat :dog:4] <lora:x:1:stop=4>"),
        ("[<lora:x:1>|cat]", "tag-in-schedule", "[<lora:x:1>|cat]", None),
        ("é <LORA:x:1>", "near-miss", "<LORA:", "é <lora:x:1>"),
        ("< lora:x:1>", "near-miss", "< lora:", "<lora:x:1>"),
        ("<lyco:x:1>", "near-miss", "<lyco:", "<lora:x:1>"),
        ("<lora:>x", "near-miss", "<lora:>", "x"),
        ("<lora:x:1 a cat", "unclosed-tag", "<lora:x:1", "<lora:x:1> a cat"),
        ("<lora:x <lora:y:1>", "unclosed-tag", "<lora:", "<lora:x> <lora:y:1>"),
        ("<lora:x:0,8>", "decimal-comma", "0,8", "<lora:x:0.8>"),
        ("(a:1,3) b", "decimal-comma", ":1,3)", "(a:1.3) b"),
        ("<lora:x:1:1:4:5>", "argument", "5", "<lora:x:1:1:4>"),
        ("<lora:x:te=big>", "argument", "te=big", "<lora:x>"),
        ("<lora:x:1:foo=2>", "argument", "foo=2", "<lora:x:1>"),
        ("<lora:x:1:lbw=1,0,1>", "blocks", "lbw=1,0,1", None),
        ("<lora:x:1:NOSUCH>", "blocks", "NOSUCH", None),
        ("<lora:x:1:start=8:stop=3>", "never-on", None, None),
        ("<lora:x:1:start=30>", "never-on", "<lora:x:1:start=30>", None),
        ("<lora:x:0.1> a <lora:x:0.2>", "twice", "<lora:x:0.2>", "<lora:x:0.3> a "),
        ("a ) b", "unopened", ")", r"a \) b"),
        ("a (b", "unclosed", "(", "a (b)"),
        ("(b:1.2", "unclosed", "(", "(b:1.2)"),
        ("(a AND b) c", "unclosed", "(", "(a) AND b) c"),
        ("a | [b|c]", "literal", "|", r"a \| [b|c]"),
        ("a photo in 16:9", "trailing-weight", ":9", "a photo in 16:9,"),
    ],
)
def test_a_remark_says_where_and_its_edit_mends_it(
    typed: str, code: str, about: str | None, better: str | None
) -> None:
    first = next(one for one in lint(typed, steps=20) if one.code == code)
    assert about is None or typed[first.start : first.end] == about
    assert (mended(typed, first) if first.edit else None) == better
    assert bool(first.fix) == (better is not None)


@pytest.mark.parametrize(
    "typed",
    ["a cat, (b:1.2) [c] <lora:x:0.8:0.5:lbw=MIDD>", "a | b", "[a:b:3] [c|d] AND e :0.5", "", "BREAK", r"\(a\)"],
)
def test_what_does_what_it_says_is_not_remarked(typed: str) -> None:
    assert lint(typed, slots={}, steps=20) == ()


def test_a_share_of_unknown_steps_is_remarked_without_an_edit() -> None:
    (one,) = lint("[<lora:x:1>:0.5]")
    assert one.edit is None


def test_a_negative_prompt_has_no_tags_and_no_parts() -> None:
    typed = "bad <lora:x:1> AND worse"
    codes = {one.code: one.is_error for one in lint(typed, is_negative=True)}
    assert codes == {"tag-in-negative": True, "and-in-negative": False}
    assert mend(typed, is_negative=True) == "bad  , worse"


def test_remarks_on_a_template_point_into_the_template() -> None:
    typed = "{subject}, <LORA:x:1> {style}"
    found = lint(typed, slots={"subject": "a very long subject (red"})
    by_code = {one.code: one for one in found}
    assert typed[by_code["near-miss"].start : by_code["near-miss"].end] == "<LORA:"
    assert typed[by_code["slot-empty"].start : by_code["slot-empty"].end] == "{style}"
    assert by_code["slot-empty"].is_error
    assert typed[by_code["unclosed"].start : by_code["unclosed"].end] == "{subject}"
    assert mended(typed, by_code["near-miss"]) == "{subject}, <lora:x:1> {style}"
    assert slots(typed) == ("subject", "style")


def test_parts_and_weights_are_in_the_parsed_form() -> None:
    assert parse("a <lora:x:1> AND b :0.5").parts == (Part("a  "), Part(" b ", 0.5))
    assert parse("only one :0.5").parts == (Part("only one :0.5"),)


@pytest.mark.parametrize(
    ("args", "tag"),
    [
        ("1:0.5:8", LoraTag("x", 1, 0.5, rank=8)),
        ("1:1,0,0,0,1,1,1,1,1,1,1,1", LoraTag("x", block_weights="1,0,0,0,1,1,1,1,1,1,1,1")),
        ("0.5:MIDD", LoraTag("x", 0.5, 0.5, block_weights="MIDD")),
        ("0.5:te=0.25", LoraTag("x", 0.25, 0.25)),
        ("lbw=ALL:start=2:stop=9:0.5", LoraTag("x", 0.5, 0.5, 2, 9, None, "ALL")),
        ("-.5:+1.", LoraTag("x", -0.5, 1.0)),
        ("9" * 400, LoraTag("x", block_weights="9" * 400)),
    ],
)
def test_arguments_of_a_tag_in_any_order(args: str, tag: LoraTag) -> None:
    assert cut_tags(f"<lora:x:{args}>").tags == (tag,)


@pytest.mark.parametrize("bit", ["(", "[a|", "<lora:a", "<lora::", "a:", ": ", "[a:b:", "((a", " "])
def test_long_texts_of_nothing_but_beginnings_are_read(bit: str) -> None:
    read = parse(bit * 4000)
    assert read.parts
