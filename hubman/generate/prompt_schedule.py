"""A1111 prompt editing and alternation, ``[from:to:when]`` and ``[a|b|c]``."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

_NUMBER = re.compile(r"\s*([+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,3})?)\s*")
_MAX_DEPTH = 50

TextAt = Callable[[int, int], str]
"""(step from 1, number of steps) to text."""


@dataclass(frozen=True)
class Stretch:
    """``text`` holds up to and including sampling step ``until`` (steps count from 1)."""

    until: int
    text: str


@dataclass(frozen=True)
class Construct:
    """A schedule (with ``when``) or an alternation (without): ``start`` to ``end`` with its brackets.

    ``fields`` are the (start, end) of its texts; one field of a schedule is what comes, two are what goes and comes.
    """

    start: int
    end: int
    fields: tuple[tuple[int, int], ...]
    when: str = ""


@dataclass(frozen=True)
class Reading:
    """``literal_at`` is where the text leaves the grammar: then, as in A1111, all of it is meant literally."""

    pieces: tuple[TextAt, ...]
    constructs: tuple[Construct, ...]
    literal_at: int | None = None


class _LiteralError(Exception):
    """The grammar does not fit: the whole prompt is meant literally."""


def read(text: str) -> Reading:
    """Any text gives a reading. Linear in the text."""
    reader = _Reader(text)
    try:
        pieces = reader.sequence(closing="", depth=0)[0]
    except _LiteralError:
        return Reading((_constant(text),), (), reader.at)
    return Reading(tuple(pieces), tuple(reader.constructs))


@lru_cache(256)
def schedule(text: str, steps: int) -> tuple[Stretch, ...]:
    """The texts that a prompt takes over ``steps`` sampling steps; the last stretch ends at ``steps``.

    A text that does not fit the grammar (a ``|`` outside of ``[a|b]``) is one stretch of itself, as in A1111.
    """
    reading = read(text)
    if not reading.constructs:
        return (Stretch(steps, text),)
    stretches: list[Stretch] = []
    for step in range(1, steps + 1):
        now = "".join(piece(step, steps) for piece in reading.pieces)
        if stretches and stretches[-1].text == now:
            stretches[-1] = Stretch(step, now)
        else:
            stretches.append(Stretch(step, now))
    return tuple(stretches)


def step_of(when: str, steps: int) -> int:
    """The last step that still has the first text: with a decimal point ``when`` is a share of all steps."""
    asked = float(when) * steps if "." in when else float(when)
    return int(max(0, min(steps, asked)))


def _constant(text: str) -> TextAt:
    return lambda _step, _steps: text


class _Reader:
    """Recursive descent over brackets. Anything that is no schedule stays as it is, brackets included."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.constructs: list[Construct] = []

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
        if char == "\\":
            return self._escaped()
        start = self.at
        self.at += 1
        if char == "(":
            inner, closed = self.sequence(closing=")", depth=depth + 1)
            return _wrapped("(", inner, ")" if closed else "")
        while self.at < len(self.text) and self.text[self.at] not in "[]()|\\":
            self.at += 1
        return _constant(self.text[start : self.at])

    def _escaped(self) -> TextAt:
        if self.text[self.at + 1 : self.at + 2] in {"", "\n"}:
            raise _LiteralError
        self.at += 2
        return _constant(self.text[self.at - 2 : self.at])

    def _bracket(self, depth: int) -> TextAt:
        start = self.at
        self.at += 1
        fields: list[list[TextAt]] = [[]]
        marks: list[int] = []
        while self.at < len(self.text):
            char = self.text[self.at]
            if char == "]":
                self.at += 1
                return self._closed(fields, marks, start)
            if char in "|:":
                marks.append(self.at)
                fields.append([])
                self.at += 1
            else:
                fields[-1].append(self._run(depth))
        if any(self.text[mark] == "|" for mark in marks):
            raise _LiteralError
        return _wrapped("[", self._joined(fields, marks), "")

    def _run(self, depth: int) -> TextAt:
        char = self.text[self.at]
        if char in "[(\\":
            return self._piece(char, depth + 1)
        start = self.at
        self.at += 1
        while self.at < len(self.text) and self.text[self.at] not in "[]()|:\\":
            self.at += 1
        return _constant(self.text[start : self.at])

    def _closed(self, fields: list[list[TextAt]], marks: list[int], start: int) -> TextAt:
        kinds = {self.text[mark] for mark in marks}
        bounds = [start + 1, *(edge for mark in marks for edge in (mark, mark + 1)), self.at - 1]
        spans = tuple(zip(bounds[::2], bounds[1::2], strict=True))
        if kinds == {"|"}:
            self.constructs.append(Construct(start, self.at, spans))
            return _alternating(fields)
        number = _NUMBER.fullmatch(self.text, *spans[-1])
        if kinds == {":"} and len(marks) <= 2 and number:
            self.constructs.append(Construct(start, self.at, spans[:-1], number[1]))
            return _switching(fields[0] if len(marks) == 2 else [], fields[-2], number[1])
        if "|" in kinds:
            raise _LiteralError
        return _wrapped("[", self._joined(fields, marks), "]")

    def _joined(self, fields: list[list[TextAt]], marks: list[int]) -> list[TextAt]:
        found = list(fields[0])
        for mark, field in zip(marks, fields[1:], strict=True):
            found += [_constant(self.text[mark]), *field]
        return found


def _wrapped(opening: str, inner: list[TextAt], closing: str) -> TextAt:
    return lambda step, steps: opening + "".join(piece(step, steps) for piece in inner) + closing


def _alternating(options: list[list[TextAt]]) -> TextAt:
    return lambda step, steps: "".join(piece(step, steps) for piece in options[(step - 1) % len(options)])


def _switching(before: list[TextAt], after: list[TextAt], when: str) -> TextAt:
    """Until and including step ``when`` the first text."""
    return lambda step, steps: "".join(
        piece(step, steps) for piece in (before if step <= step_of(when, steps) else after)
    )
