"""Fetch files and pictures that this machine wants, and believe them only when their hash is right."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Collection
from pathlib import Path

import msgspec

from hubman.sync import layout, queue
from hubman.sync.codec import BlobObject
from hubman.sync.destination import Destination, arrived
from hubman.sync.destination import target as target_of
from hubman.sync.partial import Partial, forget
from hubman.sync.session import Session
from hubman.sync.storage import Storage, StorageError
from registry import blobs
from registry.errors import DamagedFileError, HubError
from registry.unlisted import Unlisted

SPARE = 1 << 30
"""Bytes that a download leaves free on the disk."""


class Downloaded(msgspec.Struct, frozen=True):
    """What came down, and a line for each blob that could not."""

    blobs: int = 0
    bytes: int = 0
    problems: tuple[str, ...] = ()


class _NotThereError(HubError):
    """The remote does not have the blob (yet)."""


def download(session: Session, into: Destination, only: Collection[str] | None = None) -> Downloaded:
    """Fetch what waits, or of that ``only`` these: weights to where they land, pictures into the blob store.

    What fails waits for a later sync.
    """
    waiting = queue.due(session.db, session.repo, "down", everything=session.deep)
    if only is not None:
        waiting = [wanted for wanted in waiting if wanted.sha256 in only]
    unlisted = Unlisted(session.registry)
    count = size = 0
    problems: list[str] = []
    for number, wanted in enumerate(waiting):
        session.stop_if_asked()
        session.tell("download", number, len(waiting), "files")
        try:
            got = _fetch(session, wanted, into, unlisted)
        except (StorageError, DamagedFileError, _NotThereError) as error:
            _postpone(session, wanted, error.message)
            problems += [str(error)] if error.hint else []
            continue
        except OSError as error:
            raise HubError(
                f"{into.folder} can't be written ({error.strerror})", "is there room, may you write?"
            ) from error
        with session.registry.transaction():
            queue.done(session.db, session.repo, "down", wanted.sha256)
        count += got > 0
        size += got
    return Downloaded(count, size, tuple(problems))


def _fetch(session: Session, wanted: queue.Wanted, into: Destination, unlisted: Unlisted) -> int:
    if wanted.kind == "picture":
        return _picture(session, wanted.sha256)
    if _is_trashed(session.db, wanted.sha256):
        # Without a hint: nobody needs to be told at every sync.
        raise _NotThereError(f"{wanted.sha256} is in the trash")
    return _weights(session, wanted.sha256, into, unlisted)


def _postpone(session: Session, wanted: queue.Wanted, problem: str) -> None:
    with session.registry.transaction() as db:
        queue.later(db, session.repo, "down", wanted.sha256, problem)


def _picture(session: Session, sha256: str) -> int:
    if blobs.path_of(session.registry, sha256).exists():
        return 0
    (stored,) = session.objects(sha256, 0)
    fetched = session.storage.get(stored.key, session.codec.stored_size(layout.PICTURE_CAP))
    if fetched is None:
        if not queue.is_spoken_of(session.db, sha256):
            # It was taken from its model, and then from the remote.
            return 0
        raise _NotThereError(f"picture {sha256[:12]} is not on the remote yet", "sync the machine that has it")
    data = _opened(session, fetched.data)
    if data is None or not layout.is_content(sha256, data):
        raise DamagedFileError(f"picture {sha256[:12]} is damaged on the remote", "sync the machine that has it")
    blobs.store_bytes(session.registry, data)
    return len(data)


def _opened(session: Session, data: bytes) -> bytes | None:
    try:
        return session.codec.open_blob(data, layout.PICTURE_CAP)
    except layout.UnreadableError:
        return None


def _weights(session: Session, sha256: str, into: Destination, unlisted: Unlisted) -> int:
    """Bring one file here; returns the bytes that came, 0 when it was here under any name."""
    registry, storage = session.registry, session.storage
    row = session.db.execute("SELECT name, size FROM files WHERE sha256 = ?", (sha256,)).fetchone()
    if row is None or unlisted.find(sha256, row["size"]):
        return 0
    key = f"sync:{session.repo}:{sha256}"
    target = target_of(registry, into, sha256, row["name"], row["size"])
    if target.exists():
        arrived(registry, target, sha256)
        forget(registry, key)
        return 0
    objects = session.objects(sha256, row["size"])
    _need_whole(storage, objects, row["name"], row["size"])
    partial = Partial.of(registry, key, target, objects)
    _need_room(target.parent, partial.missing_bytes)
    fetched = partial.fill(session)
    if not partial.has_hash(sha256) and fetched < row["size"]:
        # A range that came before a power cut may never have reached the disk: once more, from the start.
        partial.restart()
        fetched += partial.fill(session)
    if not partial.has_hash(sha256):
        partial.quarantine(registry.home / "quarantine" / sha256)
        raise DamagedFileError(f"{row['name']} is damaged on the remote", "sync the machine that has it")
    partial.become(target)
    arrived(registry, target, sha256, fetched_from=session.repo)
    forget(registry, key)
    return fetched


def _need_whole(storage: Storage, objects: list[BlobObject], name: str, size: int) -> None:
    """Exact sizes, before the first byte."""
    if size > layout.MAX_BLOB:
        raise DamagedFileError(f"{name} claims {size} bytes", "no such file is fetched")
    for one in objects:
        found = storage.size(one.key)
        if found is None:
            raise _NotThereError(f"{name} is not on the remote yet", "sync the machine that has it")
        if found != one.stored:
            raise DamagedFileError(f"{name} has the wrong size on the remote", "sync the machine that has it")


def _need_room(folder: Path, size: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < size + SPARE:
        raise HubError(
            f"{folder} has {free >> 20} MiB free and the next file needs {(size + SPARE) >> 20}",
            "make room, or fetch less: the device's policy says which weights come here",
        )


def _is_trashed(db: sqlite3.Connection, sha256: str) -> bool:
    row = db.execute(
        "SELECT m.deleted_at FROM files f JOIN versions v ON v.id = f.version_id JOIN models m ON m.id = v.model_id "
        "WHERE f.sha256 = ?",
        (sha256,),
    ).fetchone()
    return row is not None and row[0] is not None
