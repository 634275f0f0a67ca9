"""Where the page after an answer is: ``metadata.nextPage`` as the site gave it, or its cursor on our own address."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from urllib.parse import parse_qsl, urlencode, urlsplit

from hubman.civitai.wire import Json

_LONGEST = 8000


def following(raw: Json, asked: str, is_own: Callable[[str], bool]) -> str:
    """The address after the answer ``raw`` to ``asked``; empty at the end.

    ``nextPage`` is followed verbatim where ``is_own`` says that it leads to the site itself. One that leads elsewhere is
    never asked, for the key would go there: its ``nextCursor`` then stands in the address that was asked.
    """
    metadata = raw.get("metadata") if isinstance(raw, Mapping) else None
    if not isinstance(metadata, Mapping):
        return ""
    address = metadata.get("nextPage")
    if isinstance(address, str) and 0 < len(address) < _LONGEST and is_own(address):
        return address
    cursor = metadata.get("nextCursor")
    if isinstance(cursor, (str, int)) and not isinstance(cursor, bool) and 0 < len(str(cursor)) < _LONGEST:
        return _with_cursor(asked, str(cursor))
    return ""


def _with_cursor(asked: str, cursor: str) -> str:
    parts = urlsplit(asked)
    query = [(name, value) for name, value in parse_qsl(parts.query) if name not in {"cursor", "page"}]
    # A cursor may hold half a character, as JSON allows.
    return parts._replace(query=urlencode([*query, ("cursor", cursor)], errors="replace"), fragment="").geturl()
