"""How far a lot of files is: bytes done and to do, how fast, how long still, and which files move just now."""

from __future__ import annotations

import threading
import time
from collections import deque

from hubman.progress import Progress
from hubman.sync.session import Session

_TELL_S = 0.1
_LOOK_BACK_S = 5.0
"""The rate is that of the last seconds: a person wants to know how fast it goes, not how fast it went."""
_NAMES = 4


class Tally:
    """Counts from several threads what moves; :meth:`tell` reports it, from the thread that may talk to the person.

    A report's ``done`` and ``total`` are bytes of all files. Its ``data`` has ``rate`` (bytes a second), ``left``
    (seconds, missing while nothing moves), ``files`` and ``files_total``, and ``names`` of files that move.
    """

    def __init__(self, session: Session, stage: str, total: int, files: int) -> None:
        self._session, self._stage, self._total, self._files_total = session, stage, total, files
        self._guard = threading.Lock()
        self._moved = self._passed = self._files = 0
        self._names: dict[str, int] = {}
        self._looks: deque[tuple[float, int]] = deque([(time.monotonic(), 0)])
        self._told_at = 0.0

    def begin(self, name: str) -> None:
        with self._guard:
            self._names[name] = self._names.get(name, 0) + 1

    def end(self, name: str) -> None:
        """``name`` moves no more, whatever came of it."""
        with self._guard:
            self._files += 1
            self._names[name] = self._names.get(name, 1) - 1
            if self._names[name] < 1:
                del self._names[name]

    def moved(self, count: int) -> None:
        """``count`` bytes went over the line."""
        with self._guard:
            self._moved += count

    def passed(self, count: int) -> None:
        """``count`` bytes need not move (any more): they are there, or can't come."""
        with self._guard:
            self._passed += count

    def expect(self, count: int) -> None:
        """``count`` bytes more than was thought (less, if negative)."""
        with self._guard:
            self._total += count

    @property
    def bytes_moved(self) -> int:
        return self._moved

    def tell(self, *, at_once: bool = False) -> None:
        """Report, though not more often than a screen is worth drawing."""
        now = time.monotonic()
        if not at_once and now - self._told_at < _TELL_S:
            return
        self._told_at = now
        with self._guard:
            moved, names = self._moved, list(self._names)
            done, total = moved + self._passed, max(self._total, moved + self._passed)
            files = self._files
        rate = self._rate(now, moved)
        data = {"rate": round(rate), "files": files, "files_total": self._files_total, "names": names[:_NAMES]}
        if rate:
            data["left"] = round((total - done) / rate)
        message = names[0] if names else ""
        if len(names) > 1:
            message += f" and {len(names) - 1} more"
        self._session.report(Progress(stage=self._stage, done=done, total=total, unit="B", message=message, data=data))

    def _rate(self, now: float, moved: int) -> float:
        self._looks.append((now, moved))
        while len(self._looks) > 2 and self._looks[1][0] < now - _LOOK_BACK_S:
            self._looks.popleft()
        since, before = self._looks[0]
        return (moved - before) / (now - since) if now > since else 0.0
