"""The engine process, ``python -m hubman.generate.server``: one for each home, which all that draw connect to.

It keeps bases and LoRAs loaded between commands, shares itself among its clients batch by batch, and ends when nobody
wanted anything for a while, when it is told to, or when its socket is gone.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from hubman import config
from hubman.generate import protocol
from hubman.generate.protocol import Cancel, Command, Finish, Hello, Look, State, Unload
from hubman.generate.service import identity, last_words
from hubman.generate.service.endpoint import Endpoint
from hubman.generate.service.identity import Identity
from hubman.generate.service.peer import Peer
from hubman.generate.service.tasks import Task
from hubman.generate.service.turns import Turns
from hubman.generate.service.wire import Wire
from registry.errors import CancelledError, HubError, MissingExtraError

if TYPE_CHECKING:
    from hubman.generate.engine import LocalEngine

_LOOK_S = 1.0
"""How often it is looked whether the socket still lies where clients look for it."""
_FAREWELL_S = 2.0
_STOPPED = "the engine was stopped"


class Server:
    """Answers clients with a ``LocalEngine``, which ``make`` makes at the first work: that loads torch."""

    def __init__(
        self, endpoint: Endpoint, make: Callable[[], LocalEngine], *, idle: float, me: Identity | None = None
    ) -> None:
        """``idle`` is the time in seconds without work after which it ends, 0 for never."""
        self._endpoint, self._make, self._idle = endpoint, make, idle
        self._me = me or identity.own()
        self._engine: LocalEngine | None = None
        self._changed = threading.Condition()
        self._turns: Turns[Task] = Turns()
        self._running: Task | None = None
        self._peers: set[Peer] = set()
        self._finishing = False
        self._last_work = time.monotonic()

    def serve(self) -> None:
        """Work until it is time to end."""
        self._endpoint.prepare()
        lock = self._endpoint.hold()
        try:
            with self._endpoint.listen() as listener:
                place = Path(listener.getsockname())
                threading.Thread(target=self._accept, args=(listener,), name="accept", daemon=True).start()
                while (task := self._next(place)) is not None:
                    self._work(task)
                place.unlink(missing_ok=True)
            self._leave()
        finally:
            os.close(lock)

    def finish(self, *, now: bool) -> None:
        """End once everything is done, or between two steps. Any thread may call it."""
        with self._changed:
            self._finishing = True
            if now:
                for task in self._turns:
                    task.cancel(_STOPPED)
            self._changed.notify_all()

    # Clients, in threads of their own ----------------------------------------------------------------------------------

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                opened, _ = listener.accept()
            except OSError:
                return
            peer = Peer(Wire(opened), self._hear)
            with self._changed:
                self._peers.add(peer)
            peer.start()

    def _hear(self, peer: Peer, command: Command | None) -> None:
        if isinstance(command, Hello):
            me, ending = self._me, self._finishing
            peer.say(protocol.Ready(version=me.version, build=me.build, pid=os.getpid(), finishing=ending))
        elif isinstance(command, Look):
            peer.say(self.state(command.id))
        elif isinstance(command, Finish):
            self.finish(now=command.now)
        elif isinstance(command, Cancel):
            self._cancel(peer, command.id)
        elif command is None:
            self._cancel(peer, None)
            with self._changed:
                self._peers.discard(peer)
        else:
            self._add(Task(peer, command))

    def _add(self, task: Task) -> None:
        with self._changed:
            if not self._finishing:
                self._turns.add(task.peer, task)
                self._changed.notify_all()
                return
        # As if it had ended already: the client starts the next one.
        task.peer.leave()

    def _cancel(self, peer: Peer, number: int | None) -> None:
        """Give up work of a client: what runs stops between two steps, and what waits does not wait for its turn."""
        with self._changed:
            meant = [task for task in self._turns if task.peer is peer and number in {None, task.work.id}]
            waiting = [task for task in meant if task is not self._running]
            for task in meant:
                task.cancel()
            for task in waiting:
                self._turns.remove(peer, task)
        for task in waiting:
            self._fail(task, task.stopped())

    def state(self, number: int = 0) -> State:
        """What it does and has."""
        with self._changed:
            told = State(
                id=number, version=self._me.version, pid=os.getpid(), clients=sum(bool(each.pid) for each in self._peers),
                waiting=tuple(task.waiting(running=task is self._running) for task in self._turns),
                idle_seconds=0 if self._turns else round(time.monotonic() - self._last_work, 1),
                ends_after=self._idle, finishing=self._finishing,
            )  # fmt: skip
            engine = self._engine
        return msgspec.structs.replace(told, **engine.told()) if engine else told

    # Work, in the main thread ------------------------------------------------------------------------------------------

    def _next(self, place: Path) -> Task | None:
        """The work whose turn it is, waited for; None when it is time to end."""
        while True:
            with self._changed:
                found = self._turns.take(self._is_at_hand)
                if found is not None:
                    self._running = found[1]
                    return found[1]
                idle = time.monotonic() - self._last_work
                if self._finishing or (self._idle and idle >= self._idle) or not place.exists():
                    # Nobody's work is taken from here on, so that none is lost.
                    self._finishing = True
                    return None
                left = self._idle - idle if self._idle else _LOOK_S
                self._changed.wait(min(_LOOK_S, max(left, 0.01)))

    def _is_at_hand(self, task: Task) -> bool:
        return not task.base or (self._engine is not None and self._engine.has(task.base))

    def _work(self, task: Task) -> None:
        try:
            # What has not loaded anything has nothing to give back.
            idle = self._engine is None and isinstance(task.work, Unload)
            ended = idle or task.turn(self._local())
            if ended:
                task.peer.say(protocol.Done(id=task.work.id))
        except HubError as error:
            ended = True
            self._fail(task, error)
        except Exception as error:
            ended = True
            traceback.print_exc()
            self._fail(
                task, HubError(f"the engine failed ({type(error).__name__}: {error})", "logs/engine.log tells more")
            )
        with self._changed:
            self._running = None
            self._last_work = time.monotonic()
            if ended:
                self._turns.remove(task.peer, task)

    def _local(self) -> LocalEngine:
        if self._engine is None:
            try:
                made = self._make()
            except ImportError as error:
                if (error.name or "").startswith("hubman"):
                    raise
                raise MissingExtraError(f"the engine lacks {error.name}", "pip install 'hubman[ml]'") from error
            with self._changed:
                self._engine = made
        return self._engine

    def _fail(self, task: Task, error: HubError) -> None:
        if isinstance(error, CancelledError) and task.why:
            error = HubError(f"{task.why} ({error.message})", "what was finished stays: run it again to go on")
        kind = type(error).__name__
        task.peer.say(protocol.Failed(id=task.work.id, kind=kind, message=error.message, hint=error.hint))

    def _leave(self) -> None:
        """Let clients have the rest of what was said to them."""
        with self._changed:
            peers = list(self._peers)
        for peer in peers:
            peer.leave()
        until = time.monotonic() + _FAREWELL_S
        for peer in peers:
            peer.wait(max(0.0, until - time.monotonic()))


def _local_engine(endpoint: Endpoint, settings: config.Settings) -> LocalEngine:
    from hubman.generate.device import choose
    from hubman.generate.engine import LocalEngine
    from hubman.generate.threads import use_free_cores

    use_free_cores()
    return LocalEngine(device=choose(settings.device), figures=endpoint.figures, compiled=settings.compile)


def main() -> None:
    """Serve ``$HUBMAN_HOME`` until it is time to end; everything that is printed goes to the log."""
    os.dup2(2, 1)
    # What Apple's chips cannot compute themselves is left to the CPU rather than refused; torch reads it when it loads.
    os.environ.setdefault("PYTORCH_ENABLE_MPS_FALLBACK", "1")
    endpoint = Endpoint(config.home())
    settings, problems = config.settings(endpoint.home)
    last_words.begin(identity.own().version)
    for problem in problems:
        print(problem, file=sys.stderr)  # noqa: T201 - stderr is the log
    server = Server(endpoint, lambda: _local_engine(endpoint, settings), idle=float(settings.engine_idle))
    # A signal's handler runs in the main thread, between two of its instructions: it must not wait for a lock of that.
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=lambda: server.finish(now=True)).start())
    try:
        server.serve()
    except HubError as error:
        print(error, file=sys.stderr)  # noqa: T201 - last words
        sys.exit(1)


if __name__ == "__main__":
    main()
