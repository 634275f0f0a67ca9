"""The codec of an encrypted remote: every object is an age file, blobs lie under names that say nothing.

A stranger sees how many objects there are, of what size and age, and which device wrote which log.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from hubman.sync.records import layout
from hubman.sync.secrecy import age_keys, age_writer
from hubman.sync.secrecy.codec import within
from hubman.sync.secrecy.repo_key import RepoKey, needs_extra
from hubman.sync.secrecy.signed import TAG, Signer
from hubman.sync.storages.storage import PIECE

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer
    from pyrage.x25519 import Identity

_HINT = "sync the machine that wrote it"


class SealedCodec:
    """:class:`hubman.sync.secrecy.codec.Codec` with a key. Raises :class:`registry.errors.MissingExtraError` without pyrage.

    That age opens a record proves only that somebody knows whom to encrypt for, so each is signed inside as well.
    """

    is_plain = False

    def __init__(self, key: RepoKey, repo: str) -> None:
        try:
            import cryptography  # noqa: F401 - what writes needs it
            from pyrage.x25519 import Identity
        except ImportError as error:
            raise needs_extra() from error
        self._key = key
        self._signer = Signer(key, repo)
        self._secret = age_secret(key, repo)
        self._identity: Identity = Identity.from_str(age_keys.identity(self._secret))

    def blob_key(self, key: str) -> str:
        sha256, dot, number = key.split("/", 2)[2].partition(".p/")
        name = self._key.blob_name(sha256)
        return f"{layout.BLOBS}{name[:2]}/{name}{dot}{number}"

    def stored_size(self, length: int) -> int:
        return age_writer.stored_size(length)

    def seal(self, data: bytes, label: str) -> bytes:
        return b"".join(age_writer.sealed([self._signer.signed(data, label)], self._secret))

    def open(self, data: bytes, cap: int, label: str) -> bytes:
        return within(self._signer.opened(self._decrypted(data, label), label), cap)

    def cap(self, length: int) -> int:
        return age_writer.stored_size(length + TAG)

    def seal_stream(self, pieces: Iterable[bytes], length: int) -> Iterator[bytes]:  # noqa: ARG002 - others need it
        return age_writer.sealed(pieces, self._secret)

    def open_blob(self, data: bytes, cap: int) -> bytes:
        return within(self._decrypted(data, "a picture"), cap)

    def open_file(self, sealed: Path, plain: BinaryIO) -> None:
        import pyrage

        target = _Target(plain)
        try:
            # pyrage moves 8 KiB at a time, which is little for a call of Python's.
            with sealed.open("rb", buffering=PIECE) as file, io.BufferedWriter(target, PIECE) as buffered:
                pyrage.decrypt_io(file, buffered, [self._identity])
        except (pyrage.DecryptError, OSError) as error:
            if target.problem is not None:
                raise target.problem from error
            raise layout.UnreadableError("it can't be decrypted: it is damaged or another key's", _HINT) from error

    def _decrypted(self, data: bytes, what: str) -> bytes:
        import pyrage

        try:
            plain: bytes = pyrage.decrypt(data, [self._identity])
        except (pyrage.DecryptError, OSError) as error:
            raise layout.UnreadableError(f"{what} can't be decrypted: it is damaged or another key's", _HINT) from error
        return plain


def age_secret(key: RepoKey, repo: str) -> bytes:
    """The X25519 secret that everything on the remote ``repo`` is encrypted for."""
    return key.derive(f"age {repo}")


class _Target(io.RawIOBase):
    """Where the plain bytes go; remembers what the disk said, which pyrage gives back as an error of its own."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.problem: OSError | None = None

    def writable(self) -> bool:
        return True

    def write(self, data: Buffer, /) -> int:
        try:
            return self._file.write(data)
        except OSError as error:
            self.problem = error
            raise
