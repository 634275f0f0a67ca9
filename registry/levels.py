"""Browsing levels of pictures: which one counts where several are known, and by what names people call them.

Civitai's levels are bits (``registry.listing.LEVELS``); the highest bit of a number is its level, 0 is unknown.
"""

from __future__ import annotations

from registry.errors import UsageError
from registry.listing import LEVELS, highest_bit

RATED = tuple(name for name in LEVELS if name not in {"unrated", "blocked"})
"""The levels that a person chooses from, the mildest first."""

_NAMES = {bit: name for name, bit in LEVELS.items()}
_SHOWN = {"pg": "PG", "pg13": "PG-13", "r": "R", "x": "X", "xxx": "XXX", "blocked": "blocked"}
_FIELD = "picture_level."


def name_of(level: int) -> str:
    """``R`` for 4, as people write it; empty for an unknown level."""
    return _SHOWN.get(_NAMES.get(highest_bit(level), ""), "")


def parse(text: str) -> int:
    """The bit that ``text``, such as ``pg13`` or ``PG-13``, names. Raises :class:`UsageError`."""
    name = text.strip().lower().replace("-", "")
    if name not in RATED:
        raise UsageError(f"{text!r} is no level", f"use one of {', '.join(RATED)}")
    return LEVELS[name]


def effective(picture: int, model: int) -> int:
    """The level that counts for a picture: its own, else its model's, else 0 for unknown."""
    return highest_bit(picture) or highest_bit(model)


def is_covered(level: int, threshold: int) -> bool:
    """Whether a picture of ``level`` stays covered where levels up to ``threshold`` are shown. Unknown is shown."""
    return level > threshold


def field_of(sha256: str) -> str:
    """The fact of a version by which a person says the level of one of its pictures."""
    return _FIELD + sha256


def is_level(value: object) -> bool:
    """Whether ``value``, which may come from another machine, is one of the bits."""
    return isinstance(value, int) and not isinstance(value, bool) and value in _NAMES
