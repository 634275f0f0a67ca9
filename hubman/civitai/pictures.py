"""The pictures of a version's page, with what they were drawn with, as previews of a version in the library."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from hubman.civitai.client import Civitai
from hubman.civitai.errors import CivitaiError, RateLimitError, RegionError, UnavailableError
from hubman.civitai.records import RemoteImage
from hubman.civitai.showing import fetch_one
from hubman.civitai.wanted import Wanted, chosen
from registry.database import Registry
from registry.errors import DamagedFileError

_log = logging.getLogger(__name__)


def fetch(registry: Registry, client: Civitai, version_id: str, images: Sequence[RemoteImage], wanted: Wanted) -> int:
    """Fetch those that are wanted and not there yet; returns how many were new.

    One that is gone, too large, nowhere or unreadable is left out. Raises :class:`UnavailableError`,
    :class:`RateLimitError` or :class:`RegionError` where none can be had now.
    """
    sql = "SELECT name FROM previews WHERE version_id = ?"
    there = {Path(row[0]).stem for row in registry.db.execute(sql, (version_id,))}
    new = 0
    for position, image in enumerate(chosen(images, wanted)):
        name = f"civitai-{image.number or position}"
        if name in there:
            continue
        try:
            fetch_one(registry, client, version_id, image, position, image.meta)
            new += 1
        except (UnavailableError, RateLimitError, RegionError):
            raise
        except (CivitaiError, DamagedFileError) as error:
            # Whatever else there is about it will be the same the next time: the run would never get past it.
            _log.warning("picture %s is left out: %s", name, error)
    return new
