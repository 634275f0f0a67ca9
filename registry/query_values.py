"""Numbers, sizes, dates and levels of the query line: how they are written and compared."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from registry import timestamps
from registry.errors import UsageError
from registry.listing import LEVELS, folded

Bind = Callable[[object], str]

MAX_TERMS = 200
"""Terms in a line with all its views; SQLite refuses a statement that nests some hundreds."""


@dataclass
class Parameters:
    """Collects the values that a query binds, so that no text from outside becomes SQL."""

    now: datetime
    bound: dict[str, object] = field(default_factory=dict)
    terms: int = 0

    def count(self) -> None:
        """To be called for each term: views within views can make a short line endless. Raises :class:`UsageError`."""
        self.terms += 1
        if self.terms > MAX_TERMS:
            raise UsageError(f"more than {MAX_TERMS} terms", "ask for less at once")

    def bind(self, value: object) -> str:
        name = f"q{len(self.bound)}"
        self.bound[name] = value
        return f":{name}"

    def contains(self, column: str, text: str) -> str:
        """``text`` somewhere in the column; ``=text`` the whole of it; ``text*`` its beginning. Ignores ASCII case."""
        if text.startswith("=") and len(text) > 1:
            return f"{column} = {self.bind(text[1:])} COLLATE NOCASE"
        return self._like(column, _escaped(text[:-1]) + "%" if text.endswith("*") else f"%{_escaped(text)}%")

    def whole(self, column: str, text: str) -> str:
        """``text`` is the column's whole value; ``text*`` its beginning."""
        if text.endswith("*"):
            return self.contains(column, text)
        return f"{column} = {self.bind(text.removeprefix('=') or text)} COLLATE NOCASE"

    def one_contains(self, column: str, text: str) -> str:
        """As :meth:`contains`, for one of the values that a column lists between line feeds; ignores all case."""
        if text.startswith("=") and len(text) > 1:
            part = f"\n{text[1:]}\n"
        elif text.endswith("*"):
            part = f"\n{text[:-1]}"
        else:
            part = text
        return f"instr({column}, {self.bind(folded(part))})"

    def one_is(self, column: str, text: str) -> str:
        """As :meth:`whole`, for one of the values that a column lists between line feeds."""
        return self.one_contains(column, text if text.endswith("*") else "=" + (text.removeprefix("=") or text))

    def _like(self, column: str, pattern: str) -> str:
        return f"{column} LIKE {self.bind(pattern)} ESCAPE '\\'"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


_OPERATOR = re.compile(r"(<=|>=|<|>|=)?(.*)", re.DOTALL)
_UNITS = {
    "": 1,
    "b": 1,
    "k": 10**3,
    "kb": 10**3,
    "m": 10**6,
    "mb": 10**6,
    "g": 10**9,
    "gb": 10**9,
    "t": 10**12,
    "tb": 10**12,
}
_UNITS |= {"kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40}
_AGES = {"h": 1, "d": 24, "w": 24 * 7, "mo": 24 * 30, "m": 24 * 30, "y": 24 * 365}
"""Hours in a unit of age; a month has 30 days, a year 365."""


def number(name: str) -> Callable[[str], float]:
    """A reader of finite numbers that names the field in its :class:`UsageError`."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise UsageError(f"{name} can't be {text!r}", f"for example {name}:4 or {name}:>=4 or {name}:2..4")
        return value

    return read


def size(text: str) -> float:
    """Bytes from ``500mb`` (decimal) or ``500mib`` (binary). Raises :class:`UsageError`."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-z]*)", text.lower(), re.ASCII)
    if found is None or found[2] not in _UNITS:
        raise UsageError(f"size can't be {text!r}", "for example size:>500mb")
    return float(found[1]) * _UNITS[found[2]]


def compare(column: str, read: Callable[[str], float], text: str, bind: Bind) -> str:
    """``>=4``, ``4`` or ``2..4`` (ends included, either may be missing) as a condition."""
    low, dots, high = text.partition("..")
    if dots:
        if low and high and read(low) > read(high):
            raise _reversed(low, high)
        ends = [f"{column} {sign} {bind(read(end))}" for sign, end in ((">=", low), ("<=", high)) if end]
        return " AND ".join(ends) or f"{column} IS NOT NULL"
    operator, value = split_operator(text)
    return f"{column} {operator or '='} {bind(read(value))}"


