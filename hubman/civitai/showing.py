"""The pictures and videos of a version, with what they were drawn with."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hubman.civitai.client import Civitai
from hubman.civitai.errors import CivitaiError
from hubman.civitai.image_search import ImageSearch
from hubman.civitai.media_urls import SIDE, playable, still
from hubman.civitai.records import RemoteImage, RemoteVersion
from hubman.civitai.wanted import chosen, wanted
from hubman.progress import Progress, Report
from registry import library, previews, video
from registry.database import Registry
from registry.errors import DamagedFileError

MOST = 6
_WIDTH = 1200
_LARGEST_VIDEO = 32 << 20
_log = logging.getLogger(__name__)


def fetch(registry: Registry, client: Civitai, version_id: str, version: RemoteVersion, report: Report) -> None:
    """The first pictures with their generation data, none above the level that a person set.

    One that can't be had or read is left out: the model counts.
    """
    images = chosen(version.images, wanted(registry.home, count=MOST))
    if not images or library.version(registry, version_id).previews:
        return
    told = _told_elsewhere(client, version) if any(not image.meta for image in images) else {}
    for index, image in enumerate(images):
        report(Progress(stage="previews", done=index, total=len(images), unit="pictures"))
        try:
            fetch_one(registry, client, version_id, image, index, image.meta or told.get(image.number, {}))
        except (CivitaiError, DamagedFileError) as error:
            _log.warning("picture %s of version %s is left out: %s", image.number or index, version.id, error)


def _told_elsewhere(client: Civitai, version: RemoteVersion) -> dict[int, Mapping[str, Any]]:
    """Generation data by the numbers of pictures: what a version's own answer lacks, the list of pictures may tell."""
    try:
        page = client.images(ImageSearch(version_id=version.id, limit=50))
    except CivitaiError as error:
        _log.warning("the pictures of version %s tell nothing: %s", version.id, error)
        return {}
    return {image.id: image.settings for image in page.items if image.settings}


def fetch_one(
    registry: Registry, client: Civitai, version_id: str, image: RemoteImage, index: int, meta: Mapping[str, Any]
) -> None:
    """Keep one as the version's picture number ``index``, with ``meta`` as what it was drawn with.

    Raises :class:`CivitaiError` for one that can't be had and :class:`DamagedFileError` for one that can't be read.
    """
    number = image.number or index
    is_video = image.type == "video" and video.decoder() is not None
    suffix = ".mp4" if is_video else ".jpg"
    if is_video:
        content = client.media(playable(image.url), limit=_LARGEST_VIDEO)
    else:
        # Nothing here can show a video: the site makes a picture of its first frame.
        width = _WIDTH if image.type == "image" else SIDE
        content = client.media(still(image.url, image.type, width=width))
    with tempfile.TemporaryDirectory(prefix="hubman-") as folder:
        path = Path(folder) / f"{number}{suffix}"
        path.write_bytes(content)
        previews.add_preview(
            registry,
            version_id,
            path,
            generation=_generation(meta),
            source="civitai",
            position=index,
            nsfw_level=image.nsfw_level,
            name=f"civitai-{number}{suffix}",
        )


def _generation(meta: Mapping[str, Any]) -> dict[str, Any]:
    """Generation data without whole ComfyUI graphs, which can weigh a megabyte each."""
    return {key: value for key, value in meta.items() if key not in {"comfy", "workflow", "extraMetadata"}}
