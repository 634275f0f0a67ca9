"""Records that only a machine with the remote's key can have written, readable by everybody."""

from __future__ import annotations

import hmac

from hubman.sync.records import layout
from hubman.sync.secrecy.codec import PlainCodec, within
from hubman.sync.secrecy.repo_key import RepoKey

TAG = 32
"""Bytes of HMAC-SHA-256 before a record."""


class Signer:
    """Puts before a record what proves who wrote it and for what; ``repo`` keeps one remote's from another's."""

    def __init__(self, key: RepoKey, repo: str) -> None:
        self._secret = key.derive(f"records {repo}")

    def signed(self, data: bytes, label: str) -> bytes:
        return self._tag(data, label) + data

    def opened(self, data: bytes, label: str) -> bytes:
        """Raises :class:`layout.UnreadableError`."""
        body = data[TAG:]
        if not hmac.compare_digest(data[:TAG], self._tag(body, label)):
            raise layout.UnreadableError(
                f"{label} was not written there by a machine that has the remote's key",
                "somebody else writes to this place: see who may",
            )
        return body

    def _tag(self, data: bytes, label: str) -> bytes:
        return hmac.digest(self._secret, f"{label}\n".encode() + data, "sha256")


class SignedCodec(PlainCodec):
    """Nothing is hidden; batches, heads and lists carry a signature. Blobs are known by their hash anyway."""

    def __init__(self, key: RepoKey, repo: str) -> None:
        self._signer = Signer(key, repo)

    def seal(self, data: bytes, label: str) -> bytes:
        return self._signer.signed(data, label)

    def open(self, data: bytes, cap: int, label: str) -> bytes:
        return within(self._signer.opened(data, label), cap)

    def cap(self, length: int) -> int:
        return length + TAG
