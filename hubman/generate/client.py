"""The engine process from outside: start it, tell it what to draw, see pictures arrive. Imports no torch."""

from __future__ import annotations

import queue
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

import registry.errors
from hubman.generate import protocol
from hubman.generate.curve import Curve
from hubman.generate.protocol import Command, Draw, Event, Failed, Load, Measure, Measured, Picture
from hubman.generate.request import DrawRequest
from hubman.generate.sweep import StrengthSweep
from hubman.progress import Report, silent
from registry.errors import CancelledError, HubError

LAST_WORDS = 20
"""Lines of the engine's stderr that are kept for its obituary."""
_POLL_SECONDS = 0.1
_Answer = protocol.Told | Picture | Measured | protocol.Done | Failed
_FAREWELL_SECONDS = 10


def _never() -> bool:
    return False


class Engine:
    """A running engine process. Not to be shared by threads, but for ``cancel``, which any thread may call.

    Use as a context manager, or call ``close``. A process that dies is started again by the next command.
    """

    def __init__(self, command: Sequence[str] = (sys.executable, "-m", "hubman.generate.server")) -> None:
        self._command = tuple(command)
        self._process: subprocess.Popen[bytes] | None = None
        self._events: queue.Queue[Event | None] = queue.Queue()
        self._stderr: deque[str] = deque(maxlen=LAST_WORDS)
        self._readers: list[threading.Thread] = []
        self._writing = threading.Lock()
        self._number = 0
        self._running: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the process if it does not run. Does not wait for it to be up."""
        if self.is_running:
            return
        self._reap()
        self._events = queue.Queue()
        self._stderr.clear()
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
        )
        self._readers = [
            threading.Thread(target=self._read_events, args=(self._process, self._events), daemon=True),
            threading.Thread(target=self._read_stderr, args=(self._process, self._stderr), daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def load(self, base: str, *, report: Report = silent, cancelled: Callable[[], bool] = _never) -> None:
        """Load a base model; returns when it is loaded."""
        deque(self._ask(lambda number: Load(id=number, base=base), report, cancelled), maxlen=0)

    def draw(
        self,
        requests: Sequence[DrawRequest],
        out: Path,
        *,
        batch: int = 4,
        report: Report = silent,
        cancelled: Callable[[], bool] = _never,
    ) -> Iterator[Picture]:
        """Draw each distinct request to ``out/<key>.png``, yielding each picture when it is on disk.

        Raises what ``LocalEngine.draw`` raises, and ``HubError`` with the process's last words if it dies. Leaving the
        iteration early cancels the rest.
        """

        def command(number: int) -> Draw:
            return Draw(id=number, requests=tuple(requests), out=str(out), batch=batch)

        for event in self._ask(command, report, cancelled):
            if isinstance(event, Picture):
                yield event

    def measure(
        self,
        sweep: StrengthSweep,
        folder: Path,
        *,
        clip: Path | None = None,
        training: Sequence[Path] = (),
        report: Report = silent,
    ) -> Curve:
        """The curve of a sweep drawn in ``folder``; with CLIP's numbers if ``clip`` is a CLIPModel folder, and with how
        near the pictures come to the images ``training``, if there are any.
        """

        def command(number: int) -> Measure:
            images = tuple(map(str, training))
            return Measure(id=number, sweep=sweep, folder=str(folder), clip=str(clip or ""), training=images)

        curves = [event.curve for event in self._ask(command, report, _never) if isinstance(event, Measured)]
        return curves[0]

    def cancel(self) -> None:
        """Stop what is being drawn, between two steps; the iteration raises ``CancelledError``."""
        if (number := self._running) is not None:
            self._send(protocol.Cancel(id=number))

    def close(self) -> None:
        """End the process: politely, then not."""
        if self.is_running and self._process is not None:
            self._send(protocol.Quit())
            try:
                self._process.wait(_FAREWELL_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._reap()

    def _ask(
        self, command: Callable[[int], Command], report: Report, cancelled: Callable[[], bool]
    ) -> Iterator[Picture | Measured]:
        """Send a command and yield its results; raise what it failed with."""
        self.start()
        self._number += 1
        number = self._running = self._number
        self._send(command(number))
        answered = False
        try:
            for event in self._events_of(number, cancelled):
                if isinstance(event, protocol.Told):
                    report(event.progress)
                elif isinstance(event, Picture | Measured):
                    yield event
                else:
                    answered = True
                    if isinstance(event, Failed):
                        raise _error(event)
                    return
        finally:
            if not answered and self.is_running:
                self.cancel()
            self._running = None

    def _events_of(self, number: int, cancelled: Callable[[], bool]) -> Iterator[_Answer]:
        """What the engine says of command ``number``; what it still says of earlier ones is dropped."""
        told_to_stop = False
        while True:
            if not told_to_stop and cancelled():
                told_to_stop = True
                self.cancel()
            try:
                event = self._events.get(timeout=_POLL_SECONDS)
            except queue.Empty:
                continue
            if event is None:
                raise self._death()
            if not isinstance(event, protocol.Ready) and event.id == number:
                yield event

    def _send(self, command: Command) -> None:
        process = self._process
        if process is None or process.stdin is None:
            return
        try:
            with self._writing:
                process.stdin.write(protocol.ENCODER.encode(command) + b"\n")
                process.stdin.flush()
        except (BrokenPipeError, ValueError):
            # It died; the reader of its events says so with its last words.
            return

    def _death(self) -> HubError:
        code = self._process.wait() if self._process else None
        self._reap()
        words = [line for line in self._stderr if line.strip()]
        said = f": {words[-1]}" if words else ""
        return EngineDiedError(f"the engine process ended with status {code}{said}", last_words="\n".join(words))

    def _reap(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.wait()
        for reader in self._readers:
            reader.join()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                try:
                    pipe.close()
                except BrokenPipeError:
                    continue

    @staticmethod
    def _read_events(process: subprocess.Popen[bytes], events: queue.Queue[Event | None]) -> None:
        assert process.stdout is not None  # noqa: S101 - it was opened as a pipe
        for line in process.stdout:
            try:
                events.put(protocol.EVENT.decode(line))
            except msgspec.MsgspecError:
                continue
        events.put(None)

    @staticmethod
    def _read_stderr(process: subprocess.Popen[bytes], lines: deque[str]) -> None:
        assert process.stderr is not None  # noqa: S101 - it was opened as a pipe
        for line in process.stderr:
            lines.append(line.decode("utf-8", "replace").rstrip())


class EngineDiedError(HubError):
    """The engine process ended by itself. ``last_words`` is the end of what it wrote to stderr."""

    def __init__(self, message: str, last_words: str) -> None:
        super().__init__(message, "run it again; if it dies again, try a smaller batch or picture")
        self.last_words = last_words


def _error(event: Failed) -> HubError:
    kind = getattr(registry.errors, event.kind, HubError)
    if not (isinstance(kind, type) and issubclass(kind, HubError)):
        kind = HubError
    return CancelledError(event.message, event.hint) if kind is CancelledError else kind(event.message, event.hint)
