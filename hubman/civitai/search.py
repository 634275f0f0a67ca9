"""A search for models: every parameter that ``GET /models`` takes over REST, with the ways in which it is picky.

The parameters and what the site does with each are those of the site's own schema (``src/server/schema/model.schema.ts``
and ``src/pages/api/v1/models/index.ts`` of the Civitai repository).
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlencode

import msgspec

from hubman.civitai.errors import TokenError
from hubman.civitai.sift import Sift
from registry.errors import UsageError

LORA_TYPES = ("LORA", "LoCon", "DoRA")
MOST = 100
"""Models on a page at most."""
DEEPEST = 1000
"""``page * limit`` at most; further ones are only to be had by following pages."""

_FLAGS = {
    "primary_file_only": "primaryFileOnly",
    "favorites": "favorites",
    "hidden": "hidden",
    "supports_generation": "supportsGeneration",
    "early_access": "earlyAccess",
    "from_platform": "fromPlatform",
    "followed": "followed",
    "archived": "archived",
    "new_creators": "newCreators",
}
"""Any text counts as true for most of them, also ``false``: only ``true`` is ever sent."""
_OF_AN_ACCOUNT = {"favorites": "your favourites", "hidden": "what you hid", "followed": "whom you follow"}


class ModelSearch(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for. Empty texts, lists and zeros ask for nothing.

    ``limit`` is models a page (1 to 100). ``page`` counts from 1 and excludes ``query`` and ``cursor``. ``nsfw`` asks for
    all levels instead of PG alone. ``sift`` is what the site can't be asked for: it holds of what is shown.
    """

    query: str = ""
    tag: str = ""
    username: str = ""
    types: tuple[str, ...] = ()
    base_models: tuple[str, ...] = ()
    checkpoint_type: str = ""
    sort: str = ""
    period: str = ""
    period_mode: str = ""
    ids: tuple[int, ...] = ()
    version_ids: tuple[int, ...] = ()
    nsfw: bool = False
    primary_file_only: bool = False
    favorites: bool = False
    hidden: bool = False
    supports_generation: bool = False
    early_access: bool = False
    from_platform: bool = False
    followed: bool = False
    archived: bool = False
    new_creators: bool = False
    allow_commercial_use: tuple[str, ...] = ()
    availability: str = ""
    file_formats: tuple[str, ...] = ()
    limit: int = MOST
    page: int = 0
    cursor: str = ""
    sift: Sift = Sift()


def check(search: ModelSearch, *, has_token: bool) -> None:
    """Say what the site would refuse before it is asked. Raises :class:`UsageError` or :class:`TokenError`."""
    if not 1 <= search.limit <= MOST:
        raise UsageError(f"a page can't hold {search.limit} models", f"ask for 1 to {MOST} at once")
    if search.page < 0:
        raise UsageError("pages are counted from 1", "for example page:2")
    if search.page and search.query:
        raise UsageError("a search for words has no page numbers", "leave out page: and follow its pages")
    if search.page and search.cursor:
        raise UsageError("a page and a cursor exclude each other", "give one of them")
    if search.page * search.limit > DEEPEST:
        raise UsageError(
            f"page {search.page} of {search.limit} models lies behind the first {DEEPEST:,}",
            "follow the pages from the first one, or ask for less at once",
        )
    for name, what in _OF_AN_ACCOUNT.items():
        if getattr(search, name) and not has_token:
            raise TokenError(f"only an account knows {what}", "store a key first: hubman login")


def address(search: ModelSearch) -> str:
    """Path and query of the request."""
    return "/api/v1/models?" + urlencode(list(parameters(search)))


def parameters(search: ModelSearch) -> Iterator[tuple[str, str]]:
    """The request's parameters, repeated ones one after the other."""
    yield "limit", str(search.limit)
    yield "nsfw", "true" if search.nsfw else "false"
    texts = {
        "query": search.query, "tag": search.tag, "username": search.username, "checkpointType": search.checkpoint_type,
        "sort": search.sort, "period": search.period, "periodMode": search.period_mode,
        "availability": search.availability, "cursor": search.cursor,
    }  # fmt: skip
    yield from ((name, text) for name, text in texts.items() if text)
    for name, values in (("types", search.types), ("baseModels", search.base_models)):
        # A list with commas would be refused, or taken for one long name.
        yield from ((name, value) for value in values)
    yield from (("allowCommercialUse", use) for use in search.allow_commercial_use)
    formats = search.file_formats
    # One alone would arrive as a text where the site wants a list.
    yield from (("fileFormats", name) for name in (formats * 2 if len(formats) == 1 else formats))
    for name, numbers in (("ids", search.ids), ("modelVersionIds", search.version_ids)):
        if numbers:
            yield name, ",".join(map(str, numbers))
    yield from ((theirs, "true") for ours, theirs in _FLAGS.items() if getattr(search, ours))
    if search.page:
        yield "page", str(search.page)
