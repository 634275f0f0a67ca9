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


def item_id(content: str) -> str:
    """The id of a version whose primary file has this SHA-256: ``i`` and 25 characters.

    A file whose content has no name yet (:func:`is_provisional`) is its own item.
    """
    if is_provisional(content):
        return content
    return "i" + crockford32(hashlib.sha256(b"hub-item\0" + content.lower().encode()).digest(), 25)


def civitai_model_id(number: int) -> str:
    """The id of a model that Civitai knows under ``number``: ``m`` and 25 characters."""
    return "m" + crockford32(hashlib.sha256(b"hub-civitai-model\0" + str(number).encode()).digest(), 25)


def new_id() -> str:
    """A fresh ULID in lower case: for what exists only because a person made it."""
    return str(ULID()).lower()


VIEW = "view/"
"""How the id of a saved query begins; its name follows."""

FOLLOW, IGNORE = "follow/", "ignore/"
"""How the id of what a person follows begins (``creator/`` and a name, or ``model/`` and Civitai's number, follow), and
the id of a model whose updates a person ignores (Civitai's number follows)."""

_PROVISIONAL = "u"


def new_provisional_id() -> str:
    """The name of a file that is listed and not hashed yet, in place of its SHA-256 and of its version's id.

    It means nothing on another machine, so nothing that is said of it leaves this one.
    """
    return _PROVISIONAL + new_id()


def is_provisional(text: str) -> bool:
    """Whether ``text`` is such a name, or the id of a record that begins with one and a slash."""
    return text[:1] == _PROVISIONAL and text[1:2].isdecimal() and (len(text) == 27 or text[27:28] == "/")


HASHED, UNHASHED = "sha256 < 'u'", "sha256 >= 'u'"
"""The conditions in SQL for rows whose ``sha256`` is one, and for those where it is a provisional name."""


def new_device_id() -> str:
    return secrets.token_hex(8)
