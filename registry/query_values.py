"""Numbers, sizes, dates and levels of the query line: how they are written and compared."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import datetime, timedelta

from registry import timestamps
from registry.errors import UsageError

Bind = Callable[[object], str]
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
        ends = [f"{column} {sign} {bind(read(end))}" for sign, end in ((">=", low), ("<=", high)) if end]
        return " AND ".join(ends) or f"{column} IS NOT NULL"
    operator, value = split_operator(text)
    return f"{column} {operator or '='} {bind(read(value))}"


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


_LEVELS = {"pg": 1, "pg13": 2, "r": 4, "x": 8, "xxx": 16, "blocked": 32}


def level(column: str, text: str, bind: Bind) -> str:
    """A condition on the highest bit of a browsing level. Raises :class:`UsageError`."""
    operator, value = split_operator(text)
    if value.lower() not in _LEVELS:
        raise UsageError(f"nsfw can't be {value!r}", f"use one of {', '.join(_LEVELS)}")
    bit = _LEVELS[value.lower()]
    if operator in {"", "="}:
        return f"{column} BETWEEN {bind(bit)} AND {bind(2 * bit - 1)}"
    sign, limit = {"<": ("<", bit), "<=": ("<", 2 * bit), ">": (">=", 2 * bit), ">=": (">=", bit)}[operator]
    return f"{column} {sign} {bind(limit)}"
