"""The body of an answer, however it comes."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable

import httpx

from hubman.civitai import body

_CONTENT = bytes(range(256)) * (5 << 12)
_HEAD = f"HTTP/1.1 200 OK\r\nContent-Length: {len(_CONTENT)}\r\n\r\n".encode()


def _context(protocol: ssl._SSLMethod) -> ssl.SSLContext:
    """TLS that needs no certificate."""
    context = ssl.SSLContext(protocol)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("AECDH:@SECLEVEL=0")
    return context


class _Within:
    """The site's end of TLS that comes through the TLS of ``outer``."""

    def __init__(self, outer: ssl.SSLSocket) -> None:
        self._outer, self._in, self._out = outer, ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = _context(ssl.PROTOCOL_TLS_SERVER).wrap_bio(self._in, self._out, server_side=True)

    def run(self, step: Callable[[], object]) -> None:
        while True:
            try:
                step()
            except ssl.SSLWantReadError:
                self._outer.sendall(self._out.read())
                self._in.write(self._outer.recv(1 << 16))
            else:
                self._outer.sendall(self._out.read())
                return


def _serve(listener: socket.socket) -> None:
    """A proxy that is reached by TLS, and the site behind it, for one request."""
    accepted, _peer = listener.accept()
    with _context(ssl.PROTOCOL_TLS_SERVER).wrap_socket(accepted, server_side=True) as outer:
        outer.recv(1 << 16)
        outer.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        site = _Within(outer)
        site.run(site.tls.do_handshake)
        site.run(lambda: site.tls.read(1 << 16))
        site.run(lambda: site.tls.write(_HEAD + _CONTENT))
        outer.recv(1)


def test_a_long_body_comes_whole_through_a_proxy_that_is_reached_by_tls() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=_serve, args=(listener,), daemon=True)
        server.start()
        client = _context(ssl.PROTOCOL_TLS_CLIENT)
        proxy = httpx.Proxy(f"https://127.0.0.1:{listener.getsockname()[1]}", ssl_context=client)
        with (
            httpx.Client(proxy=proxy, verify=client, trust_env=False) as http,
            http.stream("GET", "https://civitai.example/file") as response,
        ):
            content = b"".join(bytes(piece) for piece in body.pieces(response, keep=False))
        server.join(5)
    assert content == _CONTENT
