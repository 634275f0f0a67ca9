"""The registry's connection: one SQLite file in WAL mode, durable at every commit."""

from __future__ import annotations

import contextlib
import fcntl
import gc
import os
import re
import sqlite3
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from registry import ids, words
from registry.errors import HubError

if TYPE_CHECKING:
    from sqlite_utils import Migrations

MIGRATIONS = (
    "m001_first",
    "m003_scan",
    "m004_journal",
    "m030_care",
    "m010_copies",
    "m008_exchange",
    "m023_fingerprints",
    "m014_follow",
    "m021_hub",
    "m012_made",
    "m011_places",
    "m016_publishing",
    "m022_accepted",
    "m013_pulls",
    "m002_query",
    "m027_races",
    "m015_row_order",
    "m029_secrecy",
    "m009_settling",
    "m006_sidecars",
    "m026_snapshots",
    "m005_unhashed",
    "m007_usage",
    "m028_whereabouts",
)
"""Every migration of :mod:`registry.schema` in their order, named here so that opening a registry that has them all imports nothing."""

BUSY_TIMEOUT_S = 120.0
"""How long a write waits for another process's before it gives up: an edit of a whole library takes a while."""


def is_busy(error: sqlite3.OperationalError) -> bool:
    """Whether a write failed only because another process was writing for longer than :data:`BUSY_TIMEOUT_S`."""
    return error.sqlite_errorcode & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


_LARGE = {"cache_size": -131_072, "wal_autocheckpoint": 8_000}
"""Kilobytes of pages in memory, and pages in the log, while much is done at once."""


