"""Fetch what comes in one request: pictures, and files of at most one piece. For the threads of a crew."""

from __future__ import annotations

import os
from pathlib import Path

from hubman.sync.records import layout
from hubman.sync.secrecy.codec import BlobObject
from hubman.sync.storages.storage import StorageError
from hubman.sync.transfer.crew import Crew
from hubman.sync.transfer.partial import create, write_at
from hubman.sync.transfer.settling import Landed, Weights, quarantine
from registry import blobs
from registry.errors import DamagedFileError, HubError

ASK_OWNER = "sync the machine that has it"


class NotThereError(HubError):
    """The remote does not have the blob (yet)."""


def picture(crew: Crew, sha256: str) -> int:
    """Fetch a picture into the blob store; returns its bytes.

    Raises :class:`NotThereError`, :class:`StorageError`, :class:`DamagedFileError`, :class:`OSError`.
    """
    session, name = crew.session, f"picture {sha256[:12]}"
    moving = crew.tally.begin(name, 0)
    try:
        (one,) = session.objects(sha256, 0)
        with crew.request():
            fetched = session.storage.get(one.key, session.codec.stored_size(layout.PICTURE_CAP))
        if fetched is None:
            raise NotThereError(f"{name} is not on the remote yet", ASK_OWNER)
        crew.tally.expect(len(fetched.data))
        crew.tally.moved(len(fetched.data), moving)
        crew.pay(session.down, len(fetched.data))
        data = _opened(crew, fetched.data, layout.PICTURE_CAP)
        if not layout.is_content(sha256, data):
            raise DamagedFileError(f"{name} is damaged on the remote", ASK_OWNER)
        blobs.store_bytes(session.registry, data)
        return len(data)
    finally:
        crew.tally.end(moving)


def small(crew: Crew, weights: Weights, part: Path) -> Landed:
    """Fetch a small file to ``part`` beside its place; its size is known before its first byte comes.

    Raises as :func:`picture` does.
    """
    moving = crew.tally.begin(weights.name, weights.size)
    try:
        (one,) = crew.session.objects(weights.sha256, weights.size)
        crew.pay(crew.session.down, one.stored)
        data = _opened(crew, _get(crew, one, weights), weights.size)
        crew.tally.moved(one.stored, moving)
        handle = create(part)
        try:
            write_at(handle, data, 0)
            os.fsync(handle)
        finally:
            os.close(handle)
        if not layout.is_content(weights.sha256, data):
            quarantine(crew.session.registry, weights.sha256, part)
            raise DamagedFileError(f"{weights.name} is damaged on the remote", ASK_OWNER)
        return Landed(weights=weights, part=part)
    finally:
        crew.tally.end(moving)


def _opened(crew: Crew, data: bytes, cap: int) -> bytes:
    """What was stored; as it came where it can't be opened, which no hash will take for the blob."""
    try:
        return crew.session.codec.open_blob(data, cap)
    except layout.UnreadableError:
        return data


def _get(crew: Crew, one: BlobObject, weights: Weights) -> bytes:
    storage = crew.session.storage
    with crew.request():
        try:
            fetched = storage.get(one.key, one.stored)
        except StorageError as error:
            if (storage.size(one.key) or 0) > one.stored:
                raise _wrong_size(weights) from error
            raise
    if fetched is None:
        raise NotThereError(f"{weights.name} is not on the remote yet", ASK_OWNER)
    if len(fetched.data) != one.stored:
        raise _wrong_size(weights)
    return fetched.data


def need_whole(crew: Crew, objects: list[BlobObject], weights: Weights) -> None:
    """Exact sizes, before the first byte. Raises :class:`NotThereError`, :class:`StorageError`, :class:`DamagedFileError`."""
    for one in objects:
        found = crew.session.storage.size(one.key)
        if found is None:
            raise NotThereError(f"{weights.name} is not on the remote yet", ASK_OWNER)
        if found != one.stored:
            raise _wrong_size(weights)


def _wrong_size(weights: Weights) -> DamagedFileError:
    return DamagedFileError(f"{weights.name} has the wrong size on the remote", ASK_OWNER)
