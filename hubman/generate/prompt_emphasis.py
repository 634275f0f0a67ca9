r"""A1111 emphasis: ``(more) [less] (exactly:1.3) \(literal\)`` and BREAK, as runs of text with a weight."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hubman.generate.prompt_tag_args import NUMBER

UP = 1.1
MAX_DEPTH = 100
"""Brackets that are open at once; deeper ones are text. 1.1 to that power is 13,780 already."""
_PART = re.compile(rf"\\[()\[\]\\]|\\|\(|\[|:\s*({NUMBER})\s*\)|\)|\]|[^\\()\[\]:]+|:")
_BREAK = re.compile(r"\bBREAK\b")
OPENING = {")": "(", "]": "["}
CLOSING = {"(": ")", "[": "]"}


@dataclass(frozen=True)
class Run:
    """Text that carries one weight. ``is_break`` starts a new chunk of 75 tokens instead; its text is empty."""

    text: str
    weight: float = 1.0
    is_break: bool = False


@dataclass(frozen=True)
class Pair:
    """Brackets that belong together, ``start`` to ``end`` with both; their text ends at ``inner_end``."""

    start: int
    inner_end: int
    end: int
    factor: float


@dataclass(frozen=True)
class Brackets:
    """How the brackets of a text pair up: ``unclosed`` and ``unopened`` are positions of single ones."""

    pairs: tuple[Pair, ...]
    unclosed: tuple[int, ...]
    unopened: tuple[int, ...]


def brackets(text: str) -> Brackets:
    """Pair the brackets as A1111 does, which keeps two stacks: ``([a)]`` closes both."""
    opened: dict[str, list[int]] = {"(": [], "[": []}
    pairs: list[Pair] = []
    unopened: list[int] = []
    for match in _PART.finditer(text):
        part, end = match[0], match.end()
        if part in CLOSING:
            if len(opened[part]) < MAX_DEPTH:
                opened[part].append(match.start())
        elif part[-1] in OPENING and part[0] != "\\":
            stack = opened[OPENING[part[-1]]]
            if stack:
                pairs.append(Pair(stack.pop(), match.start(), end, _factor(part, match[1])))
            else:
                unopened.append(end - 1)
    return Brackets(tuple(pairs), tuple(sorted(opened["("] + opened["["])), tuple(unopened))


def _factor(closing: str, weight: str | None) -> float:
    return float(weight) if weight is not None else UP if closing == ")" else 1 / UP


def runs(text: str) -> tuple[Run, ...]:
    """Read emphasis; any text gives a result. Neighbours of equal weight are joined; no text gives one empty run."""
    pieces: list[tuple[str, bool]] = []
    weights: list[float] = []
    opened: dict[str, list[int]] = {"(": [], "[": []}

    def add(found: Iterable[tuple[str, bool]]) -> None:
        pieces.extend(found)
        weights.extend([1.0] * (len(pieces) - len(weights)))

    def multiply(since: int, factor: float) -> None:
        weights[since:] = [weight * factor for weight in weights[since:]]

    for match in _PART.finditer(text):
        part = match[0]
        if part[0] == "\\":
            add([(part[1:], False)])
        elif part in CLOSING and len(opened[part]) < MAX_DEPTH:
            opened[part].append(len(pieces))
        elif part[-1] in OPENING and opened[OPENING[part[-1]]]:
            multiply(opened[OPENING[part[-1]]].pop(), _factor(part, match[1]))
        else:
            add(_split_breaks(part))
    for bracket, factor in (("(", UP), ("[", 1 / UP)):
        for since in opened[bracket]:
            multiply(since, factor)
    return _joined(pieces, weights)


def _split_breaks(text: str) -> list[tuple[str, bool]]:
    """White space around BREAK belongs to it."""
    texts = _BREAK.split(text)
    for number in range(len(texts) - 1):
        texts[number] = texts[number].rstrip()
        texts[number + 1] = texts[number + 1].lstrip()
    first, *others = texts
    return [(first, False), *(piece for part in others for piece in (("", True), (part, False)))]


def _joined(pieces: Sequence[tuple[str, bool]], weights: Sequence[float]) -> tuple[Run, ...]:
    found: list[tuple[list[str], float, bool]] = []
    for (text, is_break), weight in zip(pieces, weights, strict=True):
        if is_break:
            found.append(([], 1.0, True))
        elif text and found and not found[-1][2] and found[-1][1] == weight:
            found[-1][0].append(text)
        elif text:
            found.append(([text], weight, False))
    return tuple(Run("".join(texts), weight, is_break) for texts, weight, is_break in found) or (Run(""),)


def escape(text: str) -> str:
    """Literal text for a prompt: brackets and backslashes get a backslash."""
    return re.sub(r"([()\[\]\\])", r"\\\1", text)
