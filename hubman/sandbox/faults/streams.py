"""Faults on the way: bodies that come slowly, end early, break off or are not what they should be."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.types import Message, Send

from hubman.sandbox.faults.rules import Rule

KINDS = frozenset({"slow", "cut", "reset-file", "short-file", "wrong-bytes"})
_TICKS = 20
"""Pieces a second of a slow body."""


class BrokenOffError(Exception):
    """The connection is to end here."""


class Stream:
    """A ``send`` that passes on what comes, with one fault in it. ``strike`` is called once the fault has happened."""

    def __init__(
        self, rule: Rule, chance: random.Random, send: Send, connection: Any, strike: Callable[[], None]
    ) -> None:
        self._rule, self._chance, self._send, self._strike = rule, chance, send, strike
        self._connection = connection
        self._sent = 0
        self._stop = 0
        self._began = 0.0
        faults: dict[str, Callable[[Message], Awaitable[None]]] = {
            "slow": self._drip, "cut": self._cut, "reset-file": self._cut, "short-file": self._shorten,
            "wrong-bytes": self._spoil,
        }  # fmt: skip
        self._pass = faults[rule.kind]

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            length = _length(message)
            # Inside the body, and not at its very start where there is more than a byte.
            self._stop = self._chance.randrange(1, length) if length > 1 else length
            if self._rule.kind == "short-file" and length > 1:
                message = {**message, "headers": _with_length(message, self._stop)}
            await self._send(message)
        else:
            await self._pass(message)

    async def _drip(self, message: Message) -> None:
        body = message.get("body", b"")
        step = max(1, int(self._rule.size / _TICKS))
        if body and not self._sent:
            self._strike()
            self._began = asyncio.get_running_loop().time()
        for start in range(0, len(body), step):
            piece = body[start : start + step]
            await self._send({"type": "http.response.body", "body": piece, "more_body": True})
            self._sent += len(piece)
            # By the clock: what one wait lasts too long, the next makes up for.
            due = self._began + self._sent / self._rule.size
            await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))
        if not message.get("more_body"):
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _cut(self, message: Message) -> None:
        body = message.get("body", b"")
        left = self._stop - self._sent
        if self._stop == 0 or len(body) < left:
            self._sent += len(body)
            await self._send(message)
            return
        await self._send({"type": "http.response.body", "body": body[:left], "more_body": True})
        self._strike()
        if self._rule.kind == "reset-file":
            reset(self._connection)
        raise BrokenOffError

    async def _shorten(self, message: Message) -> None:
        body = message.get("body", b"")[: max(0, self._stop - self._sent)]
        self._sent += len(body)
        if not message.get("more_body"):
            self._strike()
        await self._send({**message, "body": body})

    async def _spoil(self, message: Message) -> None:
        body = message.get("body", b"")
        place = self._stop - self._sent - 1
        self._sent += len(body)
        if 0 <= place < len(body):
            self._strike()
            body = body[:place] + bytes([body[place] ^ 0xFF]) + body[place + 1 :]
        await self._send({**message, "body": body})


def reset(connection: Any) -> None:
    """End a connection without a farewell."""
    sock = connection.transport.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.transport.abort()


def _length(start: Message) -> int:
    return next((int(value) for name, value in start["headers"] if name == b"content-length"), 0)


def _with_length(start: Message, length: int) -> list[tuple[bytes, bytes]]:
    kept = [(name, value) for name, value in start["headers"] if name != b"content-length"]
    return [*kept, (b"content-length", str(length).encode())]
