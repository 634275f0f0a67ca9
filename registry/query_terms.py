"""Read a query line into its terms, each with the place where it stands."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from dataclasses import dataclass

from registry.errors import UsageError


@dataclass(frozen=True)
class Term:
    """One term as it was typed. ``field`` is empty for words; ``quoted`` values are not split at commas.

    ``start`` and ``end`` count characters of the line; the value begins at ``value_at``.
    """

    field: str
    value: str
    negated: bool = False
    quoted: bool = False
    regex: bool = False
    typo: bool = False
    is_open: bool = False
    """Its quote is not closed."""
    start: int = dataclasses.field(default=0, compare=False)
    end: int = dataclasses.field(default=0, compare=False)
    value_at: int = dataclasses.field(default=0, compare=False)

    @property
    def options(self) -> list[tuple[str, int]]:
        """The value's alternatives, each with the place where it stands in the line."""
        if self.quoted:
            return [(self.value, self.value_at)] if self.value else []
        found, position = [], self.value_at
        for part in self.value.split(","):
            if part:
                found.append((part, position))
            position += len(part) + 1
        return found


class QueryError(UsageError):
    """A query line that makes no sense, and the part of it that does not: characters ``start`` to ``end``."""

    def __init__(self, error: UsageError, line: str, start: int, end: int) -> None:
        super().__init__(error.message, error.hint)
        self.line = line
        self.start = start
        self.end = max(end, start + 1)


_TERM = re.compile(
    r"""\s* (?P<term> (?P<no>-(?=\S))?
    (?: /(?P<regex> (?:[^/\\\s] | \\.) (?:[^/\\] | \\.)* )/ (?=\s|$)
      | (?P<typo>~(?=[^\s~]))?
        (?: (?P<field>[A-Za-z_]+) : (?P<op><=|>=|<|>|=)? )? (?: "(?P<quoted>[^"]*)(?P<closed>")? | (?P<plain>[^\s"]*) )
    ))""",
    re.VERBOSE,
)


def readable(text: str) -> str:
    """``text`` as it is compiled and shown: no control characters, and one character for each that it had."""
    encodable = text.encode("utf-8", "replace").decode()
    return "".join(" " if ord(char) < 32 or 0x7F <= ord(char) < 0xA0 else char for char in encodable)


def terms(text: str) -> Iterator[Term]:
    """The terms of a line; total: what is no field is a word."""
    line = readable(text)
    position = 0
    while position < len(line):
        found = _TERM.match(line, position)
        if found is None or found.end() == position:
            position += 1
            continue
        position = found.end()
        term = _term(found)
        if term.field or term.is_open or (term.value and term.value != "-"):
            yield term


def _term(found: re.Match[str]) -> Term:
    start, end = found.span("term")
    negated = bool(found["no"])
    if found["regex"]:
        return Term("", found["regex"], negated, regex=True, start=start, end=end, value_at=found.start("regex"))
    quoted = found["quoted"] is not None
    name = "quoted" if quoted else "plain"
    operator = found["op"] or ""
    # What stands before a quoted value is no part of what it says, so a mistake in it is shown from the quote on.
    at = found.start(name) - (1 if quoted else 0) - len(operator)
    value = operator + found[name].strip()
    return Term(
        (found["field"] or "").lower(),
        value,
        negated,
        quoted,
        typo=bool(found["typo"]),
        is_open=quoted and found["closed"] is None,
        start=start,
        end=end,
        value_at=at,
    )
