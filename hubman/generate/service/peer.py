"""One client as the engine sees it: what it says, and events to it that never wait for its reading."""

from __future__ import annotations

import queue
import sys
import threading
from collections.abc import Callable

import msgspec

from hubman.generate import protocol
from hubman.generate.protocol import Command, Event, Hello, Preview, Told
from hubman.generate.service.wire import Wire, WireClosedError

_BACKLOG = 64
"""Events that may wait for a client before progress and previews are left out."""


class Peer:
    """A connection. ``heard`` is called with each command, by a thread of its own, and with None when the client is gone."""

    def __init__(self, wire: Wire, heard: Callable[[Peer, Command | None], None]) -> None:
        self._wire, self._heard = wire, heard
        self._events: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self._writer = threading.Thread(target=self._write, name="events", daemon=True)
        self.name, self.pid = "", 0

    def start(self) -> None:
        threading.Thread(target=self._read, name="commands", daemon=True).start()
        self._writer.start()

    def say(self, event: Event) -> None:
        if isinstance(event, Told | Preview) and self._events.qsize() > _BACKLOG:
            return
        self._events.put(event)

    def leave(self) -> None:
        """Close the connection once everything is said."""
        self._events.put(None)

    def wait(self, seconds: float) -> None:
        """Until everything is said, for so long at most."""
        if self._writer.ident is not None:
            self._writer.join(seconds)

    def _read(self) -> None:
        try:
            for line in self._wire.lines():
                self._take(line)
        finally:
            # Also after a failure here: a client that is not heard any more must not wait for an answer.
            self._heard(self, None)
            self.leave()

    def _take(self, line: bytes) -> None:
        try:
            command: Command = protocol.COMMAND.decode(line)
        except msgspec.MsgspecError as error:
            print(f"not a command: {error}", file=sys.stderr)  # noqa: T201 - stderr is the engine's log
            return
        if isinstance(command, Hello):
            self.name, self.pid = command.name, command.pid
        self._heard(self, command)

    def _write(self) -> None:
        try:
            while (event := self._events.get()) is not None:
                self._wire.send(event)
        except WireClosedError:
            return  # Its reader finds out too.
        finally:
            self._wire.close()
