"""The body of an answer as it comes, at the speed of the socket where that matters."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator

import httpx

from hubman.civitai.following import InterruptedDownloadError

_BUFFER = 1 << 18
_SHORT = 4 << 20
"""Bytes of a body up to which nothing is gained."""
_PATIENCE_S = 30.0


def connection_of(response: httpx.Response) -> socket.socket | None:
    """The socket behind an answer, by the extension that httpx documents; None where there is none."""
    stream = response.extensions.get("network_stream")
    found = stream.get_extra_info("socket") if stream else None
    return found if isinstance(found, socket.socket) else None


def _bare(response: httpx.Response) -> socket.socket | None:
    """The socket from which the body itself can be read; None where it comes encrypted within what the socket brings.

    Through a proxy that is reached by TLS, the socket's own TLS ends at the proxy, and the site's is done in memory.
    """
    stream = response.extensions.get("network_stream")
    is_within = stream is not None and isinstance(stream.get_extra_info("ssl_object"), ssl.SSLObject)
    return None if is_within else connection_of(response)


def pieces(response: httpx.Response, *, keep: bool) -> Iterator[memoryview]:
    """The bytes of the body, each piece only good until the next is asked for.

    Without ``keep`` the connection is used up: a long body of known length is then read from the socket itself. h11,
    which parses the answer, copies every byte three times; leaving the body out of it saves a third of the whole
    download's work on a fast line. Raises :class:`InterruptedDownloadError` and :class:`httpx.TransportError`.
    """
    parsed = response.iter_raw()
    connection = None if keep else _bare(response)
    length = response.headers.get("Content-Length", "")
    left = int(length) if length.isascii() and length.isdigit() else 0
    if connection is None or left < _SHORT:
        for piece in parsed:
            yield memoryview(piece)
        return
    # What h11 has read beyond the headers comes out as the first piece; after it, it holds nothing back.
    first = next(parsed, b"")
    yield memoryview(first)
    left -= len(first)
    buffer = memoryview(bytearray(_BUFFER))
    connection.settimeout(_PATIENCE_S)
    while left > 0:
        try:
            count = connection.recv_into(buffer, min(left, _BUFFER))
        except OSError as error:
            raise InterruptedDownloadError(f"the connection broke ({error})") from None
        if not count:
            return
        left -= count
        yield buffer[:count]
