"""The way from the site's address of a file to the bytes: redirects without the key, a signed address kept while it works."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urljoin, urlsplit

import httpx

from hubman.civitai.errors import CivitaiError
from hubman.civitai.refusals import DownloadLimitError, refusal
from hubman.civitai.transport import Transport, retry_after, said, web_address

_REDIRECTS = 5
_MOVED = frozenset({301, 302, 303, 307, 308})
TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524})


class InterruptedDownloadError(Exception):
    """Not what was asked for, but worth another request, after ``wait`` seconds if somebody told how many.

    ``is_crowd`` says that the server had enough of requests.
    """

    def __init__(self, reason: str, wait: float | None = None, *, is_crowd: bool = False) -> None:
        super().__init__(reason)
        self.wait, self.is_crowd = wait, is_crowd


class Source:
    """A file of the site. The signed address to which it redirects serves all requests until the storage refuses it.

    Safe for threads: however many want an address, the site, which counts downloads, is asked for one.
    """

    def __init__(self, transport: Transport, url: str, name: str) -> None:
        self._transport, self._name = transport, name
        self._asked = url if "://" in url else transport.site + url
        self._target = ""
        self._guard = threading.Lock()

    @contextmanager
    def open(self, headers: dict[str, str]) -> Iterator[httpx.Response]:
        """An answer of 200, 206 or 416. Raises :class:`InterruptedDownloadError`, and a :class:`CivitaiError` for a refusal."""
        address, is_new = self._address()
        # Compressed bytes could not be counted against Range.
        with follow(self._transport, address, {"Accept-Encoding": "identity", **headers}) as response:
            if not self._transport.is_own(str(response.url)) and response.status_code not in {
                200,
                206,
                416,
                *TRANSIENT,
            }:
                # Whatever the storage has against a signed address, a new one may be good.
                self._forget(address)
                reason = f"the signed address was refused ({response.status_code})"
                raise InterruptedDownloadError(reason, None if is_new else 0.0)
            self._check(response)
            yield response

    def _address(self) -> tuple[str, bool]:
        """Where the bytes are, and whether the site has said so just now."""
        with self._guard:
            if self._target:
                return self._target, False
            with self._transport.stream(self._asked, headers={"Accept-Encoding": "identity"}) as response:
                if response.status_code in _MOVED:
                    self._target = _target(self._asked, response.headers.get("Location", ""))
                else:
                    self._check(response)
                    self._target = self._asked
            return self._target, True

    def _forget(self, address: str) -> None:
        with self._guard:
            # Another may have got a new one meanwhile.
            if self._target == address:
                self._target = ""

    def _check(self, response: httpx.Response) -> None:
        status = response.status_code
        if status in {200, 206}:
            if response.headers.get("Content-Type", "").startswith("text/html"):
                raise InterruptedDownloadError("a web page came instead of the file")
            return
        if status == 416:
            return
        text = ""
        if self._transport.is_own(str(response.url)):
            response.read()
            text = said(response)
        if status == 403 and response.headers.get("Content-Type", "").startswith("text/html"):
            raise InterruptedDownloadError("a page of the network in front of Civitai came instead of an answer")
        error = refusal(status, text, self._name)
        if status in TRANSIENT and not isinstance(error, DownloadLimitError):
            raise InterruptedDownloadError(f"HTTP {status}", retry_after(response), is_crowd=status in {429, 503})
        raise error


@contextmanager
def follow(transport: Transport, url: str, headers: dict[str, str]) -> Iterator[httpx.Response]:
    """The answer at the end of up to five redirects; the key goes to the site alone, never to where it points."""
    for _ in range(_REDIRECTS):
        with transport.stream(url, headers=headers) as response:
            if response.status_code not in _MOVED:
                yield response
                return
            url = _target(url, response.headers.get("Location", ""))
    raise CivitaiError("the download is redirected without end", "try again later")


def _target(url: str, location: str) -> str:
    try:
        target = urljoin(url, location)
    except ValueError as error:
        raise CivitaiError("the download is redirected to an address that is none", "try again later") from error
    if not location:
        raise CivitaiError("the download is redirected to nowhere", "try again later")
    web_address(target)
    if urlsplit(target).path.startswith("/login"):
        raise refusal(401, '{"message": "you need to be logged in to download it"}', "it")
    return target
