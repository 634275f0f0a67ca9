"""When a watched remote is synced next: soon after an edit here or word from there, else more and more rarely."""

from __future__ import annotations

QUIET_S = 3.0
"""How long nothing more is edited here before what was is sent."""
PATIENCE_S = 30.0
"""How long edits that never pause wait at most."""
SETTLE_S = 1.0
"""How long a carrier that brought one file is given to bring the others."""
FIRST_S = 10.0
"""Seconds from one look to the next after something happened; twice as long after each look that found nothing."""


class Schedule:
    """Times are seconds of one clock that never runs back. ``rarest`` is the longest time from one look to the next."""

    def __init__(self, rarest: float) -> None:
        self._rarest = rarest
        self._every = FIRST_S
        self._look_at = 0.0
        self._newest = 0
        self._edited_at: float | None = None
        self._first_edit_at = 0.0

    def edited(self, newest: int, now: float) -> None:
        """``newest`` is the number of the last edit that waits here; 0 for none."""
        if newest > self._newest:
            if self._edited_at is None:
                self._first_edit_at = now
            self._edited_at = now
        self._newest = max(self._newest, newest)

    def told(self, now: float) -> None:
        """Something changed on the remote."""
        self._look_at = min(self._look_at, now + SETTLE_S)

    def is_due(self, now: float) -> bool:
        is_quiet = self._edited_at is not None and (
            now - self._edited_at >= QUIET_S or now - self._first_edit_at >= PATIENCE_S
        )
        return is_quiet or now >= self._look_at

    def synced(self, now: float, *, newest: int, did_something: bool) -> None:
        """A sync ended, which took everything up to the edit ``newest``."""
        self._newest, self._edited_at = max(self._newest, newest), None
        self._every = FIRST_S if did_something else min(self._every * 2, self._rarest)
        self._look_at = now + self._every

    def failed(self, now: float) -> None:
        """The remote could not be reached: what waits stays, and is tried again later and later."""
        self._edited_at = None
        self._every = min(self._every * 2, self._rarest)
        self._look_at = now + self._every
