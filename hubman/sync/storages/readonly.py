"""A remote that this machine only reads: a library that others keep. Whatever asks to write is refused here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from hubman.sync.remote import Remote
from hubman.sync.storages.storage import Entry, Fetched, RefusedError, Storage, open_storage


def open_remote(remote: Remote, storage: Storage | None = None) -> Storage:
    """The place of a remote (or ``storage`` in its stead), which lets nobody write where it was added to be read only."""
    place = storage or open_storage(remote.kind, remote.location, remote.options)
    return ReadOnlyStorage(place, remote.location) if remote.is_read_only else place


class ReadOnlyStorage:
    """:class:`hubman.sync.storages.storage.Storage` over ``inner`` that never writes; ``shown`` is how messages call it."""

    def __init__(self, inner: Storage, shown: str) -> None:
        self._inner = inner
        self._shown = shown

    @property
    def concurrency(self) -> int:
        return self._inner.concurrency

    def get(self, key: str, cap: int) -> Fetched | None:
        return self._inner.get(key, cap)

    def read_range(self, key: str, start: int, length: int) -> bytes | memoryview:
        return self._inner.read_range(key, start, length)

    def size(self, key: str) -> int | None:
        return self._inner.size(key)

    def entries(self, prefix: str, after: str = "") -> Iterator[Entry]:
        return self._inner.entries(prefix, after)

    def put(self, key: str, data: bytes) -> str | None:
        del data
        raise self._refusal(key)

    def create(self, key: str, data: bytes) -> bool:
        del data
        raise self._refusal(key)

    def put_stream(self, key: str, pieces: Iterable[bytes], size: int) -> None:
        del pieces, size
        raise self._refusal(key)

    def delete(self, key: str) -> None:
        raise self._refusal(key)

    def url(self, key: str, seconds: int) -> str | None:
        return self._inner.url(key, seconds)

    def _refusal(self, key: str) -> RefusedError:
        return RefusedError(
            f"{self._shown} was added to be read only and {key} is not written", "add it without --read-only"
        )
