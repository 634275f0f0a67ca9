"""From a reference to a verified, indexed file with its facts and pictures."""

from __future__ import annotations

import logging
import re
import tempfile
from pathlib import Path
from typing import Any

import msgspec

from hubman.civitai import facts
from hubman.civitai.client import Civitai
from hubman.civitai.errors import CivitaiError, MissingError
from hubman.civitai.names import safe_name
from hubman.civitai.records import RemoteFile, RemoteImage, RemoteModel, RemoteVersion
from hubman.civitai.refs import parse_ref
from hubman.progress import Progress, Report
from registry import library, previews
from registry.database import Registry
from registry.errors import DamagedFileError, HubError
from registry.hashing import hash_file
from registry.scan import index_file

MAX_PREVIEWS = 6
_log = logging.getLogger(__name__)
_SUFFIXES = {"image": ".jpg", "video": ".mp4"}


class PulledModel(msgspec.Struct, frozen=True, kw_only=True):
    """A file that is in the library now. ``verified`` is false when Civitai had no hash of it yet."""

    version_id: str
    path: Path
    sha256: str
    verified: bool


def pull(registry: Registry, client: Civitai, ref: str, *, into: Path, report: Report) -> PulledModel:
    """Download what ``ref`` names into the folder ``into`` and index it.

    A file that is on this machine already is not downloaded again; its facts and pictures are refreshed all the same.
    Raises :class:`registry.errors.UsageError` for a reference that names nothing, and :class:`HubError` otherwise.
    """
    report(Progress(stage="look up", message=ref))
    model, version = find(client, ref)
    file = version.primary_file
    if file is None:
        raise MissingError(f"{model.name} has no file to download", "its creator may have archived it")
    if "Danger" in {file.virus_scan_result, file.pickle_scan_result}:
        raise HubError(f"Civitai's scan calls {file.name} dangerous", "choose another version")
    path, sha256, verified = _obtain(registry, client, version, file, into=into, report=report)
    version_id = index_file(registry, path)
    facts.record(registry, version_id, model, version, is_rehearsal=client.is_rehearsal)
    _fetch_previews(registry, client, version_id, version, report)
    report(Progress(stage="done", done=1, total=1, message=path.name, data={"version_id": version_id}))
    return PulledModel(version_id=version_id, path=path, sha256=sha256, verified=verified)


def find(client: Civitai, ref: str) -> tuple[RemoteModel, RemoteVersion]:
    """What ``ref`` names on the site: a model and one of its versions (the newest, if it names none)."""
    wanted = parse_ref(ref, site=client.site)
    if wanted.hash:
        version = client.by_hash(wanted.hash)
        return client.model(version.model_id), version
    if wanted.version_id:
        version = client.model_version(wanted.version_id)
        return client.model(version.model_id or wanted.model_id), version
    model = client.model(wanted.model_id)
    if not model.versions:
        raise MissingError(f"{model.name} has no published version", "its creator may have archived it")
    return model, client.model_version(model.versions[0].id)


def _obtain(
    registry: Registry, client: Civitai, version: RemoteVersion, file: RemoteFile, *, into: Path, report: Report
) -> tuple[Path, str, bool]:
    """The file's path, SHA-256 and whether Civitai vouches for it, downloaded unless it is here already."""
    if here := _held(registry, file.sha256):
        return here, file.sha256, True
    dest = _free_path(into, safe_name(file.name, fallback=f"civitai-{version.id}"), file, version.id)
    if dest.exists():
        return dest, file.sha256, True
    got = client.download(
        version.id, dest, file_id=file.id, sha256=file.sha256, size=file.size if file.sha256 else 0, report=report
    )
    return got.path, got.sha256, got.verified


def _held(registry: Registry, sha256: str) -> Path | None:
    known = library.file_by_hash(registry, sha256) if sha256 else None
    for place in known.places if known else ():
        path = Path(place.path)
        # Looked at again: the index may be older than an edit.
        if place.state == "present" and path.is_file() and hash_file(path).sha256 == sha256:
            return path
    return None


def _free_path(into: Path, name: str, file: RemoteFile, version_id: int) -> Path:
    """``into/name``, unless another file has that name; a file with this content is used as it is."""
    plain = into / name
    for path in (plain, plain.with_stem(f"{plain.stem}-{version_id}"), plain.with_stem(f"{plain.stem}-{file.id}")):
        if not path.exists() or (file.sha256 and path.is_file() and hash_file(path).sha256 == file.sha256):
            return path
    raise HubError(f"{plain} and its alternatives are taken by other files", "move them, or choose another folder")


def _fetch_previews(
    registry: Registry, client: Civitai, version_id: str, version: RemoteVersion, report: Report
) -> None:
    """The first pictures with their generation data. One that can't be had or read is left out: the model counts."""
    images = [image for image in version.images if image.type == "image" and image.url][:MAX_PREVIEWS]
    if library.version(registry, version_id).previews:
        return
    for index, image in enumerate(images):
        report(Progress(stage="previews", done=index, total=len(images), unit="pictures"))
        try:
            _fetch_preview(registry, client, version_id, image, index)
        except (CivitaiError, DamagedFileError) as error:
            _log.warning("picture %s of version %s is left out: %s", image.number or index, version.id, error)


def _fetch_preview(registry: Registry, client: Civitai, version_id: str, image: RemoteImage, index: int) -> None:
    content = client.media(sized(image.url, 1200))
    with tempfile.TemporaryDirectory(prefix="hubman-") as folder:
        path = Path(folder) / f"{image.number or index}.jpg"
        path.write_bytes(content)
        previews.add_preview(
            registry,
            version_id,
            path,
            generation=_generation(image.meta),
            source="civitai",
            position=index,
            nsfw_level=image.nsfw_level,
            name=f"civitai-{image.number or index}{_SUFFIXES[image.type]}",
        )


def sized(url: str, width: int) -> str:
    """The address of a smaller copy, at one of the widths that Civitai keeps: 96, 320, 450, 512, 800, 1200, ..."""
    return re.sub(r"/original=true/", f"/width={width}/", url, count=1)


def _generation(meta: dict[str, Any]) -> dict[str, Any]:
    """Generation data without whole ComfyUI graphs, which can weigh a megabyte each."""
    return {key: value for key, value in meta.items() if key not in {"comfy", "workflow", "extraMetadata"}}
