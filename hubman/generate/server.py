"""The engine process, ``python -m hubman.generate.server``: commands as JSON lines on stdin, events on stdout.

It keeps the base model loaded between commands and ends when its stdin does.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
import traceback
from importlib.metadata import version
from pathlib import Path
from typing import BinaryIO

import msgspec

from hubman.generate.protocol import (
    COMMAND,
    ENCODER,
    Cancel,
    Command,
    Done,
    Draw,
    Event,
    Failed,
    Load,
    Picture,
    Quit,
    Ready,
    Told,
)
from registry.errors import HubError, MissingExtraError


class Inbox:
    """Commands as they come in: work queues up, a cancel acts at once, the end of stdin stops everything."""

    def __init__(self, lines: BinaryIO) -> None:
        self._lines = lines
        self._work: queue.Queue[Load | Draw | None] = queue.Queue()
        self._cancelled: set[int] = set()
        self._closed = threading.Event()

    def start(self) -> None:
        threading.Thread(target=self._read, name="commands", daemon=True).start()

    def next(self) -> Load | Draw | None:
        """The next work; None when there will be none."""
        return self._work.get()

    def is_cancelled(self, number: int) -> bool:
        return self._closed.is_set() or number in self._cancelled

    def _read(self) -> None:
        for line in self._lines:
            try:
                command: Command = COMMAND.decode(line)
            except msgspec.MsgspecError as error:
                print(f"not a command: {error}", file=sys.stderr)  # noqa: T201 - stderr is the engine's log
                continue
            if isinstance(command, Quit):
                break
            if isinstance(command, Cancel):
                self._cancelled.add(command.id)
            else:
                self._work.put(command)
        self._closed.set()
        self._work.put(None)


def serve(commands: BinaryIO, events: BinaryIO) -> None:
    """Answer commands until there are no more. A command that fails is answered by ``Failed``; the engine goes on."""
    inbox = Inbox(commands)

    def say(event: Event) -> None:
        events.write(ENCODER.encode(event) + b"\n")
        events.flush()

    inbox.start()
    try:
        import torch

        from hubman.generate.engine import LocalEngine
        from hubman.generate.pipeline import best_device
    except ImportError as error:
        raise MissingExtraError(f"the engine lacks {error.name}", "pip install 'hubman[ml]'") from error
    if not torch.cuda.is_available():
        # More threads than free cores made steps 5 to 15 times slower (generation-design 5.5).
        torch.set_num_threads(max(1, len(os.sched_getaffinity(0)) // 2 if hasattr(os, "sched_getaffinity") else 1))
    engine = LocalEngine()
    versions = {name: version(name) for name in ("torch", "diffusers", "transformers")}
    say(Ready(device=best_device().type, versions=versions))
    while (work := inbox.next()) is not None:
        number = work.id
        try:
            if isinstance(work, Load):
                engine.load(work.base)
            else:
                drawn = engine.draw(
                    work.requests,
                    Path(work.out),
                    batch=work.batch,
                    report=lambda progress, number=number: say(Told(id=number, progress=progress)),  # type: ignore[misc]
                    cancelled=lambda number=number: inbox.is_cancelled(number),  # type: ignore[misc]
                )
                for picture in drawn:
                    say(Picture(id=number, key=picture.key, path=picture.path, seconds=picture.seconds))
            say(Done(id=number))
        except HubError as error:
            say(Failed(id=number, kind=type(error).__name__, message=error.message, hint=error.hint))
        except Exception as error:
            traceback.print_exc()
            say(Failed(id=number, kind="HubError", message=f"drawing failed ({type(error).__name__}: {error})"))


def main() -> None:
    """Serve on this process's stdin and stdout; whatever a library prints goes to stderr instead."""
    events = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    try:
        serve(sys.stdin.buffer, events)
    except HubError as error:
        print(error, file=sys.stderr)  # noqa: T201 - last words
        sys.exit(1)


if __name__ == "__main__":
    main()
