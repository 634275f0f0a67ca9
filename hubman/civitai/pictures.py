"""The pictures of a version's page, with what they were drawn with, as previews of a version in the library."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from hubman.civitai.errors import CivitaiError, MissingError
from hubman.civitai.media_urls import still
from hubman.civitai.reading import Reading
from hubman.civitai.records import RemoteImage
from registry import previews
from registry.database import Registry
from registry.errors import DamagedFileError

_log = logging.getLogger(__name__)
_WIDTH = 1200


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which pictures of each version come along. ``highest_level`` is one of Civitai's bits; 0 means any."""

    count: int = 4
    highest_level: int = 0
    is_archive: bool = False
    """Also for versions that have pictures already."""


def chosen(images: Sequence[RemoteImage], wanted: Wanted) -> list[RemoteImage]:
    """The first pictures that are wanted, and videos, of which the first frame comes.

    One whose level nobody told is left out where there is a highest one.
    """
    fitting = [image for image in images if _address(image) and _is_fit(image, wanted)]
    return fitting[: wanted.count]


def _address(image: RemoteImage) -> str:
    return still(image.url, image.type, width=_WIDTH) if image.url else ""


def _is_fit(image: RemoteImage, wanted: Wanted) -> bool:
    return not wanted.highest_level or 0 < image.nsfw_level < 2 * wanted.highest_level


def fetch(registry: Registry, client: Reading, version_id: str, images: Sequence[RemoteImage], wanted: Wanted) -> int:
    """Fetch those that are wanted and not there yet; returns how many were new.

    One that is gone or can't be read is left out. Raises :class:`CivitaiError` where the site can't be reached.
    """
    sql = "SELECT name FROM previews WHERE version_id = ?"
    there = {Path(row[0]).stem for row in registry.db.execute(sql, (version_id,))}
    new = 0
    for position, image in enumerate(chosen(images, wanted)):
        name = f"civitai-{image.number or position}"
        if name in there:
            continue
        try:
            content = client.media(_address(image))
            _keep(registry, version_id, content, image, name=name, position=position)
        except (MissingError, DamagedFileError) as error:
            _log.warning("picture %s is left out: %s", name, error)
            continue
        except CivitaiError as error:
            if error.status and error.status < 500 and error.status != 429:
                _log.warning("picture %s is left out: %s", name, error)
                continue
            raise
        new += 1
    return new


def _keep(registry: Registry, version_id: str, content: bytes, image: RemoteImage, *, name: str, position: int) -> None:
    with tempfile.TemporaryDirectory(prefix="hubman-") as folder:
        path = Path(folder) / f"{name}.jpg"
        path.write_bytes(content)
        previews.add_preview(
            registry,
            version_id,
            path,
            generation=_without_graphs(image.meta),
            source="civitai",
            position=position,
            nsfw_level=image.nsfw_level,
            name=path.name,
        )


def _without_graphs(meta: dict[str, Any]) -> dict[str, Any]:
    """Generation data without whole ComfyUI graphs, which can weigh a megabyte each."""
    return {key: value for key, value in meta.items() if key not in {"comfy", "workflow", "extraMetadata"}}
