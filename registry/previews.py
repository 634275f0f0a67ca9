"""Pictures and videos of a version: kept by content, listed by a set that syncs, thumbnails cached."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from registry import blobs, changes, levels, library, pictures, projection, settled, timestamps, video
from registry.database import Registry
from registry.errors import DamagedFileError, NotFoundError

THUMBNAIL_SIDE = 320

store_blob = blobs.store
blob_path = blobs.find


def add_preview(
    registry: Registry,
    version_id: str,
    image_path: Path,
    *,
    generation: Mapping[str, Any] | None = None,
    source: str = "user",
    position: int | None = None,
    nsfw_level: int = 0,
    name: str | None = None,
) -> str:
    """Keep a picture or video and show it with a version; returns its SHA-256. Adding it again changes nothing.

    Without ``position`` pictures stand in the order in which they were added. ``generation`` is what made it (prompt,
    seed, …); ``nsfw_level`` one of Civitai's bits. Raises :class:`DamagedFileError` for what is no picture.
    """
    library.version(registry, version_id)
    width, height = (0, 0) if pictures.is_video(image_path) else pictures.measure(image_path)
    sha256 = blobs.store(registry, image_path)
    body: dict[str, Any] = {
        "version_id": version_id, "sha256": sha256, "name": name or image_path.name, "width": width, "height": height,
        "nsfw_level": nsfw_level, "generation": dict(generation or {}), "source": source, "added_at": timestamps.now(),
    }  # fmt: skip
    if position is not None:
        body["position"] = position
    add_known_preview(registry, version_id, sha256, body)
    return sha256


def add_known_preview(registry: Registry, version_id: str, sha256: str, body: Mapping[str, Any]) -> None:
    """List a stored picture with a version; a record that exists already stays as it is."""
    version_id = settled.version_of(registry.db, version_id)
    record_id = f"{version_id}/{sha256}"
    with registry.transaction() as db:
        known = db.execute("SELECT 1 FROM records WHERE kind = 'preview' AND id = ?", (record_id,)).fetchone()
        made: list[changes.Change] = [] if known else [["rec", "preview", record_id, dict(body)]]
        if sha256 not in projection.members(db, version_id, "previews"):
            made.append(changes.add_to_set(db, version_id, "previews", sha256))
        projection.rebuild(db, changes.record(db, made))


def remove_preview(registry: Registry, version_id: str, sha256: str) -> None:
    """Show a picture no longer; its blob stays for whoever else shows it."""
    library.update_set(registry, version_id, "previews", remove=[sha256])


def choose_cover(registry: Registry, version_id: str, sha256: str) -> None:
    """Put one of a version's pictures first. Raises :class:`NotFoundError` for a picture that it does not show."""
    version_id = settled.version_of(registry.db, version_id)
    if sha256 not in projection.members(registry.db, version_id, "previews"):
        raise NotFoundError(f"the version does not show picture {sha256[:12]}", "add it first")
    library.set_facts(registry, version_id, "user", {"cover": sha256})


def set_level(registry: Registry, version_id: str, sha256: str, level: int | None) -> None:
    """A person's word on the browsing level of one of a version's pictures; None takes it back.

    Raises :class:`NotFoundError` for a picture that the version does not show.
    """
    version_id = settled.version_of(registry.db, version_id)
    if sha256 not in projection.members(registry.db, version_id, "previews"):
        raise NotFoundError(f"the version does not show picture {sha256[:12]}", "add it first")
    library.set_facts(registry, version_id, "user", {levels.field_of(sha256): level})


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """One of a version's pictures as lists show it. ``level`` is the bit that counts for it, 0 unknown."""

    sha256: str
    name: str
    level: int = 0
    number: int = 0
    """Its place among the version's pictures, from 0."""
    of: int = 1


def shown(registry: Registry, version_id: str, number: int = 0) -> Shown | None:
    """Picture ``number`` of a version, the last one if there are fewer; None if it has none."""
    rows = registry.db.execute(_SHOWN, (settled.version_of(registry.db, version_id),)).fetchall()
    if not rows:
        return None
    at = max(0, min(number, len(rows) - 1))
    sha256, name, level, of_model = rows[at]
    return Shown(sha256=sha256, name=name, level=levels.effective(level, of_model), number=at, of=len(rows))


_SHOWN = """
SELECT p.sha256, p.name, p.nsfw_level, m.nsfw_level FROM previews p JOIN versions v ON v.id = p.version_id
    JOIN models m ON m.id = v.model_id WHERE p.version_id = ? ORDER BY p.position, p.added_at, p.sha256
"""


def thumbnail(registry: Registry, sha256: str, side: int = THUMBNAIL_SIDE) -> Path:
    """A JPEG of at most ``side`` pixels a side, made once and cached by content; of a video its first frame.

    Raises :class:`NotFoundError` when the picture is not here, :class:`MissingExtraError` for a video that nothing
    here can decode, and :class:`DamagedFileError` for what is no picture.
    """
    source = blobs.path_of(registry, sha256)
    target = registry.home / "thumbs" / sha256[:2] / f"{sha256}-{side}.jpg"
    if target.is_file():
        return target
    blobs.find(registry, sha256)
    row = registry.db.execute("SELECT name FROM previews WHERE sha256 = ?", (sha256,)).fetchone()
    if row and pictures.is_video(Path(row["name"])):
        _shrink_video(source, row["name"], target, side)
    else:
        pictures.shrink(source, target, side)
    return target


_TRIED_AGAIN = 7 * 86_400
"""Seconds after which a video that could not be decoded is tried again: each try costs a process."""


def _shrink_video(source: Path, name: str, target: Path, side: int) -> None:
    failed = target.with_suffix(".failed")
    with contextlib.suppress(FileNotFoundError):
        if time.time() - failed.stat().st_mtime < _TRIED_AGAIN:
            raise DamagedFileError(failed.read_text(), "use MP4 or WebM")
    try:
        video.shrink(source, name, target, side)
    except DamagedFileError as error:
        target.parent.mkdir(parents=True, exist_ok=True)
        failed.write_text(error.message)
        raise
