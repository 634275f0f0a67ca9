"""Reading files to their end, in the background of a list that shows them already.

Hashing takes all cores, in threads (it leaves the interpreter alone); what is found is written in batches. What is not
hashed when a scan is stopped is hashed by the next one.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

from registry import places, projection, roots
from registry.database import Registry
from registry.hashing import NO_TENSORS
from registry.places import Known, Seen
from registry.scan_plan import Watch
from registry.scan_read import ChangingFileError, Reading, read
from registry.scan_walk import Problem
from registry.scan_write import write

BATCH = 50
"""Files in one transaction: a commit waits for the disk, and losing fifty files' work is no loss."""
_AHEAD = 64
_PAUSE_S = 0.5


@dataclass
class Hashed:
    """What came of hashing files. ``moved`` are those of which the content is known from a place that lost it, among
    them the ``returned`` that this scan took for new. ``first`` are the SHA-256s that were not known before:
    :func:`registry.usage_match.appeared` is to hear of them, once for many files.
    """

    changed: int = 0
    unchanged: int = 0
    moved: int = 0
    returned: int = 0
    problems: list[Problem] = field(default_factory=list)
    first: set[str] = field(default_factory=set)


def hash_files(
    registry: Registry,
    files: Sequence[Seen],
    listed: set[str],
    watch: Watch,
    may_hash: Callable[[], bool] | None = None,
) -> Hashed:
    """Read these files and write down what they are; ``listed`` are the paths that this scan saw first.

    While ``may_hash`` says no, nothing is read; it is asked about twice a second.
    """
    work = _Work(registry, listed)
    for done, reading in enumerate(_readings(registry, files, may_hash, watch)):
        watch("reading", done, len(files))
        work.take(reading)
    work.write()
    watch("reading", len(files), len(files))
    return work.done


class _Work:
    """Takes readings and writes them in batches."""

    def __init__(self, registry: Registry, listed: set[str]) -> None:
        self.done = Hashed()
        self._registry = registry
        self._root_of = roots.Cover(registry)
        self._listed = listed
        self._batch: list[Reading] = []

    def take(self, reading: Reading | Problem) -> None:
        if isinstance(reading, Problem):
            self.done.problems.append(reading)
            return
        self.done.problems += reading.broken
        self._batch.append(reading)
        if len(self._batch) >= BATCH:
            self.write()

    def write(self) -> None:
        with self._registry.transaction() as db:
            touched: set[str] = set()
            for reading in self._batch:
                if not places.is_unmoved(reading.seen):
                    # Moved, trashed or replaced while it was read: whoever looks next sees what it is now.
                    continue
                source = self._count(db, reading)
                root = self._root_of(reading.seen.path)
                touched |= write(db, reading, root, source, is_first=self._is_first(db, reading))
            projection.rebuild(db, touched)
        self._batch = []

    def _is_first(self, db: sqlite3.Connection, reading: Reading) -> bool:
        """Whether this scan is the first to see the content, here or in another place."""
        if reading.hashes is None:
            return False
        sha256 = reading.hashes.sha256
        if not db.execute("SELECT 1 FROM files WHERE sha256 = ?", (sha256,)).fetchone():
            self.done.first.add(sha256)
        return sha256 in self.done.first

    def _count(self, db: sqlite3.Connection, reading: Reading) -> Known | None:
        """Where the file lay before, if it was moved."""
        before = places.known_at(db, reading.seen.path)
        hashes = reading.hashes
        if hashes is None:
            return None
        if before is not None and before.is_hashed:
            if before.sha256 != hashes.sha256:
                self.done.changed += 1
                # Another file that was moved over this one is no longer where it was.
                return places.missing_with(db, hashes.sha256, None)
            self.done.unchanged += not before.is_still(reading.seen)
            return None
        source = places.missing_with(db, hashes.sha256, None if hashes.autov3 == NO_TENSORS else hashes.autov3)
        self.done.moved += source is not None
        self.done.returned += source is not None and reading.seen.path in self._listed
        return source


class _Gate:
    """Stops the readers while something else needs the machine."""

    def __init__(self, may_hash: Callable[[], bool] | None) -> None:
        self._may_hash = may_hash
        self._open = threading.Event()
        self._open.set()
        self._asked_at = float("-inf")

    def look(self) -> bool:
        """Whether it is open now. For the thread that owns the connection which ``may_hash`` may use."""
        if self._may_hash is not None and time.monotonic() - self._asked_at >= _PAUSE_S:
            self._asked_at = time.monotonic()
            if self._may_hash():
                self._open.set()
            else:
                self._open.clear()
        return self._open.is_set()

    def wait(self) -> None:
        self._open.wait()

    def release(self) -> None:
        self._may_hash = None
        self._open.set()


def _readings(
    registry: Registry, files: Sequence[Seen], may_hash: Callable[[], bool] | None, watch: Watch
) -> Iterator[Reading | Problem]:
    """Read in threads, a few dozen files ahead of the writer, in order."""
    gate = _Gate(may_hash)
    waiting: deque[Future[Reading | Problem]] = deque()
    with ThreadPoolExecutor(os.cpu_count() or 1, "scan") as pool:
        try:
            for number, seen in enumerate(files):
                gate.look()
                waiting.append(pool.submit(_try_read, registry, seen, gate.wait))
                if len(waiting) > _AHEAD:
                    yield _next(waiting, gate, partial(watch, "paused", number, len(files)))
            while waiting:
                yield _next(waiting, gate, partial(watch, "paused", len(files) - len(waiting), len(files)))
        finally:
            gate.release()
            pool.shutdown(wait=False, cancel_futures=True)


def _next(waiting: deque[Future[Reading | Problem]], gate: _Gate, paused: Callable[[], None]) -> Reading | Problem:
    first = waiting.popleft()
    while True:
        try:
            return first.result(timeout=_PAUSE_S)
        except TimeoutError:
            if first.done():
                raise
            if not gate.look():
                paused()


def _try_read(registry: Registry, seen: Seen, wait: Callable[[], None]) -> Reading | Problem:
    try:
        return read(registry, seen, wait)
    except ChangingFileError as error:
        return Problem(seen.path, error.message.removeprefix(f"{seen.path} "))
