"""A remote in an object store (S3 and what speaks like it, Google Cloud Storage, Azure), through obstore.

Correctness rests on names that contain their content's hash, never on conditional writes: where a store ignores
them, a name is written twice with the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from hubman.sync.storage import PIECE, Entry, Fetched, RefusedError, StorageError
from registry.errors import MissingExtraError, UsageError

SCHEMES = ("s3", "gs", "az", "abfs", "abfss")
_OPTIONS = {"endpoint": "endpoint", "region": "region"}
"""What may stand in a remote's options, and how obstore calls it. Keys come from the environment, never from here."""

RETRIES = 5
"""How often a request is tried again, later each time, within a minute."""


def open_cloud(url: str, options: Mapping[str, str]) -> CloudStorage:
    """The bucket (and folder in it) that ``url`` names. Credentials are the environment's (``AWS_ACCESS_KEY_ID``, …).

    Raises :class:`MissingExtraError` without obstore and :class:`UsageError` for an address that makes no sense.
    """
    check_url(url)
    try:
        from obstore.exceptions import BaseError
        from obstore.store import from_url
    except ImportError as error:
        raise MissingExtraError("buckets need obstore", "pip install 'hubman[cloud]'") from error
    settings: dict[str, Any] = {_OPTIONS[name]: value for name, value in options.items() if name in _OPTIONS}
    client = {"allow_http": True} if settings.get("endpoint", "").startswith("http://") else {}
    retries: Any = {"max_retries": RETRIES, "retry_timeout": timedelta(minutes=1)}
    try:
        return CloudStorage(from_url(url, config=settings, client_options=client or None, retry_config=retries), url)
    except (BaseError, ValueError) as error:
        raise UsageError(f"{url} can't be opened ({_first_line(error)})", "is the address right?") from error


def check_url(url: str) -> None:
    """Raises :class:`UsageError` for an address that names no bucket or holds a key."""
    parts = urlsplit(url)
    if "@" in parts.netloc and not parts.scheme.startswith("abfs"):
        raise UsageError("keys don't belong into a remote's address", "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
    if parts.scheme not in SCHEMES or not parts.hostname:
        known = ", ".join(f"{name}://" for name in SCHEMES)
        raise UsageError(f"{url} names no bucket", f"addresses begin with {known}")


class CloudStorage:
    """:class:`hubman.sync.storage.Storage` over any store of obstore; ``shown`` is how messages call it."""

    concurrency = 8

    def __init__(self, store: Any, shown: str) -> None:
        self._store = store
        self._shown = shown.rstrip("/")

    def get(self, key: str, cap: int) -> Fetched | None:
        import obstore

        with _Errors(self._shown, key):
            try:
                answer = obstore.get(self._store, key)
            except FileNotFoundError:
                return None
            if answer.meta["size"] > cap:
                raise StorageError(f"{self._shown}/{key} is longer than the {cap} bytes that it may have")
            return Fetched(bytes(answer.bytes()), answer.meta["e_tag"])

    def read_range(self, key: str, start: int, length: int) -> bytes | memoryview:
        import obstore

        with _Errors(self._shown, key):
            return memoryview(obstore.get_range(self._store, key, start=start, length=length))

    def size(self, key: str) -> int | None:
        import obstore

        with _Errors(self._shown, key):
            try:
                return int(obstore.head(self._store, key)["size"])
            except FileNotFoundError:
                return None

    def entries(self, prefix: str, after: str = "") -> Iterator[Entry]:
        import obstore

        with _Errors(self._shown, prefix):
            for page in obstore.list(self._store, prefix.rstrip("/") or None, offset=after or None, chunk_size=1000):
                for meta in page:
                    if meta["path"].startswith(prefix) and meta["path"] > after:
                        yield Entry(meta["path"], meta["size"], meta["e_tag"])

    def put(self, key: str, data: bytes) -> str | None:
        import obstore

        with _Errors(self._shown, key):
            tag: str | None = obstore.put(self._store, key, data, use_multipart=False)["e_tag"]
            return tag

    def create(self, key: str, data: bytes) -> bool:
        import obstore
        from obstore.exceptions import AlreadyExistsError, NotSupportedError, PreconditionError

        with _Errors(self._shown, key):
            try:
                obstore.put(self._store, key, data, mode="create")
            except (AlreadyExistsError, FileExistsError, PreconditionError):
                return False
            except (NotSupportedError, NotImplementedError):
                if self.size(key) is not None:
                    return False
                self.put(key, data)
            return True

    def put_stream(self, key: str, pieces: Iterable[bytes], size: int) -> None:
        import obstore

        with _Errors(self._shown, key):
            if size <= PIECE:
                obstore.put(self._store, key, b"".join(pieces), use_multipart=False)
            else:
                obstore.put(self._store, key, iter(pieces), chunk_size=PIECE, max_concurrency=4)

    def delete(self, key: str) -> None:
        import contextlib

        import obstore

        with _Errors(self._shown, key), contextlib.suppress(FileNotFoundError):
            obstore.delete(self._store, key)


class _Errors:
    """Turns what obstore raises into one line that names the object and holds no header, key or signature."""

    def __init__(self, shown: str, key: str) -> None:
        self._name = str(PurePosixPath(shown.replace("://", ":", 1)) / key).replace(":", "://", 1)

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError

        if isinstance(error, PermissionDeniedError | UnauthenticatedError | PermissionError):
            raise RefusedError(f"{self._name} was refused", "check the bucket's name and your access key") from error
        if isinstance(error, BaseError | OSError):
            raise StorageError(f"{self._name} can't be reached ({_first_line(error)})", "try again") from error


def _first_line(error: BaseException) -> str:
    """Of an obstore error, which goes on with a dump of the request."""
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__
