"""Keep the index live: what changes below the roots is listed as it happens, and hashed when there is time for it.

The file system tells of changes on local drives. Network drives tell nothing of what other machines do, and drives
come and go, so everything is looked at again now and then.
"""

from __future__ import annotations

import contextlib
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from registry import exchange_waiting, library, roots, scan, sidecar_reread, usage_match
from registry.database import Registry, is_busy
from registry.notifier import Notifier, folders_of, is_sidecar
from registry.places import Seen
from registry.scan_hash import hash_files
from registry.scan_plan import Watch

LOOK_AGAIN_S = 900.0
"""Seconds after which everything is looked at again, whatever was told."""

_IDLE_S = 1.0
_CHUNK_FILES = 64
_CHUNK_BYTES = 2 << 30
"""How much is hashed before changes are looked at again: some seconds' worth."""


@dataclass(frozen=True)
class Checked:
    """The index agreed with the disk just now, found out in ``seconds``. ``waiting`` files are listed and not hashed;
    ``problem`` is why the system does not tell of changes, if so.
    """

    models: int
    waiting: int
    seconds: float
    problem: str = ""


class Watcher:
    """Watches all roots from :meth:`run` until :meth:`stop`, which any thread may call.

    ``told`` hears of each look at the disk, ``progress`` of work under way, both in the thread of :meth:`run`, to which
    the connection ``registry`` belongs. ``idle_work`` is called there when all is hashed, again and again while it says
    that it did something, and waits as hashing does.
    """

    def __init__(
        self,
        registry: Registry,
        told: Callable[[Checked], None],
        progress: Watch,
        may_hash: Callable[[], bool] | None = None,
        idle_work: Callable[[], bool] = lambda: False,
    ) -> None:
        self._registry = registry
        self._told = told
        self._progress = progress
        self._may_hash = may_hash or (lambda: True)
        self._idle_work = idle_work
        self._has_idle_work = True
        self._stopped = threading.Event()
        self._changes: queue.SimpleQueue[set[str]] = queue.SimpleQueue()
        self._looked_at = float("-inf")
        self._changed: set[str] = set()
        self._waiting = _Waiting()
        self._hashed: set[str] = set()
        self._appeared: set[str] = set()
        self._notifier = Notifier([], self._changes)

    def stop(self) -> None:
        self._stopped.set()
        self._changes.put(set())

    def run(self) -> None:
        """Look at everything, then at what changes, hashing meanwhile; returns after :meth:`stop`."""
        try:
            while not self._stopped.is_set():
                try:
                    self._step()
                except sqlite3.OperationalError as error:
                    if not is_busy(error):
                        raise
                    # Somebody writes for long. What could not be written is still wanted.
                    self._stopped.wait(_IDLE_S)
        except _StoppedError:
            pass
        finally:
            self._notifier.stop()
        with contextlib.suppress(sqlite3.OperationalError):
            # A registry that is busy at the end is matched by the next scan of pictures.
            self._match_usage()

    def _step(self) -> None:
        if self._follow_roots() or time.monotonic() - self._looked_at > LOOK_AGAIN_S:
            self._looked_at = float("-inf")
            self._look(None)
            self._looked_at = time.monotonic()
            self._has_idle_work = True
        self._changed |= self._next_changes()
        if self._changed:
            self._look(folders_of(self._changed, self._notifier.folders))
            self._reread(path for path in self._changed if is_sidecar(path))
            self._changed = set()
            self._has_idle_work = True
        elif self._hashed or (self._waiting and self._may_hash()):
            self._hash_some()
            self._has_idle_work = True
        elif self._is_free_for_idle_work():
            self._has_idle_work = self._idle_work()

    def _follow_roots(self) -> bool:
        """Watch the roots that are there; returns whether they are others than before."""
        every = (*roots.all_roots(self._registry), roots.absolute(self._registry.models_folder))
        now = sorted({str(path) for path in every if path.is_dir()})
        if self._notifier.folders == now and self._notifier.ident is not None:
            return False
        self._notifier.stop()
        self._notifier = Notifier(now, self._changes)
        self._notifier.start()
        return True

    def _next_changes(self) -> set[str]:
        try:
            if self._changed or self._hashed or (self._waiting and self._may_hash()) or self._is_free_for_idle_work():
                return self._changes.get_nowait()
            return self._changes.get(timeout=_IDLE_S)
        except queue.Empty:
            return set()

    def _is_free_for_idle_work(self) -> bool:
        return self._has_idle_work and not self._waiting and self._may_hash()

    def _look(self, folders: list[Path] | None) -> None:
        if folders == []:
            return
        start = time.perf_counter()
        found = scan.list_folders(self._registry, self._tell_progress, folders)
        self._waiting.add(found.to_hash)
        self._tell(time.perf_counter() - start)

    def _reread(self, paths: Iterable[str]) -> None:
        """Files beside which a sidecar was edited are the same; what it says may be news."""
        if sidecar_reread.edited(self._registry, paths).models:
            self._tell(0.0)

    def _hash_some(self) -> None:
        start = time.perf_counter()
        files = self._waiting.take()
        try:
            done = hash_files(self._registry, files, set(), self._go_on, self._may_hash)
        except sqlite3.OperationalError:
            self._waiting.put_back(files)
            raise
        self._appeared |= done.first
        self._hashed |= {seen.path for seen in files}
        exchange_waiting.take_in_waiting(self._registry, self._hashed)
        self._hashed = set()
        self._tell_progress("hashing", self._waiting.taken, self._waiting.taken + len(self._waiting))
        if not self._waiting:
            self._match_usage()
            self._tell(time.perf_counter() - start)

    def _match_usage(self) -> None:
        """Once for all that was hashed: to look at the pictures' names anew takes half a second in a large library."""
        usage_match.appeared(self._registry, self._appeared)
        self._appeared = set()

    def _go_on(self, _stage: str, _done: int, _total: int) -> None:
        if self._stopped.is_set():
            raise _StoppedError

    def _tell_progress(self, stage: str, done: int, total: int) -> None:
        self._go_on(stage, done, total)
        self._progress(stage, done, total)

    def _tell(self, seconds: float) -> None:
        self._told(Checked(library.count(self._registry), len(self._waiting), seconds, self._notifier.problem))


class _StoppedError(Exception):
    """Everything is written down; what is left is found again by the next look."""


class _Waiting:
    """The files to be hashed, the smallest first, of one size the newest; ``taken`` counts those that were handed out."""

    def __init__(self) -> None:
        self.taken = 0
        self._files: dict[str, Seen] = {}

    def __len__(self) -> int:
        return len(self._files)

    def add(self, files: Iterable[Seen]) -> None:
        self._files |= {seen.path: seen for seen in files}
        ordered = sorted(self._files.values(), key=lambda seen: (seen.size.bit_length(), -seen.mtime_ns))
        self._files = {seen.path: seen for seen in ordered}

    def put_back(self, files: Sequence[Seen]) -> None:
        """They were taken and nothing was done with them."""
        self.taken -= len(files)
        self.add(files)

    def take(self) -> list[Seen]:
        """A few files, at least one."""
        chunk: list[Seen] = []
        size = 0
        while self._files and len(chunk) < _CHUNK_FILES and (not chunk or size < _CHUNK_BYTES):
            seen = self._files.pop(next(iter(self._files)))
            chunk.append(seen)
            size += seen.size
        self.taken += len(chunk)
        return chunk
