"""Fetch a large file range by range, several at once, while what came is hashed behind them."""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial

from hubman.hashing_behind import HashBehind
from hubman.sync.records.layout import UnreadableError
from hubman.sync.storages.storage import PIECE, StorageError
from hubman.sync.transfer.crew import Crew, StoppedError
from hubman.sync.transfer.partial import Partial, Range
from hubman.sync.transfer.settling import Landed, Weights

_MOST_RANGES = 8
"""Of one file on their way at once, or waiting for a thread."""

_FLUSH_BYTES = 64 << 20
"""What came is flushed in such portions as it comes: at the end next to nothing is left to wait for."""

Then = Callable[["Filling", "Landed | Exception"], None]
"""Told, in the owner's thread, when nothing of the file moves any more: it is whole and right, or why not."""


class WrongHashError(Exception):
    """Every byte came, and together they are not what they should be."""


class Filling:
    """One file on its way. Its owner's thread calls :meth:`feed` in every turn, and is told of the end."""

    def __init__(self, crew: Crew, weights: Weights, part: Partial, then: Then) -> None:
        self._crew, self.weights, self.part, self._then = crew, weights, part, then
        self._error: Exception | None = None
        self._under_way = self._unflushed = 0
        self._ready = deque(part.missing)
        self._handle = os.open(part.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        self._beginning = part.beginning
        self._hash = HashBehind(self._handle, lambda: self._beginning)
        self._moving = crew.tally.begin(weights.name, part.size, part.size - part.missing_bytes)
        self._look()

    @property
    def is_moving(self) -> bool:
        """Whether ranges are still to be begun."""
        return bool(self._ready)

    def feed(self) -> None:
        """Have the next ranges fetched, as many as may be on their way at once."""
        while self._ready and self._under_way < _MOST_RANGES:
            number = self._ready.popleft()
            self._under_way += 1
            self._crew.start(partial(self._fetch, self.part.ranges[number]), partial(self._arrived, number))

    def close(self) -> None:
        """Let go of the file; what came of it stays known."""
        self.part.note_all()
        self._hash.drop()
        os.close(self._handle)

    # -- a thread of the crew ------------------------------------------------------------------------------------------

    def _fetch(self, one: Range) -> None:
        crew, limit = self._crew, self._crew.session.down
        step = limit.step(PIECE)
        for offset in range(0, one.length, step):
            length = min(step, one.length - offset)
            crew.pay(limit, length)
            with crew.request():
                data = crew.session.storage.read_range(one.key, one.start + offset, length)
            if len(data) != length:
                raise StorageError(f"{one.key} ended early", "sync again")
            self.part.write(one, data, offset)
            crew.tally.moved(length, self._moving)
        self._flush(one.length)

    def _flush(self, count: int) -> None:
        self._unflushed += count
        if self._unflushed >= _FLUSH_BYTES and not self.part.sealed:
            self._unflushed = 0
            os.fdatasync(self._handle)

    def _finish(self) -> str:
        """The hash of the file, which is on the disk."""
        if self.part.sealed:
            return self._unsealed()
        os.fsync(self._handle)
        return self._hash.finish()

    def _unsealed(self) -> str:
        """Make the file of its sealed objects; the hash of what came out."""
        with os.fdopen(os.dup(self._handle), "r+b") as file:
            file.truncate(0)
            for path in self.part.sealed:
                self._crew.go_on()
                self._crew.session.codec.open_file(path, file)
            file.flush()
            os.fsync(file.fileno())
            file.seek(0)
            content = hashlib.file_digest(file, "sha256").hexdigest()
        if content == self.weights.sha256:
            for path in self.part.sealed:
                path.unlink()
        return content

    # -- the owner's thread --------------------------------------------------------------------------------------------

    def _arrived(self, number: int, future: Future[None]) -> None:
        self._under_way -= 1
        try:
            future.result()
        except StoppedError:
            return
        except Exception as error:
            self._error = self._error or error
            self._ready.clear()
        else:
            self.part.note(number)
            self._beginning = self.part.beginning
        self._look()

    def _look(self) -> None:
        """Whether this file is at its end."""
        if self._under_way or self._ready:
            return
        if self._error is not None:
            self._end(self._error)
        else:
            self._crew.start(self._finish, self._finished)

    def _finished(self, future: Future[str]) -> None:
        try:
            content = future.result()
        except StoppedError:
            return
        except UnreadableError:
            content = ""
        except Exception as error:
            self._end(error)
            return
        is_right = content == self.weights.sha256
        self._end(Landed(weights=self.weights, part=self.part.path) if is_right else WrongHashError())

    def _end(self, outcome: Landed | Exception) -> None:
        self._crew.tally.end(self._moving)
        self.close()
        self._then(self, outcome)
