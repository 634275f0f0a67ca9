"""A large file on its way in: preallocated beside its place, filled range by range, resumed from the ranges that came."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from hubman.sync.secrecy.codec import BlobObject
from hubman.sync.storages.storage import PIECE
from hubman.sync.transfer import transfers
from hubman.sync.transfer.settling import need_room
from registry.database import Registry

NOTE_BYTES = 32 << 20
"""After so many bytes it is written down which ranges came: with those on their way, what a kill costs at most."""


class Range(msgspec.Struct, frozen=True):
    """A stretch of what is fetched: ``start`` is where it lies in its object, ``at`` where in the file ``path``."""

    key: str
    start: int
    path: Path
    at: int
    length: int


class Partial:
    """An unfinished download, with a row of ``transfers`` that outlives the process.

    What is stored as it is fills the file :attr:`path`. Of what is sealed each object has a file of its own beside it
    (:attr:`sealed`), out of which the file is made when all of them are there.
    """

    def __init__(
        self,
        registry: Registry,
        key: str,
        path: Path,
        objects: Sequence[BlobObject],
        done: Iterable[int],
        *,
        plain: bool,
    ) -> None:
        self._registry, self._key, self.path = registry, key, path
        self.sealed = [] if plain else [path.with_name(f"{path.name}-{number:05}") for number in range(len(objects))]
        self.ranges = list(_ranges(objects, path, self.sealed))
        self.size = sum(one.length for one in self.ranges)
        self._done = {number for number in done if 0 <= number < len(self.ranges)}
        self._unnoted = self._first_missing = 0
        self.resumed = sorted(self._done)
        """Numbers of the ranges that an earlier process fetched."""

    @classmethod
    def of(cls, registry: Registry, key: str, target: Path, objects: Sequence[BlobObject], *, plain: bool) -> Partial:
        """Go on with the download ``key`` that was left, or begin one beside ``target``.

        Raises :class:`OSError` and :class:`hubman.sync.transfer.settling.NoRoomError`.
        """
        left = transfers.find(registry, key)
        if left is not None:
            partial = cls(registry, key, left.path, objects, left.done, plain=plain)
            is_ours = left.size == partial.size and left.tag == _tag() and left.path.parent == target.parent
            if is_ours and all(_is_file_of(path, size) for path, size in partial._files()):
                return partial
            transfers.drop(registry, left)
        partial = cls(registry, key, part_of(target), objects, (), plain=plain)
        need_room(target.parent, partial.size + (0 if plain else sum(one.length for one in objects)))
        partial.note_all()
        for path, size in partial._files():
            _preallocate(path, size)
        return partial

    def _files(self) -> list[tuple[Path, int]]:
        """The files that ranges fill, and the bytes of each."""
        sizes: dict[Path, int] = dict.fromkeys(self.sealed or [self.path], 0)
        for one in self.ranges:
            sizes[one.path] += one.length
        return list(sizes.items())

    @property
    def missing(self) -> list[int]:
        """Numbers of the ranges that are still to come."""
        return [number for number in range(len(self.ranges)) if number not in self._done]

    @property
    def missing_bytes(self) -> int:
        return sum(self.ranges[number].length for number in self.missing)

    @property
    def beginning(self) -> int:
        """How many bytes of the file are there from its start on; 0 for what is sealed."""
        while self._first_missing in self._done:
            self._first_missing += 1
        if self.sealed:
            return 0
        return self.ranges[self._first_missing].at if self._first_missing < len(self.ranges) else self.size

    def write(self, one: Range, data: bytes | memoryview, offset: int) -> None:
        """Put what came at ``offset`` of a range where it belongs; a range counts from :meth:`note` on.

        Raises :class:`OSError`.
        """
        handle = os.open(one.path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            write_at(handle, data, one.at + offset)
        finally:
            os.close(handle)

    def note(self, number: int) -> None:
        """A range is in the file. Not every one is worth a commit."""
        self._done.add(number)
        self._unnoted += self.ranges[number].length
        if self._unnoted >= NOTE_BYTES or len(self._done) == len(self.ranges):
            self.note_all()

    def note_all(self) -> None:
        self._unnoted = 0
        transfers.note(self._registry, self._key, self.path, self.size, _tag(), sorted(self._done))

    def drop(self, numbers: Iterable[int]) -> None:
        """These ranges have to come again."""
        self._done -= set(numbers)
        self._first_missing = 0
        self.note_all()


def part_of(target: Path) -> Path:
    """A name beside ``target`` that no other download has."""
    return target.with_name(f"{target.name}.part-{secrets.token_hex(4)}")


def create(path: Path) -> int:
    """A handle on a new file. Raises :class:`OSError`."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)


def write_at(handle: int, data: bytes | memoryview, position: int) -> None:
    view = memoryview(data)
    while view:
        count = os.pwrite(handle, view, position)
        view = view[count:]
        position += count


def _tag() -> str:
    return str(PIECE)


def _ranges(objects: Sequence[BlobObject], path: Path, sealed: Sequence[Path]) -> Iterator[Range]:
    for number, one in enumerate(objects):
        for offset in range(0, one.stored, PIECE):
            length = min(PIECE, one.stored - offset)
            if sealed:
                yield Range(one.key, offset, sealed[number], offset, length)
            else:
                yield Range(one.key, offset, path, one.start + offset, length)


def _is_file_of(path: Path, size: int) -> bool:
    return path.is_file() and not path.is_symlink() and path.stat().st_size == size


def _preallocate(path: Path, size: int) -> None:
    handle = create(path)
    try:
        if size:
            try:
                os.posix_fallocate(handle, 0, size)
            except OSError:
                # Not every file system can reserve; those get a hole.
                os.ftruncate(handle, size)
    finally:
        os.close(handle)
