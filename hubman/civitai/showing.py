"""The pictures of a pulled version, with what they were drawn with; of videos the first frame."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from hubman.civitai import pictures
from hubman.civitai.client import Civitai
from hubman.civitai.errors import CivitaiError
from hubman.civitai.image_search import ImageSearch
from hubman.civitai.pictures import Wanted
from hubman.civitai.records import RemoteImage, RemoteVersion
from hubman.progress import Progress, Report
from registry import library
from registry.database import Registry

MOST = 6
_log = logging.getLogger(__name__)


def fetch(registry: Registry, client: Civitai, version_id: str, version: RemoteVersion, report: Report) -> None:
    """The first pictures, unless the version shows any already. What can't be had is left out: the model counts."""
    wanted = Wanted(count=MOST)
    images = pictures.chosen(version.images, wanted)
    if not images or library.version(registry, version_id).previews:
        return
    report(Progress(stage="previews", total=len(images), unit="pictures"))
    try:
        pictures.fetch(registry, client, version_id, _with_settings(client, version, images), wanted)
    except CivitaiError as error:
        _log.warning("pictures of version %s are left out: %s", version.id, error)


def _with_settings(client: Civitai, version: RemoteVersion, images: Sequence[RemoteImage]) -> Sequence[RemoteImage]:
    """With the generation data that the version's own answer lacks, from the list of pictures."""
    if all(image.meta for image in images):
        return images
    told = _told(client, version)
    return [msgspec.structs.replace(image, meta=image.meta or dict(told.get(image.number, {}))) for image in images]


def _told(client: Civitai, version: RemoteVersion) -> dict[int, Mapping[str, Any]]:
    try:
        page = client.images(ImageSearch(version_id=version.id, limit=50))
    except CivitaiError as error:
        _log.warning("the list of pictures of version %s tells nothing: %s", version.id, error)
        return {}
    return {image.id: image.settings for image in page.items if image.settings}
