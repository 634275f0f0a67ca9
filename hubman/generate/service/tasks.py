"""What a client asked the engine for, done in turns: a batch of pictures at a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from hubman.generate import protocol
from hubman.generate.protocol import Draw, Load, Measure, Waiting, Work
from hubman.generate.service.peer import Peer
from hubman.progress import Progress
from registry.errors import CancelledError

if TYPE_CHECKING:
    from hubman.generate.drawing import Drawing
    from hubman.generate.engine import LocalEngine

PREVIEW_S = 0.4
"""Time between two previews of one client."""


class Task:
    """A command of ``peer``. One thread calls :meth:`turn`; any may call :meth:`cancel` and :meth:`waiting`."""

    def __init__(self, peer: Peer, work: Work) -> None:
        self.peer, self.work = peer, work
        self._given_up = threading.Event()
        self.why = ""
        """Why it was cancelled, where that is not the client's own wish."""
        self._drawing: Drawing | None = None
        self._drawn = 0
        self._previewed = 0.0

    def cancel(self, why: str = "") -> None:
        """Stop between two steps; ``why`` is told instead of that it was cancelled."""
        self.why = why
        self._given_up.set()

    def is_cancelled(self) -> bool:
        return self._given_up.is_set()

    def waiting(self, *, running: bool) -> Waiting:
        """For those who ask what the engine does."""
        total = len(self.work.requests) if isinstance(self.work, Draw) else 0
        return Waiting(
            client=self.peer.name, pid=self.peer.pid, work=type(self.work).__name__.lower(),
            done=self._drawn, total=total, running=running,
        )  # fmt: skip

    def stopped(self) -> CancelledError:
        """What is said of it when it is given up between two turns."""
        if isinstance(self.work, Draw) and self._drawn:
            return CancelledError(f"drawing was stopped after {self._drawn} of {len(self.work.requests)} pictures")
        return CancelledError("stopped before it began")

    @property
    def base(self) -> str:
        """The base that the next turn needs; empty for none."""
        if isinstance(self.work, Load):
            return self.work.base
        if not isinstance(self.work, Draw):
            return ""
        if self._drawing is not None:
            return self._drawing.base
        return self.work.requests[0].base if self.work.requests else ""

    def turn(self, engine: LocalEngine) -> bool:
        """Do the next part; whether that was the last. Raises what it fails with."""
        if self.is_cancelled():
            raise self.stopped()
        if isinstance(self.work, Draw):
            return self._draw(engine, self.work)
        if isinstance(self.work, Load):
            engine.load(self.work.base)
        elif isinstance(self.work, Measure):
            self._measure(self.work)
        else:
            engine.unload()
        return True

    def _report(self, progress: Progress) -> None:
        self.peer.say(protocol.Told(id=self.work.id, progress=progress))

    def _report_measured(self, progress: Progress) -> None:
        if self.is_cancelled():
            raise CancelledError(f"measuring was stopped after {progress.done:g} of {progress.total:g} strengths")
        self._report(progress)

    def _draw(self, engine: LocalEngine, work: Draw) -> bool:
        if self._drawing is None:
            self._drawing = engine.drawing(
                work.requests, Path(work.out), batch=work.batch, report=self._report, cancelled=self.is_cancelled,
                preview=self._preview if work.previews else None,
            )  # fmt: skip
        for drawn in self._drawing.turn():
            self._drawn += 1
            self.peer.say(protocol.Picture(id=work.id, key=drawn.key, path=drawn.path, seconds=drawn.seconds))
        return self._drawing.is_finished

    def _preview(self, step: int, steps: int, pictures: Iterator[tuple[str, bytes]]) -> None:
        now = time.monotonic()
        if now - self._previewed < PREVIEW_S and step < steps:
            return
        for key, png in pictures:
            self.peer.say(protocol.Preview(id=self.work.id, key=key, step=step, steps=steps, png=png))
        self._previewed = time.monotonic()

    def _measure(self, work: Measure) -> None:
        from hubman.generate.clip import ClipEmbedder
        from hubman.generate.measure import measure

        clip = ClipEmbedder(Path(work.clip)) if work.clip else None
        training = [Path(path) for path in work.training]
        curve = measure(work.sweep, Path(work.folder), clip=clip, training=training, report=self._report_measured)
        self.peer.say(protocol.Measured(id=work.id, curve=curve))
