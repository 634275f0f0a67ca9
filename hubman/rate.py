"""A limit of bytes a second that all threads of a process share."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable

from registry.errors import UsageError

_RATE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmg]?)(?:i?b)?(?:/s)?", re.IGNORECASE)
_FACTORS = {"": 1, "k": 1000, "m": 1000**2, "g": 1000**3}

_SMALLEST_STEP = 256 << 10


def parse(text: str) -> int:
    """Bytes a second out of ``5M``, ``500k`` or a number; 0 stands for no limit. Raises :class:`UsageError`."""
    match = _RATE.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"{text!r} is no rate", "write for example 5M, 500k, or 0 for no limit")
    return int(float(match[1]) * _FACTORS[match[2].lower()])


class Limit:
    """Threads that took bytes wait here until the rate allows more. A rate of 0 never waits."""

    def __init__(self, rate: int = 0, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.rate = rate
        self._clock = clock
        self._guard = threading.Lock()
        self._free_at = 0.0

    def step(self, most: int) -> int:
        """Bytes to take at once, of at most ``most``: under a limit less, so that the line is even and can be stopped."""
        return min(most, max(_SMALLEST_STEP, self.rate // 2)) if self.rate else most

    def took(self, count: int) -> float:
        """Seconds that the caller has to wait after having taken ``count`` bytes."""
        if not self.rate:
            return 0.0
        with self._guard:
            now = self._clock()
            self._free_at = max(self._free_at, now) + count / self.rate
            return self._free_at - now
