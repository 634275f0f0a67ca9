"""A1111 prompt editing and alternation, ``[from:to:when]`` and ``[a|b|c]``, and composition with ``AND``."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

_NUMBER = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+))\s*")
_AND = re.compile(r"\bAND\b")
_PART = re.compile(r"(.*?)(?::\s*([-+]?(?:\d+\.?\d*|\.\d+)))?\s*", re.DOTALL)
_MAX_DEPTH = 50

TextAt = Callable[[int, int], str]
"""(step from 1, number of steps) to text."""


@dataclass(frozen=True)
class Stretch:
    """``text`` holds up to and including sampling step ``until`` (steps count from 1)."""

    until: int
    text: str


@dataclass(frozen=True)
class Part:
    """One side of AND with its weight."""

    text: str
    weight: float = 1.0


class _LiteralError(Exception):
    """The grammar does not fit: the whole prompt is meant literally."""


def schedule(text: str, steps: int) -> tuple[Stretch, ...]:
    """The texts that a prompt takes over ``steps`` sampling steps; the last stretch ends at ``steps``.

    A text that does not fit the grammar (a ``|`` outside of ``[a|b]``) is one stretch of itself, as in A1111.
    """
    try:
        pieces, _ = _Reader(text).sequence(closing="", depth=0)
    except _LiteralError:
        return (Stretch(steps, text),)
    stretches: list[Stretch] = []
    for step in range(1, steps + 1):
        now = "".join(piece(step, steps) for piece in pieces)
        if stretches and stretches[-1].text == now:
            stretches[-1] = Stretch(step, now)
        else:
            stretches.append(Stretch(step, now))
    return tuple(stretches)


def is_literal(text: str) -> bool:
    """Whether ``text`` holds scheduling characters that do not fit the grammar."""
    try:
        _Reader(text).sequence(closing="", depth=0)
    except _LiteralError:
        return True
    return False


def parts(text: str) -> tuple[Part, ...]:
    """Split at AND; a trailing ``:number`` of a part is its weight."""
    found = []
    for piece in _AND.split(text):
        match = _PART.fullmatch(piece) if _AND.search(text) else None
        found.append(Part(match[1], float(match[2] or 1)) if match else Part(piece))
    return tuple(found)


def _constant(text: str) -> TextAt:
    return lambda _step, _steps: text


class _Reader:
    """Recursive descent over brackets. Anything that is no schedule stays as it is, brackets included."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def sequence(self, *, closing: str, depth: int) -> tuple[list[TextAt], bool]:
        """Read to ``closing`` or the end; (pieces, whether closed). Colons stay in the text."""
        pieces: list[TextAt] = []
        while self.at < len(self.text):
            char = self.text[self.at]
            if char == closing:
                self.at += 1
                return pieces, True
            pieces.append(self._piece(char, depth))
        return pieces, False

    def _piece(self, char: str, depth: int) -> TextAt:
        if depth > _MAX_DEPTH or char == "|":
            raise _LiteralError
        if char == "[":
            return self._bracket(depth)
        self.at += 1
        if char == "(":
            inner, closed = self.sequence(closing=")", depth=depth + 1)
            return _wrapped("(", inner, ")" if closed else "")
        if char == "\\" and self.at < len(self.text):
            self.at += 1
            return _constant(self.text[self.at - 2 : self.at])
        start = self.at - 1
        while self.at < len(self.text) and self.text[self.at] not in "[]()|\\":
            self.at += 1
        return _constant(self.text[start : self.at])

    def _bracket(self, depth: int) -> TextAt:
        start = self.at
        self.at += 1
        fields: list[list[TextAt]] = [[]]
        marks: list[str] = []
        last_text = self.at
        while self.at < len(self.text):
            char = self.text[self.at]
            if char == "]":
                self.at += 1
                return self._closed(fields, marks, self.text[last_text : self.at - 1], start)
            if char in "|:":
                marks.append(char)
                fields.append([])
                self.at += 1
                last_text = self.at
            else:
                fields[-1].append(self._run(depth))
        inner = [piece for field in _interleaved(fields, marks) for piece in field]
        if "|" in marks:
            raise _LiteralError
        return _wrapped("[", inner, "")

    def _run(self, depth: int) -> TextAt:
        char = self.text[self.at]
        if char in "[(\\":
            return self._piece(char, depth + 1)
        start = self.at
        self.at += 1
        while self.at < len(self.text) and self.text[self.at] not in "[]()|:\\":
            self.at += 1
        return _constant(self.text[start : self.at])

    def _closed(self, fields: list[list[TextAt]], marks: list[str], last: str, start: int) -> TextAt:
        if marks and set(marks) == {"|"}:
            return _alternating(fields)
        number = _NUMBER.fullmatch(last)
        if marks in ([":"], [":", ":"]) and number:
            before = fields[0] if len(marks) == 2 else []
            return _switching(before, fields[-2], number[1])
        if "|" in marks:
            raise _LiteralError
        inner = [piece for field in _interleaved(fields, marks) for piece in field]
        return _wrapped("[", inner, "]") if inner or marks else _constant(self.text[start : self.at])


def _interleaved(fields: list[list[TextAt]], marks: list[str]) -> list[list[TextAt]]:
    found = [fields[0]]
    for mark, field in zip(marks, fields[1:], strict=True):
        found += [[_constant(mark)], field]
    return found


def _wrapped(opening: str, inner: list[TextAt], closing: str) -> TextAt:
    return lambda step, steps: opening + "".join(piece(step, steps) for piece in inner) + closing


def _alternating(options: list[list[TextAt]]) -> TextAt:
    return lambda step, steps: "".join(piece(step, steps) for piece in options[(step - 1) % len(options)])


def _switching(before: list[TextAt], after: list[TextAt], when: str) -> TextAt:
    """Until and including step ``when`` the first text; with a decimal point ``when`` is a share of all steps."""

    def at(step: int, steps: int) -> str:
        asked = float(when) * steps if "." in when else float(when)
        last = int(max(0, min(steps, asked)))
        return "".join(piece(step, steps) for piece in (before if step <= last else after))

    return at
