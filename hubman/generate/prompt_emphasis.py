r"""A1111 emphasis: ``(more) [less] (exactly:1.3) \(literal\)`` and BREAK, as runs of text with a weight."""

from __future__ import annotations

import re
from dataclasses import dataclass

from hubman.generate.lint import Lint

UP = 1.1
_PART = re.compile(r"\\[()\[\]\\]|\\|\(|\[|:\s*([+-]?(?:\d+\.?\d*|\.\d+))\s*\)|\)|\]|[^\\()\[\]:]+|:")
_BREAK = re.compile(r"\s*\bBREAK\b\s*")
_UNCLOSED_WEIGHT = re.compile(r".*:\s*[+-]?[\d.]+\s*", re.DOTALL)
_OPENING = {")": "(", "]": "["}
_CLOSING = {"(": ")", "[": "]"}


@dataclass(frozen=True)
class Run:
    """Text that carries one weight. ``is_break`` starts a new chunk of 75 tokens instead; its text is empty."""

    text: str
    weight: float = 1.0
    is_break: bool = False


def runs(text: str) -> tuple[Run, ...]:
    """Read emphasis; any text gives a result. Neighbours of equal weight are joined; no text gives one empty run."""
    pieces: list[Run] = []
    # A1111 keeps two stacks, so "([a)]" closes both.
    opened: dict[str, list[int]] = {"(": [], "[": []}

    def multiply(since: int, factor: float) -> None:
        pieces[since:] = [Run(run.text, run.weight * factor, run.is_break) for run in pieces[since:]]

    for match in _PART.finditer(text):
        part, weight = match[0], match[1]
        if part.startswith("\\"):
            pieces.append(Run(part[1:]))
        elif part in _CLOSING:
            opened[part].append(len(pieces))
        elif part[-1] in _OPENING and opened[_OPENING[part[-1]]]:
            factor = float(weight) if weight is not None else UP if part == ")" else 1 / UP
            multiply(opened[_OPENING[part[-1]]].pop(), factor)
        else:
            pieces += _split_breaks(part)
    for bracket, factor in (("(", UP), ("[", 1 / UP)):
        for since in opened[bracket]:
            multiply(since, factor)
    return _joined(pieces)


def _split_breaks(text: str) -> list[Run]:
    found: list[Run] = []
    for number, part in enumerate(_BREAK.split(text)):
        found += [Run("", is_break=True), Run(part)] if number else [Run(part)]
    return found


def _joined(pieces: list[Run]) -> tuple[Run, ...]:
    found: list[Run] = []
    for run in pieces:
        if run.is_break:
            found.append(Run("", is_break=True))
        elif run.text and found and not found[-1].is_break and found[-1].weight == run.weight:
            found[-1] = Run(found[-1].text + run.text, run.weight)
        elif run.text:
            found.append(run)
    return tuple(found) or (Run(""),)


def lint_emphasis(text: str) -> tuple[Lint, ...]:
    """Brackets that do not mean what they seem to."""
    lints: list[Lint] = []
    opened: dict[str, list[int]] = {"(": [], "[": []}
    for match in _PART.finditer(text):
        part = match[0]
        if part in _CLOSING:
            opened[part].append(match.start())
        elif part[-1] in _OPENING and not part.startswith("\\"):
            if opened[_OPENING[part[-1]]]:
                opened[_OPENING[part[-1]]].pop()
            else:
                message = f"{part[-1]!r} closes nothing and is drawn as text"
                lints.append(Lint(match.end() - 1, "unopened", message, fix=f"\\{part[-1]}"))
    for bracket, places in opened.items():
        lints += [_unclosed(text, bracket, at) for at in places]
    return tuple(lints)


def _unclosed(text: str, bracket: str, at: int) -> Lint:
    message = f"{bracket!r} is never closed: it counts to the end of the prompt"
    if bracket == "(" and _UNCLOSED_WEIGHT.fullmatch(text, at + 1):
        message += f", with weight {UP}, and the number is drawn as text"
    return Lint(at, "unclosed", message, fix=_CLOSING[bracket])


def escape(text: str) -> str:
    """Literal text for a prompt: brackets and backslashes get a backslash."""
    return re.sub(r"([()\[\]\\])", r"\\\1", text)
