"""``sort:`` of the query line."""

from __future__ import annotations

from difflib import get_close_matches

from registry.errors import UsageError

DEFAULT_ORDER = "m.name COLLATE NOCASE, m.id"

_SORTS = {
    "name": ("m.name COLLATE NOCASE", "ASC"),
    "added": ("m.added_at", "DESC"),
    "rating": ("m.rating", "DESC"),
    "size": ("v.size", "DESC"),
    "rank": ("v.rank", "DESC"),
    "base": ("v.base_model COLLATE NOCASE", "ASC"),
}
"""Name to (expression, the direction that one usually wants)."""

SORT_NAMES = tuple(_SORTS)


def order_by(text: str) -> str:
    """``rating,-name`` as SQL. Texts go from A to Z, numbers and dates from the largest; ``-`` reverses.

    What has no value comes last either way. Raises :class:`UsageError`.
    """
    parts = [_one(name.strip()) for name in text.split(",") if name.strip()]
    if not parts:
        raise UsageError("sort: needs a name", f"use one of {', '.join(_SORTS)}")
    return ", ".join([*parts, DEFAULT_ORDER])


def _one(name: str) -> str:
    key = name.lstrip("-").lower()
    if key not in _SORTS:
        near = get_close_matches(key, _SORTS, 1, 0.5)
        raise UsageError(
            f"can't sort by {key}", f"did you mean {near[0]}?" if near else f"use one of {', '.join(_SORTS)}"
        )
    expression, direction = _SORTS[key]
    if name.startswith("-"):
        direction = "ASC" if direction == "DESC" else "DESC"
    # Names, dates and ratings are never NULL, and a plain ORDER BY can follow their index.
    nulls = " NULLS LAST" if expression.startswith("v.") else ""
    return f"{expression} {direction}{nulls}"
