"""What has come gets its place: room on the disk, its name when every byte is right, and what is noted then."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import msgspec

from hubman.sync import queue
from hubman.sync.session import Session
from hubman.sync.transfer import transfers
from hubman.sync.transfer.destination import Destination, arrived, target
from registry import blobs
from registry.database import Registry
from registry.errors import HubError

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


def need_room(folder: Path, size: int) -> None:
    """Raises :class:`NoRoomError` unless ``size`` bytes fit with :data:`SPARE` to spare."""
    free = shutil.disk_usage(folder).free
    if free < size + SPARE:
        raise NoRoomError(
            f"{folder} has {free >> 20} MiB free and the next file needs {(size + SPARE) >> 20}",
            "make room, or fetch less: the device's policy says which weights come here",
        )


def settle(session: Session, into: Destination, landed: Sequence[Landed]) -> list[tuple[Weights, HubError]]:
    """Give files their names, so that a power cut leaves each whole or not there, then note and tell that they are here.

    Returns those that can have no name. Raises :class:`OSError`.
    """
    named: list[tuple[Weights, Path]] = []
    nameless: list[tuple[Weights, HubError]] = []
    for one in landed:
        try:
            named.append((one.weights, _rename(session.registry, into, one)))
        except HubError as error:
            nameless.append((one.weights, error))
    for folder in {path.parent for _, path in named}:
        blobs.sync_folder(folder)
    with session.registry.transaction() as db:
        for weights, path in named:
            arrived(session.registry, path, weights.sha256, fetched_from=session.repo)
            queue.done(db, session.repo, "down", weights.sha256)
            queue.note_remote(db, session.repo, weights.sha256, weights.size)
            transfers.forget(session.registry, transfers.key_of(session.repo, weights.sha256))
    return nameless


def quarantine(registry: Registry, sha256: str, part: Path) -> None:
    """Take a file that is not what it should be out of everybody's way. Raises :class:`OSError`."""
    place = registry.home / "quarantine" / sha256
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(part, place)
    transfers.remove_files(part)


def _rename(registry: Registry, into: Destination, one: Landed) -> Path:
    weights, path = one.weights, one.weights.target
    if os.path.lexists(path):
        # It appeared meanwhile.
        path = target(registry, into, weights.sha256, weights.name, weights.size)
    one.part.replace(path)
    return path
