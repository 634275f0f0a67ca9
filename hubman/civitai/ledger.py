"""A small SQLite file that all processes of one home write: short transactions, nothing in it that can't be lost."""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

_log = logging.getLogger(__name__)
_BUSY_S = 10.0
_OPENINGS = 100
_APART_S = 60.0
_MEMORY = Path(":memory:")


class Ledger:
    """The file at ``path`` with the tables of ``schema``; opened when first used, safe to use from several threads.

    A damaged file is begun anew. Where none can be written, one in memory serves this process alone, for a minute: then
    the file is tried again. ``clock`` tells seconds.
    """

    def __init__(self, path: Path, schema: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._path, self._schema, self._clock = path, schema, clock
        self._lock = threading.RLock()
        self._apart_until = 0.0
        """When the file is tried again; 0 while it is in use."""
        self._db: sqlite3.Connection | None = None

    def close(self) -> None:
        with self._lock:
            if self._db is not None:
                self._db.close()
                self._db = None
            self._apart_until = 0.0

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """A write transaction, committed unless an exception leaves it. Raises :class:`sqlite3.Error` when it can't be."""
        with self._lock:
            db = self._begun()
            try:
                yield db
                db.execute("COMMIT")
            except sqlite3.Error as error:
                # A full disk, or damage further in: the next transaction finds something that works.
                self._db = self._mended(error)
                raise
            except BaseException:
                db.execute("ROLLBACK")
                raise

    def is_shared(self) -> bool:
        """Whether the file is in use, and what is written now is there for later."""
        with contextlib.suppress(sqlite3.Error), self.transaction():
            return not self._apart_until
        return False

    def _begun(self) -> sqlite3.Connection:
        if self._apart_until and self._clock() >= self._apart_until:
            self._rejoin()
        try:
            if self._db is None:
                self._db = self._open_patiently()
            self._db.execute("BEGIN IMMEDIATE")
        except (sqlite3.Error, OSError) as error:
            self._db = self._mended(error)
            self._db.execute("BEGIN IMMEDIATE")
        return self._db

    def _open_patiently(self) -> sqlite3.Connection:
        """Processes that open a new file at the same moment lock each other out while they prepare it."""
        for _ in range(_OPENINGS):
            try:
                return self._open(self._path)
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF not in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
                    raise
                time.sleep(0.02)
        return self._open(self._path)

    def _rejoin(self) -> None:
        """Use the file again; what was in memory is nothing that can't be lost."""
        try:
            db = self._open(self._path)
        except (sqlite3.Error, OSError):
            self._apart_until = self._clock() + _APART_S
            return
        self.close()
        self._db, self._apart_until = db, 0.0

    def _open(self, path: Path) -> sqlite3.Connection:
        if path != _MEMORY:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            # SQLite gives its side files the mode of the file itself.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        db = sqlite3.connect(path, isolation_level=None, timeout=_BUSY_S, check_same_thread=False)
        try:
            db.execute("PRAGMA journal_mode = WAL")
            # A power cut may cost what is in here, a killed process nothing.
            db.execute("PRAGMA synchronous = OFF")
            db.executescript(self._schema)
        except sqlite3.Error:
            db.close()
            raise
        return db

    def _mended(self, error: Exception) -> sqlite3.Connection:
        self.close()
        damaged = isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError)
        if damaged:
            _log.warning("%s is damaged and begun anew", self._path)
            with contextlib.suppress(sqlite3.Error, OSError):
                for end in ("", "-wal", "-shm"):
                    self._path.with_name(self._path.name + end).unlink(missing_ok=True)
                return self._open(self._path)
        _log.warning("%s can't be used (%s): this process does without it for a while", self._path, error)
        self._apart_until = self._clock() + _APART_S
        return self._open(_MEMORY)


def read_only(path: Path) -> sqlite3.Connection:
    """A look at a ledger that waits for nobody. Raises :class:`sqlite3.Error` when there is none."""
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=0.05)
