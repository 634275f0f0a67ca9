"""An HTTP proxy on loopback in front of an S3 server, which does what networks and stores do on bad days."""

from __future__ import annotations

import contextlib
import http.client
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal, get_args
from urllib.parse import urlsplit

Fault = Literal["cut", "cut body", "500", "503", "short", "whole", "stale list"]
"""``cut``: what was asked is done, and no word comes back. ``cut body``: half of the answer, then silence. ``short``: half
of the answer, said to be all. ``whole``: the whole object where a range was asked for. ``stale list``: an older listing."""
FAULTS: tuple[Fault, ...] = get_args(Fault)
_HOP = {"connection", "transfer-encoding", "content-length", "keep-alive"}


@dataclass
class FaultProxy:
    """``choose`` says which fault, if any, befalls a request of this method and path (with its query)."""

    upstream: str
    choose: Callable[[str, str], Fault | None] = lambda method, path: None
    endpoint: str = ""
    happened: list[Fault] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    """``METHOD path`` of all that was asked."""
    old_lists: dict[str, bytes] = field(default_factory=dict)

    def first(self, fault: Fault, times: int = 1, *, method: str = "") -> None:
        """The next ``times`` requests (of this method) meet ``fault``."""
        left = [times]

        def choose(asked: str, path: str) -> Fault | None:
            if method not in {"", asked} or not left[0]:
                return None
            left[0] -= 1
            return fault

        self.choose = choose


@contextlib.contextmanager
def fault_proxy(upstream: str) -> Iterator[FaultProxy]:
    """A proxy in front of the server at ``upstream``, which breaks nothing until told to."""
    proxy = FaultProxy(upstream)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"proxy": proxy}))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    proxy.endpoint = f"http://127.0.0.1:{server.server_port}"
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy: FaultProxy

    def do_any(self) -> None:
        proxy = self.proxy
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        fault = proxy.choose(self.command, self.path)
        proxy.requests.append(f"{self.command} {self.path}")
        if fault in {"500", "503"}:
            proxy.happened.append(fault)
            self._answer(int(fault), {}, b"")
            return
        status, headers, data = self._forward(body, whole=fault == "whole")
        is_list = self.command == "GET" and "list-type=2" in self.path and status == 200
        if fault == "stale list" and is_list and self.path in proxy.old_lists:
            proxy.happened.append(fault)
            data = proxy.old_lists[self.path]
        elif is_list:
            proxy.old_lists.setdefault(self.path, data)
        if fault in {"cut", "whole", "short", "cut body"}:
            proxy.happened.append(fault)
        if fault == "cut":
            self._end()
            return
        length = len(data)
        if fault in {"short", "cut body"}:
            data = data[: length // 2]
        self._answer(status, headers, data, length=length if fault == "cut body" else None)
        if fault == "cut body":
            self._end()

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = do_any  # noqa: N815 - names of http.server

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: tests read ``requests``."""

    def _forward(self, body: bytes, *, whole: bool) -> tuple[int, dict[str, str], bytes]:
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP}
        if whole:
            headers = {name: value for name, value in headers.items() if name.lower() != "range"}
        if body or self.command in {"PUT", "POST"}:
            headers["Content-Length"] = str(len(body))
        connection = http.client.HTTPConnection(urlsplit(self.proxy.upstream).netloc, timeout=30)
        try:
            connection.request(self.command, self.path, body, headers)
            answer = connection.getresponse()
            data = answer.read()
            kept = {name: value for name, value in answer.getheaders() if name.lower() not in _HOP}
            if self.command == "HEAD":
                kept["Content-Length"] = answer.getheader("Content-Length", "0")
            return answer.status, kept, data
        finally:
            connection.close()

    def _answer(self, status: int, headers: dict[str, str], data: bytes, length: int | None = None) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if self.command != "HEAD" and status != 204:
            self.send_header("Content-Length", str(len(data) if length is None else length))
        elif "Content-Length" not in headers:
            self.send_header("Content-Length", "0")
        self.end_headers()
        self.wfile.write(data)

    def _end(self) -> None:
        self.wfile.flush()
        self.close_connection = True
