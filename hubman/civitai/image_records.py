"""Pictures as ``GET /images`` tells them, with what they were drawn with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from hubman.civitai import lenient
from registry.listing import highest_bit

_BITS = {"none": 1, "soft": 2, "mature": 4, "x": 8, "blocked": 32}
"""The bit that the old name of a level stands for; ``X`` was X and XXX together."""


class ImageStats(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Reactions to a picture."""

    cry_count: int = 0
    laugh_count: int = 0
    like_count: int = 0
    dislike_count: int = 0
    heart_count: int = 0
    comment_count: int = 0

    @property
    def reactions(self) -> int:
        return self.cry_count + self.laugh_count + self.like_count + self.heart_count


class SharedImage(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A picture or video that somebody posted. ``nsfw_level`` is an old name, ``browsing_level`` one bit."""

    id: int = 0
    url: str = ""
    hash: str = ""
    width: int = 0
    height: int = 0
    nsfw: bool = False
    nsfw_level: str = ""
    browsing_level: int = 0
    type: str = "image"
    created_at: str = ""
    post_id: int = 0
    username: str = ""
    base_model: str = ""
    model_version_ids: tuple[int, ...] = ()
    stats: ImageStats = ImageStats()
    meta: dict[str, Any] = {}

    @property
    def level(self) -> int:
        """The bit of its browsing level, 0 where nobody told."""
        return highest_bit(self.browsing_level) or _BITS.get(self.nsfw_level.lower(), 0)

    @property
    def settings(self) -> Mapping[str, Any]:
        """What it was drawn with; some queries wrap it once more."""
        inner = self.meta.get("meta")
        return inner if isinstance(inner, Mapping) else self.meta


class ImagePage(msgspec.Struct, frozen=True, kw_only=True):
    """One page of pictures. ``next_page`` is the address of the following one, empty at the end."""

    items: tuple[SharedImage, ...] = ()
    next_page: str = ""
    as_of: str = ""


def images_from(items: object) -> tuple[SharedImage, ...]:
    return lenient.decode_list(SharedImage, items, "image")
