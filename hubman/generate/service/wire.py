"""JSON lines over a socket, for both of its ends."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from collections.abc import Iterator

import msgspec

_CHUNK = 1 << 16
_ENCODER = msgspec.json.Encoder()


class WireClosedError(Exception):
    """The other end is gone."""


class Wire:
    """One connection. Any thread may send; one thread receives."""

    def __init__(self, opened: socket.socket) -> None:
        self._socket = opened
        self._sending = threading.Lock()
        self._read = bytearray()
        self._searched = 0

    def send(self, message: msgspec.Struct) -> None:
        """Raises :class:`WireClosedError`."""
        line = _ENCODER.encode(message) + b"\n"
        try:
            with self._sending:
                self._socket.sendall(line)
        except OSError as error:
            raise WireClosedError from error

    def receive(self, seconds: float | None = None) -> bytes | None:
        """The next line; None if none came within ``seconds``. Raises :class:`WireClosedError`."""
        while (line := self._line()) is None:
            try:
                if not select.select([self._socket], [], [], seconds)[0]:
                    return None
                read = self._socket.recv(_CHUNK)
            except (OSError, ValueError) as error:
                raise WireClosedError from error
            if not read:
                raise WireClosedError
            self._read += read
        return line

    def lines(self) -> Iterator[bytes]:
        """All lines until the other end is gone."""
        with contextlib.suppress(WireClosedError):
            while (line := self.receive()) is not None:
                yield line

    @property
    def is_open(self) -> bool:
        """Whether the other end was there a moment ago."""
        try:
            return self._socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) != b""
        except BlockingIOError:
            return True
        except OSError:
            return False

    def close(self) -> None:
        """Also wakes a thread that receives."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _line(self) -> bytes | None:
        end = self._read.find(b"\n", self._searched)
        if end < 0:
            self._searched = len(self._read)
            return None
        line = bytes(self._read[:end])
        del self._read[: end + 1]
        self._searched = 0
        return line
