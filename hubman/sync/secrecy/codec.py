"""How what is said becomes what lies on a remote, and back: as it is, or sealed with a key that the place never sees.

Everything that a sync writes or reads goes through the codec of its session, except ``hub.json``, which says which
codec that is. The hash in an object's name is over the stored bytes, so a place can be checked without the key.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

import msgspec

from hubman.sync.records import layout


class Codec(Protocol):
    """Every way back raises :class:`layout.UnreadableError` for bytes that this key did not make, or not for this use.

    A ``label`` says what a record is for (:func:`layout.batch_label`, the key of a head, …), so that a record which
    somebody moved to another place is refused there.
    """

    @property
    def is_plain(self) -> bool:
        """Whether blobs lie on the remote as they are, under their own hash: ranges can be read, addresses given."""

    def blob_key(self, key: str) -> str:
        """Where the object that :func:`layout.blob_keys` calls ``key`` lies."""

    def stored_size(self, length: int) -> int:
        """The bytes of the object that holds ``length`` bytes of a blob; always the same."""

    def seal(self, data: bytes, label: str) -> bytes:
        """A record (batch, head, snapshot, list) as it is stored."""

    def open(self, data: bytes, cap: int, label: str) -> bytes:
        """The record that was stored for ``label``, of at most ``cap`` bytes."""

    def cap(self, length: int) -> int:
        """The most bytes that a stored record of ``length`` bytes can have: what a reader may accept."""

    def seal_stream(self, pieces: Iterable[bytes], length: int) -> Iterator[bytes]:
        """``length`` bytes of a blob as they are stored, in constant memory. An error of ``pieces`` comes through."""

    def open_blob(self, data: bytes, cap: int) -> bytes:
        """A small blob (a picture) of at most ``cap`` bytes. Nobody vouches for it but its own hash."""

    def open_file(self, sealed: Path, plain: BinaryIO) -> None:
        """Write what the fetched object ``sealed`` holds to ``plain``, from its position on, in constant memory.

        Nobody vouches for it but the file's hash. An object whose end is missing is refused when it is reached.
        """


class PlainCodec:
    """Nothing is changed and nothing is hidden: the remote is trusted to keep secrets, hashes see to the rest."""

    is_plain = True

    def blob_key(self, key: str) -> str:
        return key

    def stored_size(self, length: int) -> int:
        return length

    def seal(self, data: bytes, label: str) -> bytes:  # noqa: ARG002 - nothing is authenticated
        return data

    def open(self, data: bytes, cap: int, label: str) -> bytes:  # noqa: ARG002 - others need it
        return within(data, cap)

    def cap(self, length: int) -> int:
        return length

    def seal_stream(self, pieces: Iterable[bytes], length: int) -> Iterator[bytes]:  # noqa: ARG002 - others need it
        return iter(pieces)

    def open_blob(self, data: bytes, cap: int) -> bytes:
        return within(data, cap)

    def open_file(self, sealed: Path, plain: BinaryIO) -> None:
        with sealed.open("rb") as file:
            shutil.copyfileobj(file, plain)


PLAIN: Codec = PlainCodec()


def within(data: bytes, cap: int) -> bytes:
    if len(data) > cap:
        raise layout.UnreadableError(f"{len(data)} bytes came where at most {cap} may be")
    return data


class BlobObject(msgspec.Struct, frozen=True):
    """One object of a blob: where it lies, the stretch of the blob that it holds, and the bytes it has there."""

    key: str
    start: int
    length: int
    stored: int


def blob_objects(codec: Codec, sha256: str, size: int, part: int) -> list[BlobObject]:
    """What a blob of ``size`` bytes is stored as, in order; ``part`` is the remote's."""
    return [
        BlobObject(codec.blob_key(key), start, length, codec.stored_size(length))
        for key, start, length in layout.blob_keys(sha256, size, part)
    ]
