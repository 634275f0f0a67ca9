"""Marks: immutable lists of blobs that somebody found nobody speaking of, to be deleted if that is so for a month.

A list is packed like a batch, one blob's key a line. Who is about to rely on a blob that lies there and stands in such a
list sends it again, so that its head, newer than the mark, tells of it before anybody deletes.
"""

from __future__ import annotations

import contextlib
import re
import zlib
from collections.abc import Sequence

import msgspec

from hubman.sync.records import batches, layout
from hubman.sync.session import Session
from registry import clock

MAX_KEYS = 100_000
"""In one list, so that it stays within what every reader takes."""

_CAP = batches.PACKED_CAP
_BASE = re.compile(r"blob/([0-9a-f]{2})/\1[0-9a-f]{62}")


class Mark(msgspec.Struct, frozen=True):
    """One list: the key of its object, its stamp, and the blobs in it."""

    key: str
    stamp: str
    blobs: frozenset[str]


def base_of(key: str) -> str:
    """The blob that an object belongs to: its key without the number of a part."""
    return key.partition(".p/")[0]


def keys(session: Session) -> list[str]:
    return sorted(entry.key for entry in session.storage.entries(layout.MARKS) if layout.is_known(entry.key))


def read(session: Session) -> list[Mark]:
    """The lists that are whole and make sense; by no other is anything deleted."""
    found = []
    for key in keys(session):
        with contextlib.suppress(layout.UnreadableError):
            found += _read(session, key)
    return found


def _read(session: Session, key: str) -> list[Mark]:
    name = key.removeprefix(layout.MARKS)
    stored = session.storage.get(key, session.codec.cap(_CAP))
    if stored is None or not layout.is_intact(name, stored.data):
        return []
    stamp = layout.stamp_of(name)
    body = session.codec.open(stored.data, _CAP, layout.stamped_label(layout.MARKS, stamp))
    lines = batches.unpacked(body).decode("ascii", "replace").split("\n")
    return [Mark(key, stamp, frozenset(lines))] if all(_BASE.fullmatch(line) for line in lines) else []


def candidates(session: Session) -> frozenset[str]:
    """Every blob that some list holds."""
    return frozenset().union(*(mark.blobs for mark in read(session)))


def write(session: Session, blobs: Sequence[str]) -> list[str]:
    """Write lists of ``blobs``; their keys."""
    made = []
    for start in range(0, len(blobs), MAX_KEYS):
        stamp = clock.at_least(0, session.device)
        label = layout.stamped_label(layout.MARKS, stamp)
        body = session.codec.seal(zlib.compress("\n".join(blobs[start : start + MAX_KEYS]).encode(), 6), label)
        made.append(f"{label}-{layout.hash32(body)}")
        session.storage.put(made[-1], body)
    return made
