"""Creators and tags as the site lists them."""

from __future__ import annotations

import msgspec


class ListedCreator(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A row of ``GET /creators``. ``model_count`` is None where it is not told."""

    username: str = ""
    model_count: int | None = None
    link: str = ""
    image: str = ""


class ListedTag(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A row of ``GET /tags``."""

    name: str = ""
    link: str = ""


class CreatorPage(msgspec.Struct, frozen=True, kw_only=True):
    items: tuple[ListedCreator, ...] = ()
    total: int = 0
    next_page: str = ""


class TagPage(msgspec.Struct, frozen=True, kw_only=True):
    items: tuple[ListedTag, ...] = ()
    total: int = 0
    next_page: str = ""
