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
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from hubman.generate import protocol
from hubman.generate.protocol import Command, Draw, Event, Failed, Load, Measure, Work
from hubman.progress import Progress, Report
from registry.errors import HubError, MissingExtraError

if TYPE_CHECKING:
    from hubman.generate.engine import LocalEngine


class Inbox:
    """Commands as they come in: work queues up, a cancel acts at once, the end of stdin stops everything."""

    def __init__(self, lines: BinaryIO) -> None:
        self._lines = lines
        self._work: queue.Queue[Work | None] = queue.Queue()
        self._cancelled: set[int] = set()
        self._closed = threading.Event()

    def start(self) -> None:
        threading.Thread(target=self._read, name="commands", daemon=True).start()

    def next(self) -> Work | None:
        """The next work; None when there will be none."""
        return self._work.get()

    def is_cancelled(self, number: int) -> bool:
        return self._closed.is_set() or number in self._cancelled

    def _read(self) -> None:
        for line in self._lines:
            try:
                command: Command = protocol.COMMAND.decode(line)
            except msgspec.MsgspecError as error:
                print(f"not a command: {error}", file=sys.stderr)  # noqa: T201 - stderr is the engine's log
                continue
            if isinstance(command, protocol.Quit):
                break
            if isinstance(command, protocol.Cancel):
                self._cancelled.add(command.id)
            else:
                self._work.put(command)
        self._closed.set()
        self._work.put(None)


class Server:
    """Answers commands with a ``LocalEngine``, one after the other."""

    def __init__(self, inbox: Inbox, events: BinaryIO, engine: LocalEngine) -> None:
        self._inbox, self._events, self._engine = inbox, events, engine

    def say(self, event: Event) -> None:
        self._events.write(protocol.ENCODER.encode(event) + b"\n")
        self._events.flush()

    def serve(self) -> None:
        """Work until there is no more. What fails is answered by ``Failed``, and the next command is taken."""
        while (work := self._inbox.next()) is not None:
            try:
                self._answer(work)
                self.say(protocol.Done(id=work.id))
            except HubError as error:
                self.say(Failed(id=work.id, kind=type(error).__name__, message=error.message, hint=error.hint))
            except Exception as error:
                traceback.print_exc()
                message = f"the engine failed ({type(error).__name__}: {error})"
                self.say(Failed(id=work.id, kind="HubError", message=message))

    def _answer(self, work: Work) -> None:
        if isinstance(work, Load):
            self._engine.load(work.base)
        elif isinstance(work, Draw):
            self._draw(work)
        else:
            self._measure(work)

    def _report(self, number: int) -> Report:
        def tell(progress: Progress) -> None:
            self.say(protocol.Told(id=number, progress=progress))

        return tell

    def _draw(self, work: Draw) -> None:
        def cancelled() -> bool:
            return self._inbox.is_cancelled(work.id)

        out, report = Path(work.out), self._report(work.id)
        for drawn in self._engine.draw(work.requests, out, batch=work.batch, report=report, cancelled=cancelled):
            self.say(protocol.Picture(id=work.id, key=drawn.key, path=drawn.path, seconds=drawn.seconds))

    def _measure(self, work: Measure) -> None:
        from hubman.generate.clip import ClipEmbedder
        from hubman.generate.measure import measure

        clip = ClipEmbedder(Path(work.clip)) if work.clip else None
        training = [Path(path) for path in work.training]
        curve = measure(work.sweep, Path(work.folder), clip=clip, training=training, report=self._report(work.id))
        self.say(protocol.Measured(id=work.id, curve=curve))


def _use_few_threads() -> None:
    """One thread per two CPUs, unless ``OMP_NUM_THREADS`` says how many: with more threads than free cores, steps were
    5 to 15 times slower.
    """
    import torch

    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // 2))


def main() -> None:
    """Serve on this process's stdin and stdout; whatever a library prints goes to stderr instead."""
    events = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    inbox = Inbox(sys.stdin.buffer)
    inbox.start()
    try:
        try:
            from hubman.generate.engine import LocalEngine
            from hubman.generate.pipeline import best_device
        except ImportError as error:
            raise MissingExtraError(f"the engine lacks {error.name}", "pip install 'hubman[ml]'") from error
        device = best_device().type
        if device == "cpu":
            _use_few_threads()
        server = Server(inbox, events, LocalEngine())
        versions = {name: version(name) for name in ("torch", "diffusers", "transformers")}
        server.say(protocol.Ready(device=device, versions=versions))
        server.serve()
    except HubError as error:
        print(error, file=sys.stderr)  # noqa: T201 - last words
        sys.exit(1)
    except BrokenPipeError:
        sys.exit(1)


if __name__ == "__main__":
    main()
