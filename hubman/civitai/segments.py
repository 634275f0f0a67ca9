"""Who fetches which bytes: what is there, what is on its way, and the next piece for whoever is free."""

from __future__ import annotations

import threading

from hubman.civitai import spans
from hubman.civitai.spans import Spans


class Segment:
    """Bytes that one worker fetches: it is at ``at`` and goes on to ``stop``, which may be moved towards it."""

    def __init__(self, start: int, stop: int) -> None:
        self.start, self.at, self.stop = start, start, stop


ENDLESS = 1 << 62
"""The stop of a file whose size nobody told."""


class Segments:
    """Safe for threads. ``total`` is the file's size, 0 while it is unknown: then there is one segment, without an end."""

    def __init__(self, done: Spans, total: int) -> None:
        self._guard = threading.Lock()
        self._done, self._active, self.total = done, list[Segment](), total

    def next(self, piece: int) -> Segment | None:
        """The first missing bytes that nobody fetches, at most ``piece`` of them (0: as many as there are)."""
        with self._guard:
            taken = spans.join([*self._done, *((one.start, one.stop) for one in self._active)])
            missing = spans.gaps(taken, self.total or ENDLESS)
            if not missing:
                return None
            start, stop = missing[0]
            segment = Segment(start, min(stop, start + piece) if piece else stop)
            self._active.append(segment)
            return segment

    def end(self, segment: Segment) -> None:
        """Its worker leaves it, at its stop or before: what it did not fetch is for others."""
        with self._guard:
            self._active.remove(segment)
            self._done = spans.join([*self._done, (segment.start, segment.at)])

    def share(self, piece: int) -> None:
        """Cut what is on its way down to one more piece each, so that others can fetch the rest."""
        with self._guard:
            for segment in self._active:
                segment.stop = min(segment.stop, segment.at + piece)

    def learn(self, total: int) -> None:
        """The server told the file's size."""
        with self._guard:
            self.total = total
            for segment in self._active:
                segment.stop = min(segment.stop, total)

    def here(self) -> Spans:
        """All that has arrived."""
        with self._guard:
            return spans.join([*self._done, *((one.start, one.at) for one in self._active)])

    def is_whole(self) -> bool:
        here = self.here()
        return bool(self.total) and spans.prefix(here) >= self.total
