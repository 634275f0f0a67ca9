"""Fetching a file: redirects followed by hand without the key, resumed by Range, verified before it gets its name."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import httpx
import msgspec

from hubman.civitai.errors import CivitaiError, UnavailableError, from_answer
from hubman.civitai.transport import Transport, backoff, retry_after, said, web_address
from hubman.progress import Progress, Report, silent
from registry.errors import DamagedFileError, HubError

_TRIES = 6
_SMALL_TRIES = 3
_REDIRECTS = 5
_TRANSIENT = frozenset({408, 429, 500, 502, 503, 504})


class Downloaded(msgspec.Struct, frozen=True, kw_only=True):
    """A file that arrived; ``verified`` says whether Civitai told a SHA-256 to hold it against."""

    path: Path
    sha256: str
    size: int
    verified: bool


def fetch(
    transport: Transport, url: str, dest: Path, *, sha256: str = "", size: int = 0, report: Report = silent
) -> Downloaded:
    """Download ``url`` to ``dest``, resuming from ``<dest>.<start of the hash>.part`` where one was left.

    Raises :class:`DamagedFileError` when the content is not ``sha256`` (nothing is left under ``dest``),
    :class:`HubError` when the disk has no room for ``size`` bytes, and a :class:`CivitaiError` for refusals.
    """
    dest.parent.mkdir(parents=True, exist_ok=True)
    partial = _Partial(dest.with_name(f"{dest.name}.{sha256[:12] or 'unknown'}.part"), dest.name)
    if not sha256:
        # Without a hash nothing tells whether a remainder belongs to the same file.
        partial.restart()
    _check_room(dest, max(0, size - partial.size))
    _fill(transport, url, partial, expected=size, report=report)
    got = partial.digest.hexdigest()
    if sha256 and got != sha256.lower():
        partial.restart()
        raise DamagedFileError(
            f"{dest.name} arrived damaged (its SHA-256 is not the one that Civitai tells)", "pull it again"
        )
    length = partial.size
    partial.path.replace(dest)
    _sync_folder(dest.parent)
    return Downloaded(path=dest, sha256=got, size=length, verified=bool(sha256))


def fetch_small(transport: Transport, url: str, *, limit: int) -> bytes:
    """The bytes behind ``url``, at most ``limit`` of them. Raises :class:`CivitaiError`, also for more."""
    for attempt in range(1, _SMALL_TRIES + 1):
        try:
            return _read_small(transport, url, limit)
        except (httpx.TransportError, _InterruptedError) as error:
            if attempt == _SMALL_TRIES:
                raise UnavailableError(f"a picture can't be fetched ({error})", "try again later") from error
            told = error.wait if isinstance(error, _InterruptedError) else None
            transport.wait(backoff(attempt) if told is None else told)
    raise AssertionError("unreachable")


def _read_small(transport: Transport, url: str, limit: int) -> bytes:
    content = bytearray()
    with _follow(transport, url, {"Accept-Encoding": "identity"}) as response:
        if response.status_code in _TRANSIENT:
            raise _InterruptedError(f"HTTP {response.status_code}", retry_after(response))
        if response.status_code != 200:
            raise from_answer(response.status_code, "", what="picture")
        for piece in response.iter_raw():
            content += piece
            if len(content) > limit:
                raise CivitaiError(f"a picture is larger than {limit >> 20} MiB", "open it on the site")
    return bytes(content)


class _Partial:
    """A file on its way in, with the running hash of what is there."""

    def __init__(self, path: Path, name: str) -> None:
        self.path, self.name = path, name
        self.size = 0
        self.digest = hashlib.sha256()
        self.reload()

    def reload(self) -> None:
        """Believe what is on the disk."""
        self.digest, self.size = hashlib.sha256(), 0
        if self.path.exists():
            with self.path.open("rb") as file:
                self.digest = hashlib.file_digest(file, "sha256")
                self.size = file.tell()

    def restart(self) -> None:
        self.path.unlink(missing_ok=True)
        self.reload()

    def append(self, response: httpx.Response, tell: Callable[[int], None]) -> None:
        """Write the body behind what is there, and to the disk before returning, also when the connection breaks."""
        with self.path.open("ab") as file:
            try:
                # Not in pieces of a fixed size: when the connection breaks, an unfinished one would be lost.
                for piece in response.iter_raw():
                    file.write(piece)
                    self.digest.update(piece)
                    self.size += len(piece)
                    tell(self.size)
            except OSError as error:
                raise HubError(
                    f"{self.path} can't be written ({error.strerror})", "make room, then run the same command again"
                ) from error
            finally:
                file.flush()
                os.fsync(file.fileno())


class _InterruptedError(Exception):
    """Not whole yet, but worth another request, after ``wait`` seconds if the server told how many."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


