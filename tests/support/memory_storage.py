"""A remote in this process's memory: the plainest thing that keeps the contract, to hold the others against."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Iterator

from hubman.sync.storages.storage import Entry, Fetched, StorageError, segments


class MemoryStorage:
    """:class:`hubman.sync.storages.storage.Storage` in a dict of bytes by key."""

    concurrency = 1

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self._lock = threading.Lock()

    def get(self, key: str, cap: int) -> Fetched | None:
        data = self._found(key)
        if data is None:
            return None
        if len(data) > cap:
            raise StorageError(f"{key} is longer than the {cap} bytes that it may have")
        return Fetched(data, _tag(data))

    def read_range(self, key: str, start: int, length: int) -> bytes:
        data = self._found(key)
        if data is None:
            raise StorageError(f"{key} is gone")
        return data[start : start + length]

    def size(self, key: str) -> int | None:
        data = self._found(key)
        return None if data is None else len(data)

    def entries(self, prefix: str, after: str = "") -> Iterator[Entry]:
        with self._lock:
            listed = list(self.objects.items())
        return (Entry(key, len(data), _tag(data)) for key, data in listed if key.startswith(prefix) and key > after)

    def put(self, key: str, data: bytes) -> str | None:
        segments(key)
        with self._lock:
            self.objects[key] = bytes(data)
        return _tag(data)

    def create(self, key: str, data: bytes) -> bool:
        segments(key)
        with self._lock:
            if key in self.objects:
                return False
            self.objects[key] = bytes(data)
            return True

    def put_stream(self, key: str, pieces: Iterable[bytes], size: int) -> None:
        data = b"".join(pieces)
        if len(data) != size:
            raise StorageError(f"{len(data)} bytes came where {size} were expected")
        self.put(key, data)

    def delete(self, key: str) -> None:
        segments(key)
        with self._lock:
            self.objects.pop(key, None)

    def url(self, key: str, seconds: int) -> str | None:
        return None

    def _found(self, key: str) -> bytes | None:
        segments(key)
        with self._lock:
            return self.objects.get(key)


def _tag(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()  # noqa: S324 - as S3 does
