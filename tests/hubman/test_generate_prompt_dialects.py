"""The same words elsewhere: weights of ComfyUI and Compel, written in A1111's grammar."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubman.generate.prompt_dialects import DIALECTS, from_comfyui, from_compel, to_a1111, written
from hubman.generate.prompt_emphasis import Run, runs
from hubman.generate.prompt_schedule import schedule
from tests.support.patient import PATIENT

TEXTS = st.text(st.sampled_from(list('ab (),.:[]|\\+-"0123456789ANDé')), max_size=40) | st.text(max_size=30)


def _weights(text: str, dialect: str) -> dict[str, float]:
    return {run.text.strip(): round(run.weight, 4) for run in runs(to_a1111(text, dialect)) if run.text.strip()}


def test_nested_explicit_weights_of_the_three() -> None:
    text = "(a (b:1.5):1.2)"
    assert _weights(text, "a1111") == {"a": 1.2, "b": 1.8}
    assert _weights(text, "comfyui") == {"a": 1.2, "b": 1.5}
    assert _weights("(a (b)1.5)1.2", "invokeai") == {"a": 1.2, "b": 1.8}


@pytest.mark.parametrize(
    ("text", "dialect", "expected"),
    [
        ("((a)) [b] c", "comfyui", {"a": 1.21, "[b] c": 1}),
        ("(x:0.9) y", "comfyui", {"x": 0.9, "y": 1}),
        (r"\(a\) (b:c:1.3)", "comfyui", {"(a)": 1, "b:c": 1.3}),
        ("[cat:dog:5] a|b AND c BREAK", "comfyui", {"[cat:dog:5] a|b and c break": 1}),
        ("(a:-0.5", "comfyui", {"(a:-0.5": 1}),
        ("x+ y-- z", "invokeai", {"x": 1.1, "y": 0.81, "z": 1}),
        ("(x y)1.3 (z)", "invokeai", {"x y": 1.3, "z": 1}),
        ('"old man"++ [a] well-known', "invokeai", {"old man": 1.21, "[a] well-known": 1}),
    ],
)
def test_weights_are_those_of_the_program(text: str, dialect: str, expected: dict[str, float]) -> None:
    assert _weights(text, dialect) == expected


@PATIENT
@given(TEXTS, st.sampled_from(DIALECTS))
def test_any_text_of_any_program_is_translated_into_plain_emphasis(text: str, dialect: str) -> None:
    translated = to_a1111(text, dialect)
    if dialect != "a1111":
        assert len(schedule(translated, 5)) == 1
        read = (from_comfyui if dialect == "comfyui" else from_compel)(text)
        assert sum(len(run.text) for run in runs(translated)) <= sum(len(run.text) for run in read)


@PATIENT
@given(st.lists(st.tuples(st.text("ab ()[]\\|:.5", min_size=1), st.integers(-300, 300)), max_size=5))
def test_written_runs_are_read_back(pieces: list[tuple[str, int]]) -> None:
    wanted: list[Run] = []
    for text, hundredths in pieces:
        if not text.strip():
            continue
        weight = hundredths / 100
        if wanted and wanted[-1].weight == weight:
            wanted[-1] = Run(wanted[-1].text + text, weight)
        else:
            wanted.append(Run(text, weight))
    read = runs(written(tuple(wanted)))
    assert [run.text for run in read] == ([run.text for run in wanted] or [""])
    assert all(math.isclose(a.weight, b.weight, abs_tol=1e-6) for a, b in zip(read, wanted, strict=False))
