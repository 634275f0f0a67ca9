"""The time as a machine's clock tells it, which stands still but for looks at it."""

from __future__ import annotations

from registry import clock

DAY_MS = 24 * 3600 * 1000


class Clock:
    """A second passes at each look: within one millisecond device ids would choose the winner. Days pass when told."""

    def __init__(self) -> None:
        self.ms = clock.wall_ms()

    def __call__(self) -> int:
        self.ms += 1000
        return self.ms

    def pass_days(self, count: float) -> None:
        self.ms += int(count * DAY_MS)
