"""Send one file: what of its objects is not there yet, read once and hashed on the way."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import msgspec

from hubman.sync.secrecy.codec import BlobObject
from hubman.sync.storages.storage import PIECE
from hubman.sync.transfer.crew import Crew
from hubman.sync.transfer.tally import Moving
from registry.errors import DamagedFileError


class Source(msgspec.Struct, frozen=True):
    """A local file as it was when its hash was taken; ``mtime_ns`` is None where the name itself is the hash."""

    sha256: str
    path: Path
    size: int
    mtime_ns: int | None = None
    is_doubtful: bool = False
    """What is on the remote may be deleted soon: it is sent whatever is there."""

    @property
    def is_unchanged(self) -> bool:
        try:
            now = self.path.stat()
        except OSError:
            return False
        return now.st_size == self.size and self.mtime_ns in {None, now.st_mtime_ns}


def send(crew: Crew, source: Source) -> int:
    """Put what of the blob is not on the remote in its right size; returns the bytes of it that went up.

    Raises :class:`DamagedFileError` when the file is not what its hash says, with nothing left that was put here, and
    :class:`hubman.sync.storages.storage.StorageError` when the remote fails: what is whole there by then is not sent again.
    """
    moving = crew.tally.begin(source.path.name, source.size)
    try:
        return _send(crew, source, moving)
    finally:
        crew.tally.end(moving)


def _send(crew: Crew, source: Source, moving: Moving) -> int:
    storage, objects = crew.session.storage, crew.session.objects(source.sha256, source.size)
    with crew.request():
        missing = {one.key for one in objects if source.is_doubtful or storage.size(one.key) != one.stored}
    if not missing:
        crew.tally.passed(source.size, moving)
        return 0
    reader = _Reader(crew, source, moving)
    put: list[str] = []
    try:
        for one in objects:
            if one.key in missing:
                _put(crew, reader, one)
                put.append(one.key)
            else:
                reader.skip(one.length)
    except DamagedFileError:
        for key in put:
            storage.delete(key)
        raise
    return sum(one.length for one in objects if one.key in missing)


def _put(crew: Crew, reader: _Reader, one: BlobObject) -> None:
    with crew.request(one.stored):
        pieces = crew.session.codec.seal_stream(reader.pieces(one.length), one.length)
        crew.session.storage.put_stream(one.key, pieces, one.stored)


class _Reader:
    """Reads a file from its start to its end, also what need not be sent, so that its hash is known at the end."""

    def __init__(self, crew: Crew, source: Source, moving: Moving) -> None:
        self._crew, self._source, self._moving = crew, source, moving
        self._digest = hashlib.sha256()
        self._at = 0

    def pieces(self, length: int) -> Iterator[bytes]:
        """The next ``length`` bytes. Raises :class:`DamagedFileError` behind the last one if they can't be right."""
        limit = self._crew.session.up
        for piece in self._read(length):
            self._crew.pay(limit, len(piece))
            yield piece
            self._crew.tally.moved(len(piece), self._moving)

    def skip(self, length: int) -> None:
        for piece in self._read(length):
            self._crew.tally.passed(len(piece), self._moving)

    def _read(self, length: int) -> Iterator[bytes]:
        path, left = self._source.path, length
        step = self._crew.session.up.step(PIECE)
        try:
            with path.open("rb", buffering=0) as file:
                file.seek(self._at)
                while left and (piece := file.read(min(step, left))):
                    self._crew.go_on()
                    self._digest.update(piece)
                    self._at += len(piece)
                    left -= len(piece)
                    yield piece
        except OSError as error:
            raise DamagedFileError(f"{path} can't be read ({error.strerror})", "hubman scan") from error
        is_other = self._at == self._source.size and self._digest.hexdigest() != self._source.sha256
        if left or is_other or not self._source.is_unchanged:
            raise DamagedFileError(f"{path} changed while it was sent", "hubman scan")
