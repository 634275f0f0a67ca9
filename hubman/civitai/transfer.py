"""Filling a part from the site: by one connection, or by several that fetch pieces in their order when one is slow.

Workers fetch, a hasher reads behind them, a saver makes claims, and the caller's thread tells how far all is.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator

import httpx
import msgspec

from hubman.civitai import body, spans
from hubman.civitai.errors import BusyError, CircuitOpenError, UnavailableError, UnreachedError
from hubman.civitai.following import InterruptedDownloadError, Source
from hubman.civitai.part import Part, Saver
from hubman.civitai.segments import ENDLESS, Segment, Segments
from hubman.civitai.transport import backoff
from hubman.hashing_behind import HashBehind
from hubman.rate import Limit

_log = logging.getLogger(__name__)
_TRIES = 6
_TELL_S = 0.2
_SLICE_S = 0.5
_LONGEST_WAIT = 300.0
_UNSENT = (BusyError, CircuitOpenError, httpx.ConnectError, httpx.ConnectTimeout)

Tell = Callable[[int, int], None]
"""Bytes that are there, and of how many; raises to stop."""


class Tuning(msgspec.Struct, frozen=True):
    """How many ``connections`` at most fetch pieces of ``piece`` bytes.

    One connection that brings ``enough`` bytes a second is left alone; the rate is judged after ``look_s`` seconds.
    """

    connections: int = 4
    piece: int = 16 << 20
    enough: float = 100e6
    look_s: float = 0.5


class ChangedError(Exception):
    """What has arrived can't be continued: the site serves another file now, or always from the start."""

    def __init__(self, *, is_resumable: bool) -> None:
        super().__init__("the file can't be continued")
        self.is_resumable = is_resumable


