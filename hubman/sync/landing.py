"""Where a file that comes down gets its place: a free name, room on the disk, and what is noted when it lies there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Container, Sequence
from pathlib import Path

import msgspec

from hubman.sync import queue, transfers
from hubman.sync.session import Session
from registry import blobs, changes, clock, places, projection, roots, timestamps
from registry.database import Registry
from registry.errors import HubError
from registry.hashing import hash_file
from registry.safe_name import place_under, safe_name, with_suffix

SPARE = 1 << 30
"""Bytes that a download leaves free on the disk."""


class Weights(msgspec.Struct, frozen=True, kw_only=True):
    """A file that is to come to ``target``; ``name`` is what others call it."""

    sha256: str
    name: str
    size: int
    target: Path


class Landed(msgspec.Struct, frozen=True, kw_only=True):
    """A file whose every byte is right and on the disk, under the name that it had while it came."""

    weights: Weights
    part: Path


class NoRoomError(HubError):
    """The disk has no room for the next file."""


def free_target(folder: Path, name: str, sha256: str, size: int, taken: Container[Path] = ()) -> Path:
    """A free path for the file, or that of a file of exactly this content that nobody has indexed.

    ``taken`` are paths of files that are on their way. Raises :class:`HubError` when every name is in use.
    """
    name = safe_name(name)
    for candidate in (name, with_suffix(name, sha256[:8]), with_suffix(name, sha256)):
        path = place_under(folder, candidate)
        if not path.exists():
            if path not in taken:
                return path
        elif path.is_file() and path.stat().st_size == size and hash_file(path).sha256 == sha256:
            return path
    raise HubError(f"there is no free name for {name} in {folder}", "move the files of that name")


def need_room(folder: Path, size: int) -> None:
    """Raises :class:`NoRoomError` unless ``size`` bytes fit with :data:`SPARE` to spare."""
    free = shutil.disk_usage(folder).free
    if free < size + SPARE:
        raise NoRoomError(
            f"{folder} has {free >> 20} MiB free and the next file needs {(size + SPARE) >> 20}",
            "make room, or fetch less: the device's policy says which weights come here",
        )


def settle(session: Session, landed: Sequence[Landed]) -> list[tuple[Weights, HubError]]:
    """Give files their names, so that a power cut leaves each whole or not there, then note and tell that they are here.

    Returns those that can have no name. Raises :class:`OSError`.
    """
    arrived: list[tuple[Weights, Path]] = []
    nameless: list[tuple[Weights, HubError]] = []
    for one in landed:
        try:
            arrived.append((one.weights, _rename(one)))
        except HubError as error:
            nameless.append((one.weights, error))
    for folder in {path.parent for _, path in arrived}:
        blobs.sync_folder(folder)
    with session.registry.transaction() as db:
        for weights, path in arrived:
            have(session.registry, path, weights.sha256)
            queue.done(db, session.repo, "down", weights.sha256)
            queue.note_remote(db, session.repo, weights.sha256, weights.size)
            transfers.forget(session.registry, transfers.key_of(session.repo, weights.sha256))
    return nameless


def have(registry: Registry, path: Path, sha256: str) -> None:
    """Index the file in its place, and tell the other devices."""
    with registry.transaction() as db:
        root = roots.covering_root(registry, path) or roots.add(registry, path.parent)
        seen = places.seen_from(str(path), path.stat())
        places.put(db, seen, root=str(root), sha256=sha256, problem=None, at=timestamps.now())
        changes.record(db, [["have", clock.device_id(db), sha256, "present", clock.tick(db)]])
        versions = db.execute("SELECT version_id FROM files WHERE sha256 = ?", (sha256,)).fetchall()
        projection.rebuild(db, [row[0] for row in versions])


def quarantine(registry: Registry, sha256: str, part: Path) -> None:
    """Take a file that is not what it should be out of everybody's way. Raises :class:`OSError`."""
    place = registry.home / "quarantine" / sha256
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(part, place)
    transfers.remove_files(part)


def _rename(one: Landed) -> Path:
    weights, target = one.weights, one.weights.target
    if os.path.lexists(target):
        # It appeared meanwhile.
        target = free_target(target.parent, weights.name, weights.sha256, weights.size)
    one.part.replace(target)
    return target