def _reversed(low: str, high: str) -> UsageError:
    return UsageError(f"nothing lies in {low}..{high}", f"the lower end goes first: {high}..{low}")


def split_operator(text: str) -> tuple[str, str]:
    found = _OPERATOR.fullmatch(text)
    assert found is not None, "every text is an optional operator and the rest"  # noqa: S101 - for the type checker
    return found[1] or "", found[2].strip()


def when(column: str, text: str, now: datetime, bind: Bind) -> str:
    """An age (``<30d``: younger than 30 days) or a date (``2026-03``, ``>=2026-03-01``, ``2026-01..2026-03``).

    A date means the whole of its day, month or year, in this machine's time zone. Raises :class:`UsageError`.
    """
    low, dots, high = text.partition("..")
    if dots:
        return _between(column, low, high, now, bind)
    operator, value = split_operator(text)
    age = _age(value)
    if age is not None:
        sign = "<" if operator.startswith(">") else ">="
        return f"{column} {sign} {bind(_before(now, age, text))}"
    first, after = _span(value, text)
    if operator in {"", "="}:
        return f"{column} >= {bind(first)} AND {column} < {bind(after)}"
    sign, moment = {"<": ("<", first), "<=": ("<", after), ">": (">=", after), ">=": (">=", first)}[operator]
    return f"{column} {sign} {bind(moment)}"


def _between(column: str, low: str, high: str, now: datetime, bind: Bind) -> str:
    _check_rises(low, high)
    ends = []
    for value, is_low in ((low, True), (high, False)):
        if not value:
            continue
        age = _age(value)
        if age is not None:
            # 7d..30d: at least 7 and at most 30 days old.
            ends.append(f"{column} {'<=' if is_low else '>='} {bind(_before(now, age, value))}")
        else:
            first, after = _span(value, value)
            ends.append(f"{column} >= {bind(first)}" if is_low else f"{column} < {bind(after)}")
    return " AND ".join(ends) or f"{column} IS NOT NULL"


def _check_rises(low: str, high: str) -> None:
    """Raises :class:`UsageError` for two ages or two dates of which the later one stands first."""
    if not (low and high):
        return
    ages = _age(low), _age(high)
    if ages[0] is not None and ages[1] is not None:
        is_reversed = ages[0] > ages[1]
    else:
        is_reversed = ages == (None, None) and _span(low, low)[0] >= _span(high, high)[1]
    if is_reversed:
        raise _reversed(low, high)


def _age(text: str) -> float | None:
    """Hours, or None if ``text`` is no age."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(h|d|w|mo|m|y)", text.lower(), re.ASCII)
    return float(found[1]) * _AGES[found[2]] if found else None


def _before(now: datetime, hours: float, text: str) -> str:
    try:
        return timestamps.of(now - timedelta(hours=hours))
    except (OverflowError, ValueError):
        raise UsageError(f"{text} is longer ago than there are dates", "for example added:<30d") from None


def _span(value: str, text: str) -> tuple[str, str]:
    """The first moment of a day, month or year, and the first moment after it."""
    found = re.fullmatch(r"(\d{4})(?:-(\d{1,2}))?(?:-(\d{1,2}))?", value, re.ASCII)
    try:
        if found is None:
            raise ValueError(value)
        year, month, day = int(found[1]), int(found[2] or 1), int(found[3] or 1)
        first = datetime(year, month, day)
        if found[3]:
            after = first + timedelta(days=1)
        elif found[2]:
            after = datetime(year + month // 12, month % 12 + 1, 1)
        else:
            after = datetime(year + 1, 1, 1)
        return timestamps.of(first.astimezone()), timestamps.of(after.astimezone())
    except (ValueError, OverflowError, OSError):
        raise UsageError(f"{text!r} is no age or date", "for example <30d, 2026-03 or >=2026-03-01") from None


def level(column: str, text: str, bind: Bind) -> str:
    """A condition on a browsing level's highest bit. Raises :class:`UsageError`."""
    operator, value = split_operator(text)
    if value.lower() not in LEVELS:
        raise UsageError(f"nsfw can't be {value!r}", f"use one of {', '.join(LEVELS)}")
    return f"{column} {operator or '='} {bind(LEVELS[value.lower()])}"
