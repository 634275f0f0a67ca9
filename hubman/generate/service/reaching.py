"""A connection to the engine of a home, which is started when there is none and replaced when it is of another hubman."""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from hubman.generate import protocol
from hubman.generate.service import identity, last_words
from hubman.generate.service.endpoint import Endpoint
from hubman.generate.service.wire import Wire, WireClosedError
from hubman.progress import Progress, Report, silent
from registry.errors import CancelledError, HubError

POLL_S = 0.1
COMMAND = (sys.executable, "-m", "hubman.generate.server")
_ANSWER_S = 30.0
_WAITS = "an engine that ends, or of another hubman, finishes its work first; hubman engine stop ends it sooner"

Cancelled = Callable[[], bool]


class EngineDiedError(HubError):
    """The engine process ended by itself. ``last_words`` is the end of what it wrote to its log."""

    def __init__(self, message: str, last_words: str = "") -> None:
        super().__init__(message, "run it again; if it dies again, try a smaller picture; logs/engine.log tells more")
        self.last_words = last_words


def reach(
    endpoint: Endpoint,
    name: str,
    cancelled: Cancelled,
    command: Sequence[str] = COMMAND,
    *,
    report: Report = silent,
) -> tuple[Wire, int]:
    """A connection to an engine of this hubman, and the engine's process id.

    One of another hubman is asked to finish what it does, waited for, which is reported, and replaced. Raises :class:`EngineDiedError` if
    the new one does not come up, and ``CancelledError``.
    """
    endpoint.prepare()
    while True:
        found = knock(endpoint, name)
        if found is None:
            _start(endpoint, cancelled, command)
            continue
        wire, ready = found
        mine = identity.own()
        if (ready.version, ready.build) == (mine.version, mine.build) and not ready.finishing:
            return wire, ready.pid
        with contextlib.suppress(WireClosedError):
            wire.send(protocol.Finish())
        report(Progress(stage="load", message=_WAITS))
        _wait_for_end(wire, cancelled)


def knock(endpoint: Endpoint, name: str) -> tuple[Wire, protocol.Ready] | None:
    """A connection to whatever engine runs, and what it says of itself; None where none does."""
    opened = endpoint.connect()
    if opened is None:
        return None
    wire, mine = Wire(opened), identity.own()
    try:
        wire.send(protocol.Hello(version=mine.version, build=mine.build, name=name, pid=os.getpid()))
        line = wire.receive(_ANSWER_S)
    except WireClosedError:
        # It ended as it was called.
        wire.close()
        return None
    if line is None:
        wire.close()
        raise HubError("the engine does not answer", "hubman engine stop --kill ends it")
    try:
        event = protocol.EVENT.decode(line)
    except msgspec.MsgspecError:
        event = None
    if isinstance(event, protocol.Ready):
        return wire, event
    return wire, protocol.Ready(version="", build="", pid=0)


def _wait_for_end(wire: Wire, cancelled: Cancelled) -> None:
    with contextlib.suppress(WireClosedError):
        while True:
            _heed(cancelled)
            wire.receive(POLL_S)
    wire.close()


def _start(endpoint: Endpoint, cancelled: Cancelled, command: Sequence[str]) -> None:
    """Start an engine unless another process just did; returns once one can be reached."""
    with _only_starter(endpoint.starting, cancelled):
        if _is_up(endpoint):
            return
        last_words.rotate(endpoint.log)
        with endpoint.log.open("ab") as log:
            before = log.tell()
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "HUBMAN_HOME": str(endpoint.home)},
                start_new_session=True,
            )
        # Whoever starts it may live longer: then it must be asked how it ended, or it stays in the table of processes.
        threading.Thread(target=process.wait, name="engine's end", daemon=True).start()
        while not _is_up(endpoint):
            if (status := process.poll()) is not None:
                raise died(endpoint, process.pid, f"the engine process ended with status {status}", before)
            _heed(cancelled)
            time.sleep(POLL_S / 2)


def died(endpoint: Endpoint, pid: int, message: str, since: int = 0) -> EngineDiedError:
    """``message`` with the last line that the engine wrote, after byte ``since`` of its log."""
    words = last_words.of(endpoint.log, pid, since)
    return EngineDiedError(f"{message}: {words[-1]}" if words else message, "\n".join(words))


def _is_up(endpoint: Endpoint) -> bool:
    opened = endpoint.connect()
    if opened is None:
        return False
    opened.close()
    return True


@contextlib.contextmanager
def _only_starter(path: Path, cancelled: Cancelled) -> Iterator[None]:
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                _heed(cancelled)
                time.sleep(POLL_S / 2)
        yield
    finally:
        os.close(handle)


def _heed(cancelled: Cancelled) -> None:
    if cancelled():
        raise CancelledError("stopped before the engine was there")
