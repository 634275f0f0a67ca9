"""ASGI middleware that makes requests go wrong as the settings say, and remembers what was asked."""

from __future__ import annotations

import logging

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hubman.sandbox.settings import Fault
from hubman.sandbox.world import World

_log = logging.getLogger(__name__)


class Faults:
    """Wraps one of the two hosts."""

    def __init__(self, app: ASGIApp, world: World) -> None:
        self._app, self._world = app, world

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        method, path = scope["method"], scope["path"]

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._world.requests.append((method, path, message["status"]))
            await send(message)

        fault = next((fault for fault in self._world.settings.faults if fault.strikes(method, path)), None)
        if fault is None:
            await self._serve(scope, receive, noting)
        elif fault.after or fault.drop_after:
            await self._spoil(fault, scope, receive, noting)
        else:
            await _drain(receive)
            await _fail(fault, noting)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        except Exception:
            _log.exception("%s %s", scope["method"], scope["path"])
            raise

    async def _spoil(self, fault: Fault, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the site work, then lose its answer, or all of it but the first bytes."""
        heard: list[Message] = []

        async def hear(message: Message) -> None:
            heard.append(message)

        await self._serve(scope, receive, hear)
        if not fault.drop_after:
            await _fail(fault, send)
            return
        body = b"".join(message.get("body", b"") for message in heard if message["type"] == "http.response.body")
        await send(heard[0])
        # Less than the announced length: the server cuts the connection.
        await send({"type": "http.response.body", "body": body[: fault.drop_after], "more_body": True})


async def _drain(receive: Receive) -> None:
    while (await receive()).get("more_body"):
        pass


async def _fail(fault: Fault, send: Send) -> None:
    if fault.drop:
        headers = [(b"content-length", b"1000")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"{", "more_body": True})
        return
    headers = [(b"content-type", b"application/json")]
    headers += [(name.lower().encode(), value.encode()) for name, value in fault.headers.items()]
    await send({"type": "http.response.start", "status": fault.status, "headers": headers})
    await send({"type": "http.response.body", "body": fault.body.encode()})
