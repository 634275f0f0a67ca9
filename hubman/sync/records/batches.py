"""A batch: up to 20,000 changes as JSON lines, packed with zlib, inside bounds checked before anything is believed."""

from __future__ import annotations

import zlib
from collections.abc import Iterable

import msgspec

from hubman.sync.records.layout import UnreadableError
from registry.changes import Change

MAX_CHANGES = 20_000
MAX_BYTES = 4 << 20
"""Unpacked, when writing; readers accept more."""

NOTHING: Change = ["rem", "", "", "", []]
"""A change that says nothing: what a batch holds that only takes up a number."""

PACKED_CAP = 8 << 20
UNPACKED_CAP = 64 << 20
RATIO_CAP = 200
LINE_CAP = 256 << 10
DEPTH_CAP = 8
TEXT_CAP = 64 << 10


def encode(lines: Iterable[str]) -> bytes:
    """Pack changes that are JSON already (:func:`registry.changes.encode`)."""
    return zlib.compress("\n".join(lines).encode(), 6)


def decode(body: bytes) -> list[Change]:
    """The changes of a batch whose hash was checked. Raises :class:`UnreadableError` for anything out of bounds."""
    return [parse(line) for line in unpacked(body).split(b"\n")]


def parse(line: bytes) -> Change:
    """One line of a batch or snapshot. Raises :class:`UnreadableError`."""
    if len(line) > LINE_CAP:
        raise UnreadableError(f"a batch has a line of {len(line)} bytes")
    try:
        change = msgspec.json.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UnreadableError("a batch has a line that is no JSON") from error
    if not isinstance(change, list) or not change or not isinstance(change[0], str):
        raise UnreadableError("a batch has a line that is no change")
    if not _is_shallow(line, change):
        raise UnreadableError("a batch has a change that is nested too deeply")
    return change


def is_sendable(line: str) -> bool:
    """Whether every reader will take this change; one that it refuses would hold up all that follow."""
    if len(line) <= TEXT_CAP >> 2 and line.count("[") + line.count("{") <= DEPTH_CAP:
        return True
    return fits(line, msgspec.json.decode(line))


def fits(line: str, change: Change) -> bool:
    """Whether every reader will take this change."""
    encoded = line.encode()
    if len(encoded) > LINE_CAP or not _is_shallow(encoded, change):
        return False
    return change[0] != "txt" or len(str(change[3]).encode()) <= TEXT_CAP


def unpacked(body: bytes) -> bytes:
    """Raises :class:`UnreadableError` for what goes out of a batch's bounds."""
    if len(body) > PACKED_CAP:
        raise UnreadableError(f"a batch has {len(body)} bytes packed")
    unpacker = zlib.decompressobj()
    # A long run of the same change packs well; only what is large needs to be suspected.
    cap = min(UNPACKED_CAP, max(len(body) * RATIO_CAP, MAX_BYTES + LINE_CAP))
    try:
        data = unpacker.decompress(body, cap + 1)
    except zlib.error as error:
        raise UnreadableError("a batch can't be unpacked") from error
    if len(data) > cap or not unpacker.eof:
        raise UnreadableError("a batch unpacks to far more than it should")
    return data


def _is_shallow(line: bytes, value: object) -> bool:
    if line.count(b"[") + line.count(b"{") <= DEPTH_CAP:
        return True
    level = [value]
    for _ in range(DEPTH_CAP + 1):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return True
    return False


def _inside(value: object) -> list[object]:
    if isinstance(value, list):
        return value
    return list(value.values()) if isinstance(value, dict) else []
