"""A1111 emphasis: ``(more) [less] (exactly:1.3) \\(literal\\)`` and BREAK, as runs of text with a weight."""

from __future__ import annotations

import re
from dataclasses import dataclass

from hubman.generate.lint import Lint

UP = 1.1
_TOKEN = re.compile(r"\\[()\[\]\\]|\\|\(|\[|:\s*([+-]?(?:\d+\.?\d*|\.\d+))\s*\)|\)|\]|[^\\()\[\]:]+|:")
_BREAK = re.compile(r"\s*\bBREAK\b\s*")
_UNCLOSED_WEIGHT = re.compile(r".*:\s*[+-]?[\d.]+\s*$", re.DOTALL)


@dataclass(frozen=True)
class Run:
    """Text that carries one weight. ``is_break`` starts a new chunk of 75 tokens instead; its text is empty."""

    text: str
    weight: float = 1.0
    is_break: bool = False


def runs(text: str) -> tuple[Run, ...]:
    """Read emphasis; any text gives a result. Neighbours of equal weight are joined; no text gives one empty run."""
    pieces: list[tuple[str, float, bool]] = []
    opened: list[tuple[str, int, int]] = []

    def multiply(since: int, factor: float) -> None:
        pieces[since:] = [(piece, weight * factor, is_break) for piece, weight, is_break in pieces[since:]]

    for match in _TOKEN.finditer(text):
        token, weight = match[0], match[1]
        if len(token) == 2 and token[0] == "\\":
            pieces.append((token[1], 1.0, False))
        elif token in {"(", "["}:
            opened.append((token, len(pieces), match.start()))
        elif weight is not None and opened and opened[-1][0] == "(":
            multiply(opened.pop()[1], float(weight))
        elif token == ")" and opened and opened[-1][0] == "(":
            multiply(opened.pop()[1], UP)
        elif token == "]" and opened and opened[-1][0] == "[":
            multiply(opened.pop()[1], 1 / UP)
        else:
            pieces += _split_breaks(token)
    for bracket, since, _ in opened:
        multiply(since, UP if bracket == "(" else 1 / UP)
    return _joined(pieces)


def _split_breaks(text: str) -> list[tuple[str, float, bool]]:
    parts = _BREAK.split(text)
    found: list[tuple[str, float, bool]] = []
    for number, part in enumerate(parts):
        if number:
            found.append(("", 1.0, True))
        found.append((part, 1.0, False))
    return found


def _joined(pieces: list[tuple[str, float, bool]]) -> tuple[Run, ...]:
    found: list[Run] = []
    for text, weight, is_break in pieces:
        if is_break:
            found.append(Run("", 1.0, is_break=True))
        elif not text:
            continue
        elif found and not found[-1].is_break and found[-1].weight == weight:
            found[-1] = Run(found[-1].text + text, weight)
        else:
            found.append(Run(text, weight))
    return tuple(found) or (Run(""),)


def lint_emphasis(text: str) -> tuple[Lint, ...]:
    """Brackets that do not mean what they seem to."""
    lints: list[Lint] = []
    opened: list[tuple[str, int]] = []
    for match in _TOKEN.finditer(text):
        token, at = match[0], match.start()
        closes = "(" if token == ")" or match[1] is not None else "[" if token == "]" else ""
        if token in {"(", "["}:
            opened.append((token, at))
        elif closes and opened and opened[-1][0] == closes:
            opened.pop()
        elif closes:
            lints.append(
                Lint(at, "unopened", f"{token[-1]!r} closes nothing and is drawn as text", fix=f"\\{token[-1]}")
            )
    for bracket, at in opened:
        closing = ")" if bracket == "(" else "]"
        rest = text[at + 1 :]
        message = f"{bracket!r} is never closed: it counts to the end of the prompt"
        if bracket == "(" and _UNCLOSED_WEIGHT.fullmatch(rest):
            message += f", with weight {UP}, and the number is drawn as text"
        lints.append(Lint(at, "unclosed", message, fix=closing))
    return tuple(lints)


def escape(text: str) -> str:
    """Literal text for a prompt: brackets and backslashes get a backslash."""
    return re.sub(r"([()\[\]\\])", r"\\\1", text)
