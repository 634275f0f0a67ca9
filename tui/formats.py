"""Numbers, sizes and times as a person reads them, in few cells."""

from __future__ import annotations

from datetime import UTC, datetime

from registry import timestamps


def stars(rating: int) -> str:
    return "★" * max(0, min(5, rating))


def size(count: int) -> str:
    """Bytes as ``12.4 MB`` (powers of 1000, as file managers count)."""
    if count < 1000:
        return f"{count} B"
    value = float(count)
    for unit in ("kB", "MB", "GB", "TB"):
        value /= 1000
        if value < 999.5:
            return f"{value:.1f} {unit}" if value < 99.95 else f"{value:.0f} {unit}"
    return f"{value:.0f} PB"


def now() -> datetime:
    return datetime.now(UTC)


def age(stamp: str) -> str:
    """How long ago: ``now``, ``5 min``, ``3 h``, ``2 d``, ``4 w``, ``3 mo``, ``2 y``; empty for no time."""
    if not stamp:
        return ""
    seconds = (now() - timestamps.parse(stamp)).total_seconds()
    return "now" if seconds < 60 else _long(seconds)


def _long(seconds: float) -> str:
    for limit, unit, name in _AGES:
        if seconds < limit:
            return f"{int(seconds // unit)} {name}"
    return f"{int(seconds // _YEAR)} y"


_DAY = 86_400
_YEAR = 365 * _DAY
_AGES = (
    (3600, 60, "min"),
    (_DAY, 3600, "h"),
    (14 * _DAY, _DAY, "d"),
    (60 * _DAY, 7 * _DAY, "w"),
    (_YEAR, 30 * _DAY, "mo"),
)


def duration(seconds: float) -> str:
    """``42 s``, ``3:05``, ``1:02:03``."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def strength(value: float | None) -> str:
    """At most two decimals, never a trailing zero: ``0.8``, ``0.85``, ``1``."""
    return "" if value is None else f"{value:.2f}".rstrip("0").rstrip(".")


def lora_tag(alias: str, value: float | None) -> str:
    """What a prompt says to use a LoRA, at 0.8 where no strength is recommended."""
    return f"<lora:{alias}:{strength(value) or '0.8'}>"


def ago(seconds: float) -> str:
    """``0.2 s``, ``42 s``, ``5 min``, ``3 h``, ``2 d``."""
    if seconds < 60:
        return f"{max(0.0, seconds):.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return _long(seconds)


def count(number: int, noun: str) -> str:
    """``1 model``, ``4,812 models``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def number(value: int | None) -> str:
    """``4,812``, from a hundred thousand on ``481 k`` and ``4.8 M``; empty for what nobody told."""
    if value is None:
        return ""
    if abs(value) < 100_000:
        return f"{value:,}"
    return f"{value / 1000:.0f} k" if abs(value) < 999_500 else f"{value / 1_000_000:.1f} M"


def bar(share: float, width: int) -> str:
    """A bar of ``width`` cells in halves, filled to ``share`` (0 to 1)."""
    halves = round(max(0.0, min(1.0, share)) * width * 2)
    text = "━" * (halves // 2) + "╸" * (halves % 2)
    return text + "·" * (width - len(text))


def strength_bar(value: float | None, low: float | None, high: float | None, width: int = 10) -> str:
    """``0.5 ···▮···· 1`` between the recommended ends; without ends from 0 to 1."""
    if value is None and low is None and high is None:
        return "not set"
    start = low if low is not None else min(0.0, value or 0.0)
    end = high if high is not None else max(1.0, value or 1.0)
    cells = ["·"] * width
    if value is not None and end > start:
        cells[round((min(max(value, start), end) - start) / (end - start) * (width - 1))] = "▮"
    text = "".join(cells)
    return f"{strength(start)} {text} {strength(end)}" + (f"  {strength(value)}" if value is not None else "")


def one_line(text: str) -> str:
    """Outside text on one line, without control characters."""
    return " ".join("".join(character if character.isprintable() else " " for character in text).split())
