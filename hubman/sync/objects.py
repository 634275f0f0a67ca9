"""What a blob is on a remote: the objects that hold it, how they are called there and how long they are.

The one place where names and sizes of blobs are worked out, for whoever sends, fetches or looks for one.
"""

from __future__ import annotations

import msgspec

from hubman.sync import layout
from hubman.sync.session import Session


class Stored(msgspec.Struct, frozen=True):
    """One object of a blob. ``at`` and ``length`` say which bytes of the file it holds, ``size`` how long it is itself."""

    key: str
    at: int
    length: int
    size: int


def objects_of(session: Session, sha256: str, length: int) -> list[Stored]:
    """The objects that a blob of ``length`` bytes is stored as, in order."""
    return [Stored(key, at, part, part) for key, at, part in layout.blob_keys(sha256, length, session.remote.part)]
