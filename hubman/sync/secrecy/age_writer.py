"""age files whose size follows from their content's: what a place is checked by without the key.

pyrage, which reads all of them here, writes a stanza of random length into every header so that readers get used to
unknown ones; the size of what it writes is known only afterwards. This writer makes the same file for one X25519
recipient without that stanza, after the format's definition (https://age-encryption.org/v1).
"""

from __future__ import annotations

import base64
import hmac
import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from hubman.sync.secrecy.repo_key import needs_extra

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

_INTRO = b"age-encryption.org/v1\n"
_CHUNK = 64 << 10
_TAG = 16
_NONCE = 16
_BATCH = 1 << 20
"""Ciphertext that is handed on at once."""

HEADER = 200 - _TAG
"""Bytes before the first chunk."""


def stored_size(length: int) -> int:
    """The bytes of a file that holds ``length`` bytes."""
    return HEADER + length + _TAG * max(1, -(-length // _CHUNK))


def sealed(pieces: Iterable[bytes], secret: bytes) -> Iterator[bytes]:
    """The age file of ``pieces`` for the X25519 secret of 32 bytes, in constant memory.

    Raises :class:`registry.errors.MissingExtraError`, at once.
    """
    try:
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
        from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
    except ImportError as error:
        raise needs_extra() from error
    recipient = X25519PrivateKey.from_private_bytes(secret).public_key()
    ours = X25519PrivateKey.generate()
    share = ours.public_key().public_bytes_raw()
    wrapping = _hkdf(ours.exchange(recipient), share + recipient.public_bytes_raw(), b"age-encryption.org/v1/X25519")
    file_key = os.urandom(16)
    stanza = ChaCha20Poly1305(wrapping).encrypt(bytes(12), file_key, None)
    header = b"%b-> X25519 %b\n%b\n---" % (_INTRO, _base64(share), _base64(stanza))
    mac = hmac.digest(_hkdf(file_key, b"", b"header"), header, "sha256")
    nonce = os.urandom(_NONCE)
    start = b"%b %b\n%b" % (header, _base64(mac), nonce)
    return _stream(start, pieces, ChaCha20Poly1305(_hkdf(file_key, nonce, b"payload")))


def _stream(start: bytes, pieces: Iterable[bytes], cipher: ChaCha20Poly1305) -> Iterator[bytes]:
    """Every chunk under its number, the last one marked, so that none can be left out, moved or cut off."""
    made = bytearray(start)
    number = 0
    last = b""
    for following in _chunks(pieces):
        if number:
            made += cipher.encrypt((number - 1).to_bytes(11) + b"\0", last, None)
        if len(made) >= _BATCH:
            yield bytes(made)
            made.clear()
        last = following
        number += 1
    yield bytes(made) + cipher.encrypt(max(0, number - 1).to_bytes(11) + b"\1", last, None)


def _chunks(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """``pieces`` in chunks of 64 KiB; only the last one is shorter, and none is empty."""
    rest = b""
    for piece in pieces:
        view = memoryview(rest + piece if rest else piece)
        whole = len(view) - len(view) % _CHUNK
        for at in range(0, whole, _CHUNK):
            yield bytes(view[at : at + _CHUNK])
        rest = bytes(view[whole:])
    if rest:
        yield rest


def _hkdf(secret: bytes, salt: bytes, info: bytes) -> bytes:
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(SHA256(), 32, salt, info).derive(secret)


def _base64(data: bytes) -> bytes:
    return base64.b64encode(data).rstrip(b"=")
