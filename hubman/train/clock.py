"""How long a training has trained, over all its resumptions, without what is not training."""

from __future__ import annotations

import time


class Clock:
    """Stands still until :meth:`go`; seconds are of the monotonic clock."""

    def __init__(self) -> None:
        self._before = 0.0
        self._began: float | None = None
        self._first = 0, 0.0

    def set(self, seconds: float, step: int) -> None:
        """Go on from ``seconds`` at ``step``, as a checkpoint says."""
        self._before = seconds
        self._first = step, seconds

    def go(self) -> None:
        self._began = time.monotonic()

    def stop(self) -> None:
        self._before, self._began = self.seconds, None

    @property
    def seconds(self) -> float:
        return self._before + (time.monotonic() - self._began if self._began is not None else 0.0)

    def pace(self, step: int) -> float:
        """Seconds a step since this process began; 0 before its first step."""
        first, seconds = self._first
        return (self.seconds - seconds) / (step - first) if step > first else 0.0
