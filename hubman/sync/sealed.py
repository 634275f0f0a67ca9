"""The codec of an encrypted remote: every object is an age file, blobs lie under names that say nothing.

A stranger sees how many objects there are, of what size and age, and which device wrote which log.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from hubman.sync import age_keys, age_writer, layout
from hubman.sync.codec import within
from hubman.sync.repo_key import RepoKey, needs_extra
from hubman.sync.signed import TAG, Signer

if TYPE_CHECKING:
    from pyrage.x25519 import Identity

_HINT = "sync the machine that wrote it"


class SealedCodec:
    """:class:`hubman.sync.codec.Codec` with a key. Raises :class:`registry.errors.MissingExtraError` without pyrage.

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
        self._secret = key.derive(f"age {repo}")
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

    def seal_stream(self, pieces: Iterable[bytes], length: int) -> Iterator[bytes]:  # noqa: ARG002
        return age_writer.sealed(pieces, self._secret)

    def open_blob(self, data: bytes, cap: int) -> bytes:
        return within(self._decrypted(data, "a picture"), cap)

    def open_file(self, sealed: Path, plain: BinaryIO) -> None:
        import pyrage

        target = _Target(plain)
        try:
            with sealed.open("rb") as file:
                pyrage.decrypt_io(file, target, [self._identity])
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


class _Target:
    """Where the plain bytes go; remembers what the disk said, which pyrage gives back as an error of its own."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.problem: OSError | None = None

    def write(self, data: bytes) -> int:
        try:
            view = memoryview(data)
            while view:
                view = view[self._file.write(view) :]
        except OSError as error:
            self.problem = error
            raise
        return len(data)

    def flush(self) -> None:
        self._file.flush()
