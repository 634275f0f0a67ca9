"""Sending a file as fast as the machine can: by ``sendfile`` past this process's memory, with ranges and an ETag."""

from __future__ import annotations

import asyncio
import email.utils
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import h11
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

_PIECE = 1 << 20
_RANGE = re.compile(r"bytes=(\d{0,19})-(\d{0,19})", re.ASCII)
CONNECTION = "connection"
"""Where a request's state holds its connection; without it a file is sent in pieces that others may change."""


class Connection(H11Protocol):
    """uvicorn's connection, which tells each request whose it is."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.app_state = {**self.app_state, CONNECTION: self}


class _Promised(bytes):
    """Stands in h11's account for bytes that go to the socket by another way."""

    def __new__(cls, length: int) -> _Promised:
        promised = super().__new__(cls)
        promised.length = length
        return promised

    length: int

    def __len__(self) -> int:
        return self.length


@dataclass(frozen=True)
class _Part:
    """What is sent of a file: ``status`` 200, 206 or 416, and the bytes from ``first`` on."""

    status: int
    first: int
    count: int


class FileAnswer(Response):
    """The file at ``path``, or the one range of it that is asked for; several ranges get the whole."""

    def __init__(self, path: Path, *, media_type: str, name: str | None = None) -> None:
        self.path = path
        super().__init__(media_type=media_type)
        facts = path.stat()
        self.size = facts.st_size
        self.etag = f'"{hashlib.sha256(f"{facts.st_mtime_ns}-{self.size}".encode()).hexdigest()[:32]}"'
        self.modified = email.utils.formatdate(facts.st_mtime, usegmt=True)
        self.headers.update({"Accept-Ranges": "bytes", "ETag": self.etag, "Last-Modified": self.modified})
        if name:
            self.headers["Content-Disposition"] = f"attachment; filename*=utf-8''{quote(name)}"

    def _part(self, asked: Mapping[str, str]) -> _Part:
        whole = _Part(200, 0, self.size)
        match = _RANGE.fullmatch(asked.get("range", ""))
        # A remainder of another file must not be continued with this one.
        if match is None or asked.get("if-range", self.etag) not in {self.etag, self.modified}:
            return whole
        start, end = match[1], match[2]
        if not start:
            if not end:
                return whole
            first, last = max(0, self.size - int(end)), self.size - 1
        else:
            first, last = int(start), min(int(end), self.size - 1) if end else self.size - 1
        if first >= self.size:
            return _Part(416, 0, 0)
        if last < first:
            return whole
        return _Part(206, first, last - first + 1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        asked = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        part = self._part(asked)
        self.headers["Content-Length"] = str(part.count)
        if part.status == 416:
            self.headers["Content-Range"] = f"bytes */{self.size}"
        elif part.status == 206:
            self.headers["Content-Range"] = f"bytes {part.first}-{part.first + part.count - 1}/{self.size}"
        await send({"type": "http.response.start", "status": part.status, "headers": self.raw_headers})
        if part.count and scope["method"] != "HEAD":
            connection = scope.get("state", {}).get(CONNECTION)
            await (_by_system(connection, self.path, part) if connection else _in_pieces(send, self.path, part))
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _by_system(connection: Any, path: Path, part: _Part) -> None:
    with path.open("rb") as file:
        connection.conn.send_with_data_passthrough(h11.Data(data=_Promised(part.count)))
        await asyncio.get_running_loop().sendfile(connection.transport, file, part.first, part.count)


async def _in_pieces(send: Send, path: Path, part: _Part) -> None:
    left = part.count
    with path.open("rb") as file:
        file.seek(part.first)
        while left and (piece := file.read(min(_PIECE, left))):
            left -= len(piece)
            await send({"type": "http.response.body", "body": piece, "more_body": True})
