"""How far a lot of files is: bytes done and to do, how fast, how long still, and which files move just now."""

from __future__ import annotations

import threading
import time
from collections import deque
from itertools import islice

from hubman.progress import Progress
from hubman.sync.session import Session

_TELL_S = 0.1
_LOOK_BACK_S = 5.0
"""The rate is that of the last seconds: a person wants to know how fast it goes, not how fast it went."""
_MOST = 8
"""So many files are told of one by one; no more than that move at once by themselves."""


class Moving:
    """A file that moves just now: ``done`` of ``size`` bytes are through."""

    __slots__ = ("done", "name", "size")

    def __init__(self, name: str, size: int, done: int) -> None:
        self.name, self.size, self.done = name, size, done


class Tally:
    """Counts from several threads what moves; :meth:`tell` reports it, from the thread that may talk to the person.

    A report's ``done`` and ``total`` are bytes of all files. Its ``data`` has ``rate`` (bytes a second), ``left``
    (seconds, missing while nothing moves), ``files`` and ``files_total``, and ``moving``: of each file that moves
    just now (of many, of the first that began) its name, the bytes that are through, and its size, 0 while unknown.
    """

    def __init__(self, session: Session, stage: str, total: int, files: int) -> None:
        self._session, self._stage, self._total, self._files_total = session, stage, total, files
        self._guard = threading.Lock()
        self._moved = self._passed = self._files = 0
        self._moving: dict[Moving, None] = {}
        self._looks: deque[tuple[float, int]] = deque([(time.monotonic(), 0)])
        self._told_at = 0.0

    def begin(self, name: str, size: int, done: int = 0) -> Moving:
        """A file of ``size`` bytes (0 while unknown) begins to move, of which ``done`` are there already."""
        moving = Moving(name, size, done)
        with self._guard:
            self._moving[moving] = None
        return moving

    def end(self, moving: Moving) -> None:
        """It moves no more, whatever came of it."""
        with self._guard:
            self._files += 1
            self._moving.pop(moving, None)

    def moved(self, count: int, moving: Moving) -> None:
        """``count`` bytes of a file went over the line."""
        with self._guard:
            self._moved += count
            moving.done += count

    def passed(self, count: int, moving: Moving | None = None) -> None:
        """``count`` bytes need not move (any more): they are there, or can't come."""
        with self._guard:
            self._passed += count
            if moving is not None:
                moving.done += count

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
            moved, count = self._moved, len(self._moving)
            # What is encrypted has more bytes on its way than in its file.
            moving = [(one.name, min(one.done, one.size or one.done), one.size) for one in islice(self._moving, _MOST)]
            done, total = moved + self._passed, max(self._total, moved + self._passed)
            files = self._files
        rate = self._rate(now, moved)
        data = {"rate": round(rate), "files": files, "files_total": self._files_total, "moving": moving}
        if rate:
            data["left"] = round((total - done) / rate)
        message = moving[0][0] if moving else ""
        if count > 1:
            message += f" and {count - 1} more"
        self._session.report(Progress(stage=self._stage, done=done, total=total, unit="B", message=message, data=data))

    def _rate(self, now: float, moved: int) -> float:
        self._looks.append((now, moved))
        while len(self._looks) > 2 and self._looks[1][0] < now - _LOOK_BACK_S:
            self._looks.popleft()
        since, before = self._looks[0]
        return (moved - before) / (now - since) if now > since else 0.0
