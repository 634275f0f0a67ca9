"""Which pictures a person wants of each version, by what he set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from hubman import config
from hubman.civitai.records import RemoteImage
from registry.listing import LEVELS

ARCHIVED = 20
"""Pictures of a version that are kept at most where a person wants them archived. Civitai tells of ten."""
_TYPES = frozenset({"image", "video"})


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which pictures of each version come along. ``highest_level`` is one of Civitai's bits; 0 means any."""

    count: int = 4
    highest_level: int = 0
    is_archive: bool = False
    """Also for versions that have pictures already."""


def chosen(images: Sequence[RemoteImage], wanted: Wanted) -> list[RemoteImage]:
    """The first pictures and videos that are wanted. One whose level nobody told is left out where there is a highest."""
    fitting = [image for image in images if image.type in _TYPES and image.url and _is_fit(image, wanted)]
    return fitting[: wanted.count]


def _is_fit(image: RemoteImage, wanted: Wanted) -> bool:
    return not wanted.highest_level or 0 < image.nsfw_level < 2 * wanted.highest_level


def wanted(home: Path, *, count: int | None = None, archive: bool = False) -> Wanted:
    """``count`` of each version, None for the usual number. Above the level that a person set none is fetched."""
    settings, _problems = config.settings(home)
    level = LEVELS[settings.nsfw] if config.is_set(home, "nsfw") else 0
    if archive or settings.archive_images:
        return Wanted(count=ARCHIVED if count is None else count, highest_level=level, is_archive=True)
    return Wanted(highest_level=level) if count is None else Wanted(count=count, highest_level=level)
