"""Every hash by which a model file is known, from one reading of it."""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Callable
from pathlib import Path

import msgspec
from blake3 import blake3

CHUNK = 8 << 20
"""Bytes read at once: large enough that hashing runs without the GIL nearly all the time."""

MAX_HEADER = 100 * 1000 * 1000
"""Longest safetensors header in bytes that any reader accepts."""

NO_TENSORS = hashlib.sha256().hexdigest()
"""AutoV3 of every file that holds no tensor: it tells nothing of what a file is."""

_AUTOV1_START = 0x100000
_AUTOV1_STOP = 0x110000
_AUTOV1_SMALLEST = 0x200000


class FileHashes(msgspec.Struct, frozen=True, kw_only=True):
    """The hashes of one file, lower-case hex, except CRC32 (upper case, bytes little-endian, as Civitai prints it).

    ``autov1`` (8 digits) hashes 64 KiB at 1 MiB and is None under 2 MiB; ``autov2`` is the first 10 digits of
    ``sha256``; ``autov3`` (64 digits, of which sites show 12) hashes what follows a safetensors header, and is None
    for other formats.
    """

    size: int
    sha256: str
    autov1: str | None
    autov2: str
    autov3: str | None
    blake3: str
    crc32: str


def hash_file(path: Path, wait: Callable[[], None] | None = None) -> FileHashes:
    """Read ``path`` once and hash it in every way; ``wait`` is called before each piece. Raises :class:`OSError`."""
    whole, tensors, window, tree = hashlib.sha256(), hashlib.sha256(), hashlib.sha256(), blake3()
    crc = position = 0
    header_end: int | None = None
    with path.open("rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        buffer = memoryview(bytearray(min(CHUNK, max(size, 1))))
        while count := _fill(file.readinto, buffer):
            if wait is not None:
                wait()
            part = buffer[:count]
            if position == 0:
                header_end = _header_end(part, size)
            whole.update(part)
            tree.update(part)
            crc = zlib.crc32(part, crc)
            window.update(part[max(_AUTOV1_START - position, 0) : max(_AUTOV1_STOP - position, 0)])
            if header_end is not None:
                tensors.update(part[max(header_end - position, 0) :])
            position += count
    sha256 = whole.hexdigest()
    return FileHashes(
        size=position,
        sha256=sha256,
        autov1=window.hexdigest()[:8] if position >= _AUTOV1_SMALLEST else None,
        autov2=sha256[:10],
        autov3=tensors.hexdigest() if header_end is not None else None,
        blake3=tree.hexdigest(),
        crc32=crc.to_bytes(4, "little").hex().upper(),
    )


def _fill(readinto: Callable[[memoryview], int | None], buffer: memoryview) -> int:
    """Fill ``buffer`` as far as the file goes: a raw read may stop early."""
    filled = 0
    while filled < len(buffer) and (count := readinto(buffer[filled:])):
        filled += count
    return filled


def _header_end(start: memoryview, size: int) -> int | None:
    """Where the tensors begin if the file is laid out as safetensors, else None."""
    if len(start) < 10 or start[8] != ord("{"):
        return None
    length = int.from_bytes(start[:8], "little")
    return 8 + length if length <= min(MAX_HEADER, size - 8) else None