class Registry:
    """An open registry. One per thread: a connection is cheap (under a millisecond) and not shared.

    ``home`` holds ``registry.db`` and the folders ``blobs`` (previews by content), ``thumbs`` (a cache),
    ``fingerprints`` (another), ``jobs``, ``models`` (where pulled and trained files go unless told otherwise) and ``logs``.
    """

    def __init__(self, home: Path) -> None:
        """Open or create; raises :class:`HubError` when the folder or the file can't be used."""
        self.home = home
        _need_safe_place(home)
        try:
            home.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.db = sqlite3.connect(home / "registry.db", isolation_level=None, timeout=BUSY_TIMEOUT_S)
            self.db.row_factory = sqlite3.Row
            _prepare(self.db)
            self._finish_moves()
        except sqlite3.DatabaseError as error:
            raise HubError(
                f"{home / 'registry.db'} can't be opened ({error})", "is it a registry of hubman?"
            ) from error
        except OSError as error:
            raise HubError(
                f"{home} can't be used ({error.strerror})", "set HUBMAN_HOME to a folder you can write"
            ) from error

    def _finish_moves(self) -> None:
        """Put back the files of a process that was killed while it moved them."""
        if self.db.execute("SELECT 1 FROM moves_under_way UNION ALL SELECT 1 FROM copied").fetchone():
            from registry import moving

            moving.recover(self)

    @property
    def blobs(self) -> Path:
        return self.home / "blobs"

    @property
    def models_folder(self) -> Path:
        return self.home / "models"

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing. Nested calls join the outer one."""
        if self.db.in_transaction:
            yield self.db
            return
        self.db.execute("BEGIN IMMEDIATE")
        try:
            yield self.db
        except BaseException:
            self.db.execute("ROLLBACK")
            raise
        self.db.execute("COMMIT")

    @contextlib.contextmanager
    def much_at_once(self) -> Iterator[None]:
        """More room for what touches a good part of the registry, and fewer pauses.

        With SQLite's 2 MB of memory pages come and go, and with its 1,000 pages of log nearly every transaction would
        copy nearly every page into the database. Python would look through all that was read for cycles, again and
        again: a quarter of the time.
        """
        before = [(name, *self.db.execute(f"PRAGMA {name}").fetchone()) for name in _LARGE]
        collects = gc.isenabled()
        gc.disable()
        for name, large in _LARGE.items():
            self.db.execute(f"PRAGMA {name} = {large}")
        try:
            yield
        finally:
            for name, usual in before:
                self.db.execute(f"PRAGMA {name} = {int(usual)}")
            if collects:
                gc.enable()

    def close(self) -> None:
        self.db.close()

    def __enter__(self) -> Registry:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _need_safe_place(home: Path) -> None:
    """A registry is not made where a share or another program would tear it; one that is there is opened."""
    if (home / "registry.db").exists():
        return
    from registry import placement

    why = placement.problem(home)
    if why and not os.environ.get(placement.ANYWHERE):
        raise HubError(
            f"{home} lies in {why}, where a database gets torn",
            f"set HUBMAN_HOME to a local folder (hubman sync keeps machines in step); {placement.ANYWHERE}=1 takes it",
        )


def _prepare(db: sqlite3.Connection) -> None:
    if not _is_current(db):
        with _alone(db):
            # A query walks some megabytes: fewer, larger reads make it a fifth faster. A file that exists keeps its own.
            db.execute("PRAGMA page_size = 16384")
            db.execute("PRAGMA journal_mode = WAL")
            if not _is_current(db):
                _migrate(db)
    # FULL, not NORMAL: a power cut must not roll back a change that was already sent under its number.
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA foreign_keys = ON")
    # Not mapped into memory: each connection's map counts as the process's, which for a large registry is hundreds of MB.
    db.execute("PRAGMA mmap_size = 0")
    db.create_function("regexp", 2, _regexp, deterministic=True)
    db.create_function("is_near", 2, words.is_near, deterministic=True)


@contextlib.contextmanager
def _alone(db: sqlite3.Connection) -> Iterator[None]:
    """One process at a time makes or migrates a registry: SQLite lets no other wait while a file becomes a WAL one."""
    path = db.execute("PRAGMA database_list").fetchone()[2]
    with Path(f"{path}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _regexp(pattern: str, text: str | None) -> bool:
    """``text REGEXP pattern``: SQLite has the operator and leaves the function to us."""
    return text is not None and _compiled(pattern).search(text) is not None


@lru_cache(maxsize=32)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


def _is_current(db: sqlite3.Connection) -> bool:
    """Asked without sqlite-utils, whose import costs more than everything else that a command does."""
    if not db.execute("SELECT 1 FROM sqlite_master WHERE name = '_sqlite_migrations'").fetchone():
        return False
    return set(MIGRATIONS) <= {row[0] for row in db.execute("SELECT name FROM _sqlite_migrations")}


def load_migrations() -> Migrations:
    """All of them; the modules of tables register their own, in this order."""
    from registry.schema import migrations
    from registry.schema_care import m030_care  # noqa: F401 - registers itself
    from registry.schema_copies import m010_copies  # noqa: F401 - registers itself
    from registry.schema_exchange import m008_exchange  # noqa: F401 - registers itself
    from registry.schema_fingerprints import m023_fingerprints  # noqa: F401 - registers itself
    from registry.schema_follow import m014_follow  # noqa: F401 - registers itself
    from registry.schema_hub import m021_hub  # noqa: F401 - registers itself
    from registry.schema_made import m012_made  # noqa: F401 - registers itself
    from registry.schema_places import m011_places  # noqa: F401 - registers itself
    from registry.schema_publishing import m016_publishing, m022_accepted  # noqa: F401 - register themselves
    from registry.schema_pulls import m013_pulls  # noqa: F401 - registers itself
    from registry.schema_query import m002_query  # noqa: F401 - registers itself
    from registry.schema_races import m027_races  # noqa: F401 - registers itself
    from registry.schema_row_order import m015_row_order  # noqa: F401 - registers itself
    from registry.schema_secrecy import m029_secrecy  # noqa: F401 - registers itself
    from registry.schema_settling import m009_settling  # noqa: F401 - registers itself
    from registry.schema_sidecars import m006_sidecars  # noqa: F401 - registers itself
    from registry.schema_snapshots import m026_snapshots  # noqa: F401 - registers itself
    from registry.schema_unhashed import m005_unhashed  # noqa: F401 - registers itself
    from registry.schema_usage import m007_usage  # noqa: F401 - registers itself
    from registry.schema_whereabouts import m028_whereabouts  # noqa: F401 - registers itself

    return migrations


def _migrate(db: sqlite3.Connection) -> None:
    from sqlite_utils import Database

    load_migrations().apply(Database(db))
    db.execute("INSERT OR IGNORE INTO meta VALUES ('device', ?), ('clock', '0')", (ids.new_device_id(),))
    device = db.execute("SELECT value FROM meta WHERE key = 'device'").fetchone()[0]
    db.execute("INSERT OR IGNORE INTO devices (id, name) VALUES (?, ?)", (device, os.uname().nodename))
