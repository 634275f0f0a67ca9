"""Fetching what fits into memory: pictures and short videos."""

from __future__ import annotations

import httpx

from hubman.civitai.errors import CivitaiError, UnavailableError, from_answer
from hubman.civitai.following import TRANSIENT, InterruptedDownloadError, follow
from hubman.civitai.response import begins_as_page, is_page
from hubman.civitai.transport import Transport, backoff, retry_after

_TRIES = 3
_STARTS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"BM", b"\x1a\x45\xdf\xa3", b"\xff\x0a", b"\0\0\0\x0cJXL ")
"""JPEG, PNG, GIF, BMP, WebM and Matroska, and JPEG XL with and without a container."""


def fetch_small(transport: Transport, url: str, *, limit: int) -> bytes:
    """The bytes behind ``url``, at most ``limit`` of them. Raises :class:`CivitaiError`, also for more and for a web page."""
    for attempt in range(1, _TRIES + 1):
        try:
            return _read(transport, url, limit)
        except (httpx.TransportError, InterruptedDownloadError) as error:
            if attempt == _TRIES:
                raise UnavailableError(f"a picture can't be fetched ({error})", "try again later") from error
            told = error.wait if isinstance(error, InterruptedDownloadError) else None
            transport.wait(backoff(attempt) if told is None else told)
    raise AssertionError("unreachable")


def _read(transport: Transport, url: str, limit: int) -> bytes:
    content = bytearray()
    with follow(transport, url, {"Accept-Encoding": "identity"}) as response:
        if response.status_code in TRANSIENT:
            raise InterruptedDownloadError(f"HTTP {response.status_code}", retry_after(response))
        if response.status_code != 200:
            raise from_answer(response.status_code, "", what="picture")
        told_page = is_page(response)
        for piece in response.iter_raw():
            content += piece
            if len(content) > limit:
                raise CivitaiError(f"a picture is larger than {limit >> 20} MiB", "open it on the site")
    if told_page or begins_as_page(bytes(content[:200])):
        raise InterruptedDownloadError("a web page came in its place")
    return bytes(content)


def is_media(content: bytes) -> bool:
    """Whether it begins as a picture or a video of a known kind does."""
    if content.startswith(_STARTS):
        return True
    # WebP stands in RIFF; MP4, MOV, AVIF and HEIF begin with the length of their first box.
    return (content.startswith(b"RIFF") and content[8:12] == b"WEBP") or content[4:8] == b"ftyp"