def _fill(transport: Transport, url: str, partial: _Partial, *, expected: int, report: Report) -> None:
    """Ask for the rest until ``partial`` is whole. Tries that brought bytes don't count."""
    tries = 0
    while True:
        before = partial.size
        try:
            return _append(transport, url, partial, expected=expected, report=report)
        except (httpx.TransportError, _InterruptedError) as error:
            tries = 1 if partial.size > before else tries + 1
            if tries >= _TRIES:
                raise UnavailableError(
                    f"the download of {partial.name} broke off ({error})", "run the same command again: it resumes"
                ) from error
            told = error.wait if isinstance(error, _InterruptedError) else None
            transport.wait(backoff(tries) if told is None else told)


def _append(transport: Transport, url: str, partial: _Partial, *, expected: int, report: Report) -> None:
    """One request for what is missing; returns when the file is whole, else raises."""
    have = partial.size
    # Compressed bytes could not be counted against Range.
    headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={have}-"} if have else {})}
    with _follow(transport, url, headers) as response:
        if response.status_code == 416 and _total(response) == have:
            return
        _check_status(transport, response, partial)
        total = _total(response) or expected
        if response.status_code == 200 and have:
            partial.restart()
        partial.append(
            response,
            lambda done: report(Progress(stage="download", done=done, total=total, unit="B", message=partial.name)),
        )
    if total and partial.size < total:
        raise _InterruptedError("the connection was closed early")


def _check_status(transport: Transport, response: httpx.Response, partial: _Partial) -> None:
    status = response.status_code
    if status == 416 or (status == 206 and _first_byte(response) != partial.size):
        partial.restart()
        raise _InterruptedError("the server can't resume there", 0.0)
    if status in {200, 206}:
        return
    if status in _TRANSIENT:
        raise _InterruptedError(f"HTTP {status}", retry_after(response))
    if status in {401, 403} and not transport.is_own(str(response.url)):
        raise _InterruptedError("the signed address was refused")
    response.read()
    raise from_answer(status, said(response), what=f"the download of {partial.name}")


class _follow:  # noqa: N801 - reads as a function, is a context manager over several requests
    """The answer at the end of up to five redirects; the key goes to the site alone, never to where it points."""

    def __init__(self, transport: Transport, url: str, headers: dict[str, str]) -> None:
        self._transport, self._url, self._headers = transport, url, headers

    def __enter__(self) -> httpx.Response:
        url = self._url if "://" in self._url else self._transport.site + self._url
        for _ in range(_REDIRECTS):
            self._stream = self._transport.stream(url, headers=self._headers)
            response = self._stream.__enter__()
            if response.status_code not in {301, 302, 303, 307, 308}:
                return response
            self._stream.__exit__(None, None, None)
            url = _target(url, response.headers.get("Location", ""))
        raise CivitaiError("the download is redirected without end", "try again later")

    def __exit__(self, *error: object) -> None:
        self._stream.__exit__(*error)  # type: ignore[arg-type]


def _target(url: str, location: str) -> str:
    try:
        target = urljoin(url, location)
    except ValueError as error:
        raise CivitaiError("the download is redirected to an address that is none", "try again later") from error
    if not location:
        raise CivitaiError("the download is redirected to nowhere", "try again later")
    web_address(target)
    if urlsplit(target).path.startswith("/login"):
        raise from_answer(401, '{"message": "you need to be logged in to download it"}', what="the download")
    return target


def _first_byte(response: httpx.Response) -> int:
    value = response.headers.get("Content-Range", "").removeprefix("bytes ").split("-", 1)[0]
    return int(value) if value.isascii() and value.isdigit() else -1


def _total(response: httpx.Response) -> int:
    """The whole file's size, from ``Content-Range`` or ``Content-Length``; 0 when not told."""
    value = response.headers.get("Content-Range", "").rpartition("/")[2]
    if not value and response.status_code == 200:
        value = response.headers.get("Content-Length", "")
    return int(value) if value.isascii() and value.isdigit() else 0


def _check_room(dest: Path, needed: int) -> None:
    free = shutil.disk_usage(dest.parent).free
    if needed > free:
        raise HubError(
            f"{dest.parent} has {free >> 20} MiB free, {needed >> 20} MiB are needed",
            "make room, or choose another root",
        )


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
