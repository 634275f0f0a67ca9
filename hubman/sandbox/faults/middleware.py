"""ASGI middleware that makes requests go wrong as the settings say, and remembers what was asked and what went wrong."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from datetime import UTC
from email.utils import format_datetime

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hubman.sandbox.faults import answers, bodies, streams
from hubman.sandbox.faults.rules import CONTROL, Rule
from hubman.sandbox.faults.streams import BrokenOffError, Stream
from hubman.sandbox.sending import CONNECTION
from hubman.sandbox.settings import Fault
from hubman.sandbox.world import World

_log = logging.getLogger(__name__)
Struck = list[tuple[Rule, random.Random]]


class Faults:
    """Wraps one of the two hosts."""

    def __init__(self, app: ASGIApp, world: World) -> None:
        self._app, self._world = app, world

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(CONTROL):
            await self._app(scope, receive, send)
            return
        method, path = scope["method"], scope["path"]
        self._world.arrivals.append(time.monotonic())

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._world.requests.append((method, path, message["status"]))
                told = format_datetime(self._world.now().astimezone(UTC), usegmt=True).encode()
                message = {**message, "headers": [*message.get("headers", ()), (b"date", told)]}
            await send(message)

        settings = self._world.settings
        fault = next((fault for fault in settings.faults if fault.strikes(method, path)), None)
        if fault is not None:
            self._world.struck.append(("fault", method, path))
            await self._single(fault, scope, receive, noting)
            return
        chances = [(rule, rule.strikes(method, path, settings.seed)) for rule in settings.rules]
        await self._ruled([(rule, chance) for rule, chance in chances if chance], scope, receive, noting)

    # -- faults set one by one --------------------------------------------------------------------------------------

    async def _single(self, fault: Fault, scope: Scope, receive: Receive, send: Send) -> None:
        if fault.after or fault.drop_after:
            await self._spoil(fault, scope, receive, send)
        else:
            await _drain(receive)
            await _fail(fault, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        except (BrokenOffError, ConnectionError):
            raise
        except Exception:
            _log.exception("%s %s", scope["method"], scope["path"])
            raise

    async def _spoil(self, fault: Fault, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the site work, then lose its answer, or all of it but the first bytes."""
        heard = await self._overhear(scope, receive)
        if not fault.drop_after:
            await _fail(fault, send)
            return
        await send(heard[0])
        # Less than the announced length: the server cuts the connection.
        await send({"type": "http.response.body", "body": _body(heard)[: fault.drop_after], "more_body": True})

    async def _overhear(self, scope: Scope, receive: Receive) -> list[Message]:
        """The site's whole answer, which nobody has got yet."""
        heard: list[Message] = []

        async def hear(message: Message) -> None:
            heard.append(message)

        scope.setdefault("state", {}).pop(CONNECTION, None)
        await self._serve(scope, receive, hear)
        return heard

    # -- faults by rules --------------------------------------------------------------------------------------------

    async def _ruled(self, struck: Struck, scope: Scope, receive: Receive, send: Send) -> None:
        waits = [rule for rule, _chance in struck if rule.kind == "latency"]
        for rule in waits:
            self._note(rule, scope)
            await asyncio.sleep(rule.size / 1000)
        rest = [(rule, chance) for rule, chance in struck if rule.kind != "latency"]
        if not rest:
            await self._serve(scope, receive, send)
        elif instead := next((rule for rule, _chance in rest if rule.kind in answers.KINDS | {"reset", "lost"}), None):
            self._note(instead, scope)
            await self._instead(instead, scope, receive, send)
        else:
            await self._changed(rest, scope, receive, send)

    def _note(self, rule: Rule, scope: Scope) -> None:
        self._world.struck.append((rule.kind, scope["method"], scope["path"]))

    async def _instead(self, rule: Rule, scope: Scope, receive: Receive, send: Send) -> None:
        connection = scope["state"][CONNECTION]
        if rule.kind == "lost":
            await self._overhear(scope, receive)
        else:
            await _drain(receive)
        if rule.kind in answers.KINDS:
            await answers.send_in_place(rule, send)
        else:
            # No answer, so no status.
            self._world.requests.append((scope["method"], scope["path"], 0))
            streams.reset(connection)

    async def _changed(self, struck: Struck, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the site answer through every fault that struck, JSON before the way it takes."""
        connection = scope["state"].pop(CONNECTION)
        for rule, chance in struck:
            if rule.kind in streams.KINDS:
                send = Stream(rule, chance, send, connection, lambda rule=rule: self._note(rule, scope))  # type: ignore[misc]
            elif rule.kind == "no-range" and any(name == b"range" for name, _value in scope["headers"]):
                self._note(rule, scope)
                scope["headers"] = [pair for pair in scope["headers"] if pair[0] != b"range"]
        changes = [(rule, chance) for rule, chance in struck if rule.kind in bodies.KINDS]
        try:
            if changes:
                await self._rewritten(changes, scope, receive, send)
            else:
                await self._serve(scope, receive, send)
        except BrokenOffError:
            return

    async def _rewritten(self, changes: Struck, scope: Scope, receive: Receive, send: Send) -> None:
        heard = await self._overhear(scope, receive)
        start, body = heard[0], _body(heard)
        if any(name == b"content-type" and value.startswith(b"application/json") for name, value in start["headers"]):
            for rule, chance in changes:
                changed = bodies.change(body, rule, chance, rule.asked(scope["path"]))
                if changed != body:
                    self._note(rule, scope)
                body = changed
        headers = [(name, value) for name, value in start["headers"] if name != b"content-length"]
        headers.append((b"content-length", str(len(body)).encode()))
        await send({**start, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def _body(heard: list[Message]) -> bytes:
    return b"".join(message.get("body", b"") for message in heard if message["type"] == "http.response.body")


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
