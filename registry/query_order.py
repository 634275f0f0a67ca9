"""``sort:`` of the query line."""

from __future__ import annotations

from difflib import get_close_matches

from registry.errors import UsageError

DEFAULT_ORDER = "l.name, l.id"

_SORTS = {
    "name": ("l.name", "ASC"),
    "added": ("l.added_at", "DESC"),
    "rating": ("l.rating", "DESC"),
    "used": ("l.used_at", "DESC"),
    "uses": ("l.uses", "DESC"),
    "size": ("l.size", "DESC"),
    "rank": ("l.rank", "DESC"),
    "strength": ("l.strength", "DESC"),
    "base": ("l.base COLLATE NOCASE", "ASC"),
    "creator": ("l.creator COLLATE NOCASE", "ASC"),
    "file": ("l.files", "ASC"),
}
"""Name to (expression, the direction that one usually wants)."""
_OPTIONAL = frozenset(("used", "rank", "strength", "base", "creator"))
"""What may have no value. The others never are NULL, and a plain ORDER BY can follow their index."""

SORT_NAMES = tuple(_SORTS)


def one_order(name: str) -> str:
    """``-rating`` as SQL. Texts go from A to Z, numbers and dates from the largest; ``-`` reverses.

    What has no value comes last either way. Raises :class:`UsageError`.
    """
    key = name.removeprefix("-").lower()
    if key not in _SORTS:
        near = get_close_matches(key, _SORTS, 1, 0.5)
        raise UsageError(
            f"can't sort by {key}", f"did you mean {near[0]}?" if near else f"use one of {', '.join(_SORTS)}"
        )
    expression, direction = _SORTS[key]
    if name.startswith("-"):
        direction = "ASC" if direction == "DESC" else "DESC"
    return f"{expression} {direction}{' NULLS LAST' if key in _OPTIONAL else ''}"
