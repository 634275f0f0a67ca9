"""Fetching what fits into memory: pictures and short videos."""

from __future__ import annotations

import httpx

from hubman.civitai.errors import CivitaiError, UnavailableError, from_answer
from hubman.civitai.following import TRANSIENT, InterruptedDownloadError, follow
from hubman.civitai.transport import Transport, backoff, retry_after

_TRIES = 3


def fetch_small(transport: Transport, url: str, *, limit: int) -> bytes:
    """The bytes behind ``url``, at most ``limit`` of them. Raises :class:`CivitaiError`, also for more."""
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
        for piece in response.iter_raw():
            content += piece
            if len(content) > limit:
                raise CivitaiError(f"a picture is larger than {limit >> 20} MiB", "open it on the site")
    return bytes(content)
