"""What in the words of a prompt does not do what it seems to: brackets, schedules, weights."""

from __future__ import annotations

import re
from collections.abc import Iterator

from hubman.generate import prompt_parts, prompt_schedule
from hubman.generate.lint import Edit, Lint
from hubman.generate.prompt_emphasis import CLOSING, UP, brackets
from hubman.generate.prompt_tag_args import NUMBER

_LAST_WEIGHT = re.compile(rf":\s*{NUMBER}\s*\Z")
_COMMA_WEIGHT = re.compile(r":\s*([+-]?\d{0,3}),(\d{1,4})\s*\)")


def lint_words(text: str) -> tuple[Lint, ...]:
    """Remarks on a prompt without tags, with positions in it; each part of AND is drawn by itself."""
    parts = prompt_parts.parts(text)
    found = [lint.moved(part.at) for part in parts for lint in (*_brackets(part.text), *_literal(part.text))]
    weight = prompt_parts.trailing_weight(text)
    if weight and not brackets(text).unclosed:
        start, end = weight
        message = f"{text[start:].strip()} at the end is text here, and the weight of the whole prompt in A1111"
        found.append(Lint(start, end, "trailing-weight", message, Edit(end, end, ",")))
    return tuple(found)


def lint_negative(text: str) -> tuple[Lint, ...]:
    """Remarks on a negative prompt, which has no parts."""
    found = [*_brackets(text), *_literal(text)]
    for match in re.finditer(r"\bAND\b", text):
        message = "AND is a word in a negative prompt: it joins nothing there"
        found.append(Lint(*match.span(), "and-in-negative", message, Edit(*match.span(), ",")))
    return tuple(found)


def _brackets(text: str) -> Iterator[Lint]:
    """Brackets that do not mean what they seem to."""
    found = brackets(text)
    for at in found.unopened:
        message = f"{text[at]!r} closes nothing and is drawn as text"
        yield Lint(at, at + 1, "unopened", message, Edit(at, at + 1, f"\\{text[at]}"))
    end = _end(text)
    ends_in_number = _LAST_WEIGHT.search(text) is not None
    for at in found.unclosed:
        message = f"{text[at]!r} is never closed: it counts to the end of the prompt"
        if text[at] == "(" and ends_in_number:
            message += f", with weight {UP}, and the number is drawn as text"
        yield Lint(at, at + 1, "unclosed", message, Edit(end, end, CLOSING[text[at]]))
    for match in _COMMA_WEIGHT.finditer(text):
        number = f"{match[1]}.{match[2]}"
        message = f"{match[0][:-1].strip()} is text, not the weight {number}"
        yield Lint(match.start(), match.end(), "decimal-comma", message, Edit(*match.span(), f":{number})"))


def _end(text: str) -> int:
    """Where a closing bracket can be added: before white space and before a backslash that would take it."""
    end = len(text.rstrip())
    tail = len(text[:end]) - len(text[:end].rstrip("\\"))
    return end - tail % 2


def _literal(text: str) -> Iterator[Lint]:
    at = prompt_schedule.read(text).literal_at
    if at is None or "[" not in text:
        return
    message = "the prompt is taken literally: its schedules do not fit the grammar"
    outside = text[at : at + 1] == "|" and _is_outside(text, at)
    edit = Edit(at, at + 1, "\\|") if outside else None
    at = min(at, len(text) - 1)
    yield Lint(at, at + 1, "literal", message, edit)


def _is_outside(text: str, at: int) -> bool:
    """Whether no square bracket is open at ``at``, so that the sign can only be meant as text."""
    return not any(text[place] == "[" for place in brackets(text[:at]).unclosed)
