"""Threads that move bytes for one other thread, which alone has the database, decides what moves, and can be stopped."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any, TypeVar

from hubman.rate import Limit
from hubman.sync.session import Session
from hubman.sync.storages.storage import PIECE
from hubman.sync.transfer.holding import HeldError
from hubman.sync.transfer.tally import Tally

Result = TypeVar("Result")

MOST_REQUESTS = 8
"""Requests at once of one sync, whatever they are for."""

_MOST_OF_ONE = 4
"""Requests that one large object may make of these: a second file moves beside it."""

_TURN_S = 0.1

_AHEAD = 8
"""So many pieces of work a thread lie ready, while the owner is busy with its database."""


class StoppedError(Exception):
    """The thread was told to stop; what it was at is done again or gone on with later."""


class Crew:
    """At most :data:`MOST_REQUESTS` threads, fewer where the place likes that. Leaving the context ends them.

    What a thread ended with is handed to the owner's thread, also of what ended while the crew was being stopped.
    """

    def __init__(self, session: Session, tally: Tally) -> None:
        self.session, self.tally = session, tally
        self._count = max(1, min(MOST_REQUESTS, session.storage.concurrency))
        self._pool = ThreadPoolExecutor(self._count, thread_name_prefix="blob")
        self._free = self._count
        self._freed = threading.Condition()
        self._ended: SimpleQueue[tuple[Callable[[Future[Any]], None], Future[Any]]] = SimpleQueue()
        self._under_way = 0
        self._stopping = threading.Event()

    def __enter__(self) -> Crew:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        with self._freed:
            self._freed.notify_all()
        self._pool.shutdown(wait=True, cancel_futures=True)
        while self._hand_over(0):
            pass

    # -- for the owner's thread ----------------------------------------------------------------------------------------

    def start(self, work: Callable[[], Result], then: Callable[[Future[Result]], None]) -> None:
        """Do ``work`` in a thread; the owner's thread calls ``then`` with what came of it, in one of its next turns."""
        if self._stopping.is_set():
            return
        self._under_way += 1
        self._pool.submit(work).add_done_callback(lambda future: self._ended.put((then, future)))

    @property
    def is_idle(self) -> bool:
        return self._under_way == 0

    def make_room(self) -> None:
        """Return when a thread will soon have nothing to do. Raises as :meth:`turn`."""
        self.turn(wait=False)
        while self._under_way >= _AHEAD * self._count:
            self.turn()

    def finish(self) -> None:
        """Return when all is done. Raises as :meth:`turn`."""
        while not self.is_idle:
            self.turn()

    def turn(self, *, wait: bool = True) -> None:
        """Take what ended since, or wait for something to end for a moment.

        Raises :class:`registry.errors.CancelledError` when the person wants it to end, :class:`HeldError` when files
        may not move now, and what the ``then`` of :meth:`start` raises.
        """
        self.session.stop_if_asked()
        if why := self.session.held():
            raise HeldError(why)
        if self._hand_over(_TURN_S if wait else 0):
            while self._hand_over(0):
                pass
        self.tally.tell()

    def _hand_over(self, seconds: float) -> bool:
        try:
            then, future = self._ended.get(timeout=seconds) if seconds else self._ended.get_nowait()
        except Empty:
            return False
        self._under_way -= 1
        if not future.cancelled():
            then(future)
        return True

    # -- for its threads -----------------------------------------------------------------------------------------------

    @contextmanager
    def request(self, size: int = 0) -> Iterator[None]:
        """Hold the right to make the requests that moving an object of ``size`` bytes takes. Raises :class:`StoppedError`."""
        count = max(1, min(_MOST_OF_ONE, -(-size // PIECE), self._count))
        with self._freed:
            self._freed.wait_for(lambda: self._free >= count or self._stopping.is_set())
            self.go_on()
            self._free -= count
        try:
            yield
        finally:
            with self._freed:
                self._free += count
                self._freed.notify_all()

    def go_on(self) -> None:
        """Raises :class:`StoppedError` when this thread should end; called wherever that is safe."""
        if self._stopping.is_set():
            raise StoppedError

    def pay(self, limit: Limit, count: int) -> None:
        """Wait until the rate allows ``count`` bytes more. Raises :class:`StoppedError`."""
        if self._stopping.wait(limit.took(count)):
            raise StoppedError
