"""A question for pictures: what ``GET /images`` takes, and the habits of it."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlencode

import msgspec

from registry.errors import UsageError

MOST = 200
"""Pictures on a page at most."""


class ImageSearch(msgspec.Struct, frozen=True, kw_only=True):
    """Which pictures. ``levels`` is a bit mask of browsing levels, by default all; numbers of 0 ask for nothing.

    ``limit`` is pictures a page, 1 to 200. Generation data always come with them.
    """

    version_id: int = 0
    model_id: int = 0
    image_id: int = 0
    post_id: int = 0
    user_id: int = 0
    username: str = ""
    period: str = ""
    sort: str = ""
    levels: int = 31
    tags: tuple[int, ...] = ()
    type: str = ""
    base_models: tuple[str, ...] = ()
    with_prompt: bool = False
    limit: int = 50
    cursor: str = ""


def address(search: ImageSearch) -> str:
    """Path and query of the request. Raises :class:`UsageError` for what the site refuses."""
    if not 1 <= search.limit <= MOST:
        raise UsageError(f"a page can't hold {search.limit} pictures", f"ask for 1 to {MOST} at once")
    return "/api/v1/images?" + urlencode(list(_parameters(search)))


def _parameters(search: ImageSearch) -> Iterator[tuple[str, str]]:
    yield "limit", str(search.limit)
    # Without a level only PG comes, and nsfw=true means what is above PG-13 alone: the mask says what it means.
    yield "browsingLevel", str(search.levels)
    numbers = {
        "modelVersionId": search.version_id, "modelId": search.model_id, "imageId": search.image_id,
        "postId": search.post_id, "userId": search.user_id,
    }  # fmt: skip
    yield from ((name, str(number)) for name, number in numbers.items() if number)
    texts = {
        "username": search.username, "period": search.period, "sort": search.sort, "type": search.type,
        "tags": ",".join(map(str, search.tags)), "baseModels": ",".join(search.base_models), "cursor": search.cursor,
    }  # fmt: skip
    yield from ((name, text) for name, text in texts.items() if text)
    # Some questions wrap the data once more unless they are asked for flat ones.
    yield from (("withMeta", "true"), ("flatMeta", "true"))
    if search.with_prompt:
        yield "requiringMeta", "true"
