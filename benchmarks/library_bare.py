"""What the bars are measured against: the same work by bare functions of Python, without a registry."""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path

from blake3 import blake3

_DROP_CACHES = Path("/proc/sys/vm/drop_caches")
_CHUNK = 8 << 20
THREADS = 2


def drop_page_cache() -> str:
    """Make the next reads come from the disk; says how far that was allowed."""
    os.sync()
    try:
        _DROP_CACHES.write_text("3")
    except OSError:
        return "page cache not dropped (not allowed)"
    return "page cache dropped"


def walk_and_stat(folder: Path) -> list[tuple[str, os.stat_result]]:
    """Every file below ``folder``, the pictures and sidecars among them: a check for changes is about those too."""
    return [
        (path, os.stat(path))  # noqa: PTH116 - the fastest way is the reference
        for inner, _, names in os.walk(folder)
        for name in names
        for path in (f"{inner}/{name}",)
    ]


def _models(folder: Path) -> list[str]:
    return [path for path, _ in walk_and_stat(folder) if path.endswith(".safetensors")]


def read_headers(folder: Path) -> int:
    """Walk, stat and parse each header with the standard library, on two threads; how many tensors there are."""
    return sum(_on_threads(_count_tensors, _models(folder)))


def _count_tensors(path: str) -> int:
    with open(path, "rb") as file:  # noqa: PTH123 - the fastest way is the reference
        size = int.from_bytes(file.read(8), "little")
        return len(json.loads(file.read(size)))


def hash_files(folder: Path) -> int:
    """SHA-256 of the whole and of the tensors, BLAKE3 and CRC32 of each file, on two threads; the bytes read."""
    return sum(_on_threads(_hash, _models(folder)))


def _hash(path: str) -> int:
    whole, tensors, tree, crc, position = hashlib.sha256(), hashlib.sha256(), blake3(), 0, 0
    buffer = memoryview(bytearray(_CHUNK))
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - the fastest way is the reference
        while count := file.readinto(buffer):
            part = buffer[:count]
            whole.update(part)
            tensors.update(part if position else part[8 + int.from_bytes(part[:8], "little") :])
            tree.update(part)
            crc = zlib.crc32(part, crc)
            position += count
    return position


def _on_threads(work: Callable[[str], int], paths: list[str]) -> Iterable[int]:
    """Each thread takes every second file: nothing but the work itself stands between them."""
    with ThreadPoolExecutor(THREADS) as pool:
        shares = [
            pool.submit(lambda mine: [work(path) for path in mine], paths[start::THREADS]) for start in range(THREADS)
        ]
        return chain.from_iterable([share.result() for share in shares])
