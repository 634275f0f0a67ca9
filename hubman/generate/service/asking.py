"""What can be asked of an engine that may not run: how it is, to give its memory back, to end."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

import msgspec

from hubman.generate import protocol
from hubman.generate.protocol import State
from hubman.generate.service import reaching
from hubman.generate.service.endpoint import Endpoint
from hubman.generate.service.wire import Wire, WireClosedError
from registry.errors import HubError

_PATIENCE_S = 30.0
_NAME = "hubman engine"


def state(home: Path) -> State | None:
    """What the engine of ``home`` does and has; None where none runs."""
    answer = _answer(home, protocol.Look(id=1), _PATIENCE_S)
    return answer if isinstance(answer, State) else None


def unload(home: Path, seconds: float = 600.0) -> bool:
    """Let the engine give its memory back at its next turn; whether there was one.

    Waits up to ``seconds``: a batch that is being drawn is drawn to its end.
    """
    answer = _answer(home, protocol.Unload(id=1), seconds)
    return isinstance(answer, protocol.Done)


def stop(home: Path, *, kill: bool = False) -> bool:
    """End the engine between two steps and wait for that; whether there was one. Finished pictures stay.

    ``kill`` ends the process where it is. Raises :class:`HubError` if it does not end.
    """
    endpoint = Endpoint(home)
    if kill:
        pid = endpoint.holder()
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return pid is not None
    found = reaching.knock(endpoint, _NAME)
    if found is None:
        return False
    with contextlib.closing(found[0]) as wire, contextlib.suppress(WireClosedError):
        wire.send(protocol.Finish(now=True))
        _wait(wire, _PATIENCE_S)
        raise HubError("the engine has not ended yet", "hubman engine stop --kill ends it at once")
    return True


def _answer(home: Path, command: protocol.Look | protocol.Unload, seconds: float) -> protocol.Event | None:
    """What an engine that runs says to ``command``; None where none does, or not in time."""
    found = reaching.knock(Endpoint(home), _NAME)
    if found is None:
        return None
    wire = found[0]
    with contextlib.closing(wire), contextlib.suppress(WireClosedError, msgspec.MsgspecError):
        wire.send(command)
        line = wire.receive(seconds)
        return None if line is None else protocol.EVENT.decode(line)
    return None


def _wait(wire: Wire, seconds: float) -> None:
    """Until the other end is gone, which raises :class:`WireClosedError`, or the time is over."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        wire.receive(left)