class Transfer:
    """One run to fill ``part`` from ``source``; ``wait`` sleeps, ``room`` refuses a size that the disk can't take."""

    def __init__(
        self, source: Source, part: Part, saver: Saver, *, tuning: Tuning, limit: Limit, wait: Callable[[float], None],
        room: Callable[[int], None], expected: int,
    ) -> None:  # fmt: skip
        self._source, self._part, self._saver, self._tuning, self._limit = source, part, saver, tuning, limit
        self._sleep, self._room, self._expected = wait, room, expected
        self._segments = Segments(part.done, part.total)
        self._ranges = part.total > 0
        self._wanted, self._piece = tuning.connections, 0
        self._got, self._began = 0, 0.0
        self._failures, self._waves, self._got_then, self._sent = 0, 0, -1, False
        self._changed = threading.Condition(threading.RLock())
        self._workers: list[threading.Thread] = []
        self._sockets: set[socket.socket] = set()
        self._error: BaseException | None = None
        self._stopping = False

    def run(self, tell: Tell) -> str:
        """Fetch what is missing; the SHA-256 of the whole.

        Raises :class:`ChangedError`, :class:`UnavailableError` when nothing comes any more, and refusals as they are.
        Whatever ends it, what has arrived is claimed.
        """
        hasher = HashBehind(self._part.file, lambda: spans.prefix(self._segments.here()))
        self._saver.follow(self._claimable)
        try:
            self._watch(tell)
        except BaseException:
            self._stop()
            hasher.drop()
            if self._segments.total:
                self._part.save(self._segments.here())
            raise
        return hasher.finish()

    @property
    def size(self) -> int:
        return self._segments.total

    def _claimable(self) -> spans.Spans:
        return self._segments.here() if self._segments.total else ()

    def _watch(self, tell: Tell) -> None:
        while True:
            with self._changed:
                if not self._workers and not self._segments.is_whole():
                    self._spawn()
                self._changed.wait_for(lambda: self._error or not self._workers, _TELL_S)
                error, is_over = self._error, not self._workers and self._segments.is_whole()
            tell(spans.count(self._segments.here()), self._segments.total or self._expected)
            if error:
                raise error
            if is_over:
                return
            self._consider_more()

    def _consider_more(self) -> None:
        """Open more connections where the file is large, the server knows ranges and one connection is slow."""
        with self._changed:
            if not self._ranges or self._stopping or not self._began or len(self._workers) >= self._wanted:
                return
            left = self._segments.total - spans.count(self._segments.here())
            elapsed = time.monotonic() - self._began
            rate = self._got / max(elapsed, 1e-3)
            if left < 2 * self._tuning.piece or elapsed < self._tuning.look_s or rate >= self._tuning.enough:
                return
            self._piece = self._tuning.piece
            self._segments.share(self._piece)
            while len(self._workers) < self._wanted:
                self._spawn()

    def _spawn(self) -> None:
        worker = threading.Thread(target=self._work, name="download", daemon=True)
        self._workers.append(worker)
        worker.start()

    def _stop(self) -> None:
        """Let the workers go; those that wait for bytes are woken by the end of their connection."""
        with self._changed:
            self._stopping = True
            workers = list(self._workers)
            for one in self._sockets:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
        for worker in workers:
            worker.join(_SLICE_S * 6)

    # -- a worker's thread ---------------------------------------------------------------------------------------------

    def _work(self) -> None:
        try:
            while not self._stopping and (segment := self._segments.next(self._piece)):
                if not self._try(segment):
                    return
        except BaseException as error:
            with self._changed:
                self._error = self._error or error
                self._stopping = True
        finally:
            with self._changed:
                self._workers.remove(threading.current_thread())
                self._changed.notify_all()

    def _try(self, segment: Segment) -> bool:
        """Fetch a segment as far as it comes; False when this worker is one too many."""
        wave = self._waves
        try:
            self._fetch(segment)
        except (httpx.TransportError, InterruptedDownloadError, BusyError, CircuitOpenError) as error:
            if self._stopping:
                return False
            pause = self._pause_after(error, wave)
        else:
            return True
        finally:
            self._segments.end(segment)
        if pause is None:
            return False
        self._rest(pause)
        return True

    def _pause_after(self, error: Exception, wave: int) -> float | None:
        """Seconds until the next try, None to leave the rest to others. Tries between which bytes came don't count.

        Nor do those that began in an earlier ``wave`` than the present: what breaks all connections is one failure.
        """
        with self._changed:
            if getattr(error, "is_crowd", False) and len(self._workers) > 1:
                self._wanted = len(self._workers) - 1
                return None
            if wave == self._waves:
                is_first = self._got > self._got_then
                self._failures, self._sent = (1, False) if is_first else (self._failures + 1, self._sent)
                self._got_then, self._waves = self._got, self._waves + 1
            self._sent = self._sent or not isinstance(error, _UNSENT)
            failures, kind = self._failures, UnavailableError if self._sent else UnreachedError
        reason = str(error) or type(error).__name__
        if failures >= _TRIES:
            raise kind(
                f"the download of {self._part.dest.name} broke off ({reason})", "run the same command again: it resumes"
            ) from None
        _log.info("the download of %s: %s", self._part.dest.name, reason)
        told = error.wait if isinstance(error, (InterruptedDownloadError, BusyError, CircuitOpenError)) else None
        return backoff(failures) if told is None else min(told, _LONGEST_WAIT)

    def _rest(self, seconds: float) -> None:
        while seconds > 0 and not self._stopping:
            self._sleep(min(seconds, _SLICE_S))
            seconds -= _SLICE_S

    def _fetch(self, segment: Segment) -> None:
        headers: dict[str, str] = {}
        is_cut = segment.stop < (self._segments.total or ENDLESS)
        if segment.start or is_cut:
            headers["Range"] = f"bytes={segment.start}-{segment.stop - 1 if is_cut else ''}"
            if self._part.etag:
                headers["If-Range"] = self._part.etag
        with self._source.open(headers) as response, self._stoppable(response):
            self._agree(response, segment)
            self._receive(response, segment)
        if not self._segments.total and segment.at:
            # Nobody told the size: the end is where the bytes end.
            self._learn(segment.at, "")
        if segment.at < segment.stop and not self._stopping:
            raise InterruptedDownloadError("the connection was closed early")

    def _receive(self, response: httpx.Response, segment: Segment) -> None:
        for piece in body.pieces(response, keep=self._piece > 0):
            if self._stopping:
                return
            count = min(len(piece), segment.stop - segment.at)
            self._part.write(piece[:count], segment.at)
            segment.at += count
            with self._changed:
                self._got += count
            if pause := self._limit.took(count):
                self._rest(pause)
            if segment.at >= segment.stop:
                return

    @contextlib.contextmanager
    def _stoppable(self, response: httpx.Response) -> Iterator[None]:
        connection = body.connection_of(response)
        with self._changed:
            if connection is not None:
                self._sockets.add(connection)
        try:
            yield
        finally:
            with self._changed:
                if connection is not None:
                    self._sockets.discard(connection)

    def _agree(self, response: httpx.Response, segment: Segment) -> None:
        """Make sure that this answer continues the file that the part holds the beginning of."""
        etag, total, part = _strong(response), _total(response), self._part
        is_other = (part.total and total and total != part.total) or (part.etag and etag and etag != part.etag)
        starts_at = _first_byte(response) if response.status_code == 206 else 0
        if response.status_code == 416 or is_other or starts_at != segment.start:
            raise ChangedError(is_resumable=bool(is_other) or response.status_code == 416)
        with self._changed:
            self._began = self._began or time.monotonic()
            self._ranges = response.status_code == 206 or response.headers.get("Accept-Ranges", "") == "bytes"
            if not part.total:
                self._learn(total, etag)
        self._consider_more()

    def _learn(self, total: int, etag: str) -> None:
        if total:
            self._room(total - spans.count(self._segments.here()))
            self._part.total, self._part.etag = total, etag or self._part.etag
            self._segments.learn(total)


def _strong(response: httpx.Response) -> str:
    """An ETag that stands for the very bytes; weak ones can't be used with ranges."""
    etag = str(response.headers.get("ETag", ""))
    return etag if etag.startswith('"') else ""


def _first_byte(response: httpx.Response) -> int:
    value = response.headers.get("Content-Range", "").removeprefix("bytes ").split("-", 1)[0]
    return int(value) if value.isascii() and value.isdigit() else -1


def _total(response: httpx.Response) -> int:
    """The whole file's size, from ``Content-Range`` or ``Content-Length``; 0 when not told."""
    value = response.headers.get("Content-Range", "").rpartition("/")[2]
    if not value and response.status_code == 200:
        value = response.headers.get("Content-Length", "")
    return int(value) if value.isascii() and value.isdigit() else 0
