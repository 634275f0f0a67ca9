"""Which pictures a person wants of each version, by what he set."""

from __future__ import annotations

from pathlib import Path

from hubman import config
from hubman.civitai.pictures import Wanted
from registry.listing import LEVELS

ARCHIVED = 20
"""Pictures of a version that are kept at most where a person wants them archived. Civitai tells of ten."""


def wanted(home: Path, *, count: int | None = None, archive: bool = False) -> Wanted:
    """``count`` of each version, None for the usual number. Above the level that a person set none is fetched."""
    settings, _problems = config.settings(home)
    level = LEVELS[settings.nsfw] if config.is_set(home, "nsfw") else 0
    if archive or settings.archive_images:
        return Wanted(count=ARCHIVED if count is None else count, highest_level=level, is_archive=True)
    return Wanted(highest_level=level) if count is None else Wanted(count=count, highest_level=level)
