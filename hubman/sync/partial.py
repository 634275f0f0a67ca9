"""A file on its way in: preallocated beside its place, filled range by range, resumed from the ranges that came."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import msgspec

from hubman.sync.codec import BlobObject
from hubman.sync.session import Session
from hubman.sync.storage import PIECE, StorageError
from registry import blobs, timestamps
from registry.database import Registry
from registry.errors import HubError
from registry.hashing import hash_file


class _Range(msgspec.Struct, frozen=True):
    """A stretch of the file: where it lies in which object, and where in the file."""

    key: str
    start: int
    at: int
    length: int


class Partial:
    """An unfinished download, with a row of ``transfers`` that outlives the process."""

    def __init__(self, registry: Registry, key: str, path: Path, ranges: list[_Range], done: set[int]) -> None:
        self._registry = registry
        self._key = key
        self._ranges = ranges
        self._size = sum(one.length for one in ranges)
        self._done = done
        """Numbers of the ranges that came."""
        self.path = path

    @classmethod
    def of(cls, registry: Registry, key: str, target: Path, objects: list[BlobObject]) -> Partial:
        """Go on with the download ``key`` that was left, or begin one beside ``target``.

        ``objects`` are what the file is stored as (:meth:`hubman.sync.session.Session.objects`).
        """
        ranges = list(_ranges(objects))
        size = sum(one.length for one in ranges)
        row = registry.db.execute("SELECT target, size, done, tag FROM transfers WHERE id = ?", (key,)).fetchone()
        if row is not None:
            path = Path(row["target"])
            is_ours = row["size"] == size and row["tag"] == str(PIECE)
            if is_ours and path.parent == target.parent and _is_file_of(path, size):
                return cls(registry, key, path, ranges, set(msgspec.json.decode(row["done"], type=list[int])))
            if ".part-" in path.name and path.parent == target.parent:
                path.unlink(missing_ok=True)
        path = target.with_name(f"{target.name}.part-{secrets.token_hex(4)}")
        partial = cls(registry, key, path, ranges, set())
        partial._write_row()
        _preallocate(path, size)
        return partial

    @property
    def missing_bytes(self) -> int:
        return sum(one.length for number, one in enumerate(self._ranges) if number not in self._done)

    def fill(self, session: Session) -> int:
        """Fetch the missing ranges, several at once where the place likes that; returns the bytes that came."""
        missing = iter([(number, one) for number, one in enumerate(self._ranges) if number not in self._done])
        storage = session.storage
        fetched = 0
        with ThreadPoolExecutor(storage.concurrency) as pool, self.path.open("r+b", buffering=0) as file:
            while window := list(islice(missing, storage.concurrency)):
                session.stop_if_asked()
                pieces = pool.map(lambda item: storage.read_range(item[1].key, item[1].start, item[1].length), window)
                for (number, one), data in zip(window, pieces, strict=True):
                    if len(data) != one.length:
                        raise StorageError(f"{one.key} ended early", "sync again")
                    _write_at(file.fileno(), data, one.at)
                    fetched += one.length
                    self._done.add(number)
                self._write_row()
                done = self._size - self.missing_bytes
                session.tell("download", done, self._size, "B", self.path.name)
        return fetched

    def has_hash(self, sha256: str) -> bool:
        """Whether the whole file, read back from the disk, is what it should be."""
        return hash_file(self.path).sha256 == sha256

    def restart(self) -> None:
        self._done = set()
        self._write_row()

    def become(self, target: Path) -> None:
        """Move to ``target``, which must be free, so that a power cut leaves either the whole file there or none."""
        with self.path.open("rb") as file:
            os.fsync(file.fileno())
        if target.exists():
            raise HubError(f"{target} appeared meanwhile", "sync again")
        self.path.replace(target)
        blobs.sync_folder(target.parent)

    def quarantine(self, to: Path) -> None:
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(self.path, to)
        forget(self._registry, self._key)

    def _write_row(self) -> None:
        done = msgspec.json.encode(sorted(self._done)).decode()
        with self._registry.transaction() as db:
            db.execute(
                "INSERT OR REPLACE INTO transfers (id, kind, source, target, size, done, tag, state, updated_at) "
                "VALUES (?, 'sync', ?, ?, ?, ?, ?, 'running', ?)",
                (self._key, self._key, str(self.path), self._size, done, str(PIECE), timestamps.now()),
            )


def _ranges(objects: list[BlobObject]) -> Iterator[_Range]:
    for one in objects:
        for offset in range(0, one.length, PIECE):
            yield _Range(one.key, offset, one.start + offset, min(PIECE, one.length - offset))


def forget(registry: Registry, key: str) -> None:
    """The download ``key`` is over."""
    with registry.transaction() as db:
        db.execute("DELETE FROM transfers WHERE id = ?", (key,))


def _is_file_of(path: Path, size: int) -> bool:
    return path.is_file() and not path.is_symlink() and path.stat().st_size == size


def _preallocate(path: Path, size: int) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    try:
        if size:
            try:
                os.posix_fallocate(handle, 0, size)
            except OSError:
                # Not every file system can reserve; those get a hole.
                os.ftruncate(handle, size)
    finally:
        os.close(handle)


def _write_at(handle: int, data: bytes, position: int) -> None:
    view = memoryview(data)
    while view:
        count = os.pwrite(handle, view, position)
        view = view[count:]
        position += count
