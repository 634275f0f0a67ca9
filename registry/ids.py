"""Ids that two machines agree on without talking."""

from __future__ import annotations

import hashlib
import secrets

from ulid import ULID

_CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"


def crockford32(digest: bytes, length: int) -> str:
    """The first ``length`` characters of ``digest`` in lower-case Crockford base 32."""
    number = int.from_bytes(digest, "big")
    bits = len(digest) * 8
    return "".join(_CROCKFORD[(number >> (bits - 5 * (i + 1))) & 31] for i in range(length))


def item_id(sha256: str) -> str:
    """The id of a version whose primary file has this SHA-256: ``i`` and 25 characters."""
    return "i" + crockford32(hashlib.sha256(b"hub-item\0" + sha256.lower().encode()).digest(), 25)


def civitai_model_id(number: int) -> str:
    """The id of a model that Civitai knows under ``number``: ``m`` and 25 characters."""
    return "m" + crockford32(hashlib.sha256(b"hub-civitai-model\0" + str(number).encode()).digest(), 25)


def new_id() -> str:
    """A fresh ULID in lower case: for what exists only because a person made it."""
    return str(ULID()).lower()


def new_device_id() -> str:
    return secrets.token_hex(8)
