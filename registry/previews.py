"""Pictures and videos of a version: kept by content, listed by a set that syncs, thumbnails cached."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from registry import blobs, changes, library, pictures, projection, settled, timestamps
from registry.database import Registry
from registry.errors import HubError, NotFoundError

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
    if sha256 not in projection.members(registry.db, version_id, "previews"):
        raise NotFoundError(f"the version does not show picture {sha256[:12]}", "add it first")
    library.set_facts(registry, version_id, "user", {"cover": sha256})


def thumbnail(registry: Registry, sha256: str, side: int = THUMBNAIL_SIDE) -> Path:
    """A JPEG of at most ``side`` pixels a side, made once and cached by content.

    Raises :class:`NotFoundError` when the picture is not here, and :class:`HubError` for videos and damaged pictures.
    """
    source = blobs.path_of(registry, sha256)
    target = registry.home / "thumbs" / sha256[:2] / f"{sha256}-{side}.jpg"
    if target.is_file():
        return target
    row = registry.db.execute("SELECT name FROM previews WHERE sha256 = ?", (sha256,)).fetchone()
    if row and pictures.is_video(Path(row["name"])):
        raise HubError(f"{row['name']} is a video and has no thumbnail", "open it in a player")
    blobs.find(registry, sha256)
    pictures.shrink(source, target, side)
    return target
