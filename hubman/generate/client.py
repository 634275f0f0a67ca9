"""The machine's engine from outside: tell it what to draw, see pictures arrive. Imports no torch."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

import registry.errors
from hubman import config
from hubman.generate import protocol
from hubman.generate.curve import Curve
from hubman.generate.protocol import Draw, Failed, Load, Measure, Measured, Picture, Preview, Unload, Work
from hubman.generate.request import DrawRequest, check
from hubman.generate.service import reaching
from hubman.generate.service.endpoint import Endpoint
from hubman.generate.service.reaching import POLL_S, EngineDiedError
from hubman.generate.service.wire import Wire, WireClosedError
from hubman.generate.sweep import StrengthSweep
from hubman.progress import Progress, Report, never, silent
from registry.errors import CancelledError, HubError

__all__ = ["Engine", "EngineDiedError"]

OnPreview = Callable[[Preview], None]
_Answer = Picture | Preview | Measured


class Engine:
    """A client of the engine of a home. Not to be shared by threads, but for ``cancel``, which any thread may call.

    Nothing happens before the first command, which starts the engine's process if there is none. Closing it leaves the
    engine to others. What it had asked for is given up then; pictures that are finished stay.
    """

    def __init__(self, home: Path | None = None, *, name: str = "hubman", command: Sequence[str] = ()) -> None:
        """``home`` is hubman's, by default this process's own; ``name`` is what ``hubman engine`` calls this client."""
        self._endpoint = Endpoint(home or config.home())
        self._name, self._command = name, tuple(command) or reaching.COMMAND
        self._wire: Wire | None = None
        self._pid = 0
        self._number = 0
        self._running: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def is_connected(self) -> bool:
        return self._wire is not None and self._wire.is_open

    def load(self, base: str, *, report: Report = silent, cancelled: Callable[[], bool] = never) -> None:
        """Load a base model; returns when it is loaded."""

        def once() -> None:
            deque(self._ask(lambda number: Load(id=number, base=base), report, cancelled), maxlen=0)

        _twice(once, report)

    def draw(
        self,
        requests: Sequence[DrawRequest],
        out: Path,
        *,
        batch: int = 0,
        report: Report = silent,
        cancelled: Callable[[], bool] = never,
        preview: OnPreview | None = None,
    ) -> Iterator[Picture]:
        """Draw each distinct request to ``out/<key>.png``, yielding each picture when it is on disk.

        ``batch`` is how many go together at most, 0 as many as the memory takes. ``preview`` is shown what is being
        drawn, a few times a second. An engine that dies is started again once, for what is missing. Raises what
        ``LocalEngine.draw`` raises, and :class:`EngineDiedError`. Leaving the iteration early cancels the rest.
        """
        for request in requests:
            check(request)  # here too: JSON has no NaN, so the engine could not read what is wrong
        left = {request.key(): request for request in requests}
        total, deaths = len(left), 0
        while left:

            def command(number: int) -> Draw:
                return Draw(
                    id=number, requests=tuple(left.values()), out=str(out), batch=batch, previews=preview is not None
                )

            before = total - len(left)

            def shifted(told: Progress, before: int = before) -> None:
                report(msgspec.structs.replace(told, done=before + told.done, total=total) if told.total else told)

            try:
                for event in self._ask(command, shifted, cancelled):
                    if isinstance(event, Picture):
                        left.pop(event.key, None)
                        yield event
                    elif isinstance(event, Preview) and preview is not None:
                        preview(event)
                return
            except EngineDiedError as error:
                deaths += 1
                if deaths > 1:
                    raise
                report(
                    Progress(stage="draw", done=total - len(left), total=total, unit="picture", message=_again(error))
                )

    def measure(
        self,
        sweep: StrengthSweep,
        folder: Path,
        *,
        clip: Path | None = None,
        training: Sequence[Path] = (),
        report: Report = silent,
        cancelled: Callable[[], bool] = never,
    ) -> Curve:
        """The curve of a sweep drawn in ``folder``; with CLIP's numbers if ``clip`` is a CLIPModel folder, and with how
        near the pictures come to the images ``training``, if there are any. Raises ``CancelledError`` between two strengths.
        """

        def command(number: int) -> Measure:
            images = tuple(map(str, training))
            return Measure(id=number, sweep=sweep, folder=str(folder), clip=str(clip or ""), training=images)

        curves: list[Curve] = []

        def once() -> None:
            curves.extend(e.curve for e in self._ask(command, report, cancelled) if isinstance(e, Measured))

        _twice(once, report)
        return curves[0]

    def unload(self) -> None:
        """Give all memory back; returns when that is done. What is drawn later is loaded anew."""
        deque(self._ask(lambda number: Unload(id=number), silent, never), maxlen=0)

    def cancel(self) -> None:
        """Stop what is being drawn, between two steps; the iteration raises ``CancelledError``."""
        if (number := self._running) is not None and (wire := self._wire) is not None:
            with contextlib.suppress(WireClosedError):
                wire.send(protocol.Cancel(id=number))

    def close(self) -> None:
        """Leave the engine."""
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.close()

    def _ask(self, command: Callable[[int], Work], report: Report, cancelled: Callable[[], bool]) -> Iterator[_Answer]:
        """Send a command and yield its results; raise what it failed with."""
        wire = self._connected(cancelled, report)
        self._number += 1
        number = self._running = self._number
        answered = False
        try:
            wire.send(command(number))
            for event in self._events_of(wire, number, cancelled):
                if isinstance(event, protocol.Told):
                    report(event.progress)
                elif isinstance(event, Picture | Preview | Measured):
                    yield event
                elif isinstance(event, protocol.Done | Failed):
                    answered = True
                    if isinstance(event, Failed):
                        raise _error(event)
                    return
        except WireClosedError as error:
            self.close()
            raise reaching.died(self._endpoint, self._pid, "the engine process ended while it worked") from error
        finally:
            if not answered:
                self.cancel()
            self._running = None

    def _connected(self, cancelled: Callable[[], bool], report: Report) -> Wire:
        if self._wire is None or not self._wire.is_open:
            self.close()
            self._wire, self._pid = reaching.reach(self._endpoint, self._name, cancelled, self._command, report=report)
        return self._wire

    def _events_of(self, wire: Wire, number: int, cancelled: Callable[[], bool]) -> Iterator[protocol.Result]:
        """What the engine says of command ``number``; what it still says of earlier ones is dropped."""
        told_to_stop = False
        while True:
            if not told_to_stop and cancelled():
                told_to_stop = True
                self.cancel()
            line = wire.receive(POLL_S)
            event = protocol.EVENT.decode(line) if line is not None else None
            if event is not None and not isinstance(event, protocol.Ready) and event.id == number:
                yield event


def _twice(work: Callable[[], None], report: Report) -> None:
    """Do ``work``, once more if the engine dies."""
    try:
        work()
    except EngineDiedError as error:
        report(Progress(stage="load", message=_again(error)))
        work()


def _again(error: EngineDiedError) -> str:
    return f"{error.message}; it is started again"


def _error(event: Failed) -> HubError:
    kind = getattr(registry.errors, event.kind, HubError)
    if not (isinstance(kind, type) and issubclass(kind, HubError)):
        kind = HubError
    return CancelledError(event.message, event.hint) if kind is CancelledError else kind(event.message, event.hint)
