"""A remote in an object store (S3 and what speaks like it, Google Cloud Storage, Azure), through obstore.

Correctness rests on names that contain their content's hash, never on conditional writes: where a store ignores
them, a name is written twice with the same bytes.

obstore's threads don't survive a fork: nothing of hubman forks, and nothing may once a bucket was opened.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Any, Literal, TypeVar

from hubman.sync.storages import aws_keys
from hubman.sync.storages.cloud_address import check_address, profile_of, settings_of
from hubman.sync.storages.cloud_errors import Told, is_beyond_end, is_missing_bucket, is_whole_answer
from hubman.sync.storages.storage import PIECE, Entry, Fetched, StorageError, segments
from registry.errors import MissingExtraError, UsageError

RETRY: dict[str, Any] = {"max_retries": 5, "retry_timeout": timedelta(minutes=1)}
"""How often a request is tried again, later each time."""
MAX_URL_SECONDS = 7 * 24 * 3600
"""The longest that S3 lets a signed address live."""


def open_cloud(url: str, options: Mapping[str, str]) -> CloudStorage:
    """The bucket (and folder in it) that ``url`` names.

    Keys are the environment's (``AWS_ACCESS_KEY_ID``, ``GOOGLE_APPLICATION_CREDENTIALS``, ``AZURE_STORAGE_ACCOUNT_KEY``,
    …) or those of an AWS profile. Raises :class:`MissingExtraError` without obstore and :class:`UsageError` for an
    address that makes no sense.
    """
    check_address(url, options)
    try:
        from obstore.exceptions import BaseError
        from obstore.store import from_url
    except ImportError as error:
        raise MissingExtraError("buckets need obstore", "pip install 'hubman[cloud]'") from error
    extra: dict[str, Any] = {"retry_config": RETRY}
    if options.get("endpoint", "").startswith("http://"):
        extra["client_options"] = {"allow_http": True}
    profile = profile_of(url, options)
    if profile is not None and (keys := aws_keys.provider(profile)):
        extra["credential_provider"] = keys
    try:
        return CloudStorage(from_url(url, config=settings_of(url, options), **extra), url)
    except (BaseError, ValueError) as error:
        line = str(error).splitlines()[0][:200]
        raise UsageError(f"{url} can't be opened ({line})", "is the address right?") from error


_Bytes = TypeVar("_Bytes", bytes, memoryview)


class CloudStorage:
    """:class:`hubman.sync.storages.storage.Storage` over any store of obstore; ``shown`` is how messages call it."""

    concurrency = 8

    def __init__(self, store: Any, shown: str) -> None:
        self._store = store
        self._shown = shown.rstrip("/")
        self.has_ranges = True
        """False once the store answered a range with the whole object."""

    def get(self, key: str, cap: int) -> Fetched | None:
        import obstore

        with self._told(key):
            try:
                answer = obstore.get(self._store, key)
            except FileNotFoundError as error:
                if is_missing_bucket(error):
                    raise
                return None
            size = answer.meta["size"]
            if size > cap:
                raise StorageError(f"{self._shown}/{key} is longer than the {cap} bytes that it may have")
            return Fetched(self._whole(key, bytes(answer.bytes()), size), answer.meta["e_tag"])

    def read_range(self, key: str, start: int, length: int) -> bytes | memoryview:
        import obstore
        from obstore.exceptions import BaseError

        if length <= 0:
            return b""
        with self._told(key):
            try:
                answer = obstore.get(self._store, key, options={"range": (start, start + length)})
            except BaseError as error:
                if is_beyond_end(error):
                    return b""
                if not is_whole_answer(error):
                    raise
                self.has_ranges = False
                return self._read_through(key, start, length)
            first, end = answer.range
            # Not copied: ranges are long, and several come at once.
            return self._whole(key, memoryview(answer.bytes()), end - first)

    def size(self, key: str) -> int | None:
        import obstore

        with self._told(key):
            try:
                return int(obstore.head(self._store, key)["size"])
            except FileNotFoundError:
                return None

    def entries(self, prefix: str, after: str = "") -> Iterator[Entry]:
        import obstore

        with Told(self._shown, prefix):
            for page in obstore.list(self._store, prefix.rstrip("/") or None, offset=after or None, chunk_size=1000):
                for meta in page:
                    # Some stores know no start of a listing, and a prefix may be taken for one of names.
                    if meta["path"].startswith(prefix) and meta["path"] > after:
                        yield Entry(meta["path"], meta["size"], meta["e_tag"])

    def put(self, key: str, data: bytes) -> str | None:
        import obstore

        with self._told(key):
            tag: str | None = obstore.put(self._store, key, data, use_multipart=False)["e_tag"]
            return tag

    def create(self, key: str, data: bytes) -> bool:
        import obstore
        from obstore.exceptions import AlreadyExistsError, NotSupportedError, PreconditionError

        with self._told(key):
            try:
                obstore.put(self._store, key, data, mode="create")
            except (AlreadyExistsError, FileExistsError, PreconditionError):
                return False
            except (NotSupportedError, NotImplementedError):
                if self.size(key) is not None:
                    return False
                self.put(key, data)
            return True

    def replace(self, key: str, data: bytes, tag: str) -> bool:
        """Write over an object only while it has this tag; False where it has another. Nothing may depend on it."""
        import obstore
        from obstore.exceptions import NotSupportedError, PreconditionError

        with self._told(key):
            try:
                # Without a "version", which some stores take for one that the object must have.
                obstore.put(self._store, key, data, mode={"e_tag": tag})
            except (PreconditionError, NotSupportedError, NotImplementedError):
                return False
            return True

    def put_stream(self, key: str, pieces: Iterable[bytes], size: int) -> None:
        import obstore

        with self._told(key):
            if size <= PIECE:
                obstore.put(self._store, key, b"".join(_counted(pieces, size)), use_multipart=False)
            else:
                # In the mode that overwrites: any other would hold all of it in memory.
                obstore.put(self._store, key, _counted(pieces, size), chunk_size=PIECE, max_concurrency=4)

    def delete(self, key: str) -> None:
        import obstore

        with self._told(key), contextlib.suppress(FileNotFoundError):
            obstore.delete(self._store, key)

    def url(self, key: str, seconds: int) -> str | None:
        return self.signed("GET", key, seconds)

    def signed(self, method: Literal["GET", "DELETE"], key: str, seconds: int) -> str | None:
        """An address that anybody may use for so long, without a key; None where the store can't sign any.

        An anonymous store has none to sign with, and Azure signs only with an account's key.
        """
        import obstore
        from obstore.exceptions import BaseError

        with self._told(key):
            try:
                return str(obstore.sign(self._store, method, key, timedelta(seconds=min(seconds, MAX_URL_SECONDS))))
            except (BaseError, TypeError, ValueError):
                return None

    def _read_through(self, key: str, start: int, length: int) -> bytes:
        """A range out of the whole object, which is all that the store gives; held in memory is only the range."""
        import obstore

        taken = bytearray()
        position = 0
        for piece in obstore.get(self._store, key).stream(min_chunk_size=PIECE):
            data = bytes(piece)
            taken += data[max(start - position, 0) : max(start + length - position, 0)]
            position += len(data)
            if position >= start + length:
                break
        return bytes(taken)

    def _whole(self, key: str, data: _Bytes, size: int) -> _Bytes:
        if len(data) != size:
            raise StorageError(f"{self._shown}/{key} came with {len(data)} of {size} bytes", "try again")
        return data

    def _told(self, key: str) -> Told:
        segments(key)
        return Told(self._shown, key)


def _counted(pieces: Iterable[bytes], size: int) -> Iterator[bytes]:
    """``pieces``, with an error at their end, before the object appears, unless they were ``size`` bytes."""
    count = 0
    for piece in pieces:
        count += len(piece)
        yield piece
    if count != size:
        raise StorageError(f"{count} bytes came where {size} were expected", "scan, then sync again")
