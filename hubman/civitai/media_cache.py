"""Pictures that were seen once, in files of their own: what stands at an address of the media host never changes."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

from hubman.civitai.ledger import Ledger

LARGEST_TOTAL = 256 << 20
"""Bytes of all pictures; those that were not seen for longest go first."""
_LARGEST = 32 << 20


class NoMedia:
    """The cache of a client that keeps nothing."""

    is_lasting = True
    """Whether what is kept is shown without asking; else only while the host can't be reached."""

    def find(self, url: str) -> bytes | None:
        del url
        return None

    def keep(self, url: str, content: bytes) -> None:
        """Write a picture down."""


class Media(NoMedia):
    """Files in ``folder``, named by the hash of their address; how old they are stands in ``ledger``."""

    def __init__(
        self,
        ledger: Ledger,
        folder: Path,
        *,
        is_lasting: bool = True,
        clock: Callable[[], float] = time.time,
        largest_total: int = LARGEST_TOTAL,
    ) -> None:
        self._ledger, self._folder, self.is_lasting = ledger, folder, is_lasting
        self._clock, self._largest_total = clock, largest_total

    def find(self, url: str) -> bytes | None:
        name = _name(url)
        try:
            content = self._path(name).read_bytes()
            with self._ledger.transaction() as db:
                known = db.execute("UPDATE media SET used_at = ? WHERE name = ?", (self._clock(), name)).rowcount
        except (OSError, sqlite3.Error):
            return None
        return content if known else None

    def keep(self, url: str, content: bytes) -> None:
        """Write a picture down; a disk that is full only means that it is not kept."""
        # A file that no row tells of would never be dropped.
        if len(content) > _LARGEST or not self._ledger.is_shared():
            return
        name = _name(url)
        with contextlib.suppress(OSError, sqlite3.Error):
            _write(self._path(name), content)
            with self._ledger.transaction() as db:
                db.execute("INSERT OR REPLACE INTO media VALUES (?, ?, ?)", (name, len(content), self._clock()))
                dropped = self._drop_oldest(db)
            for old in dropped:
                self._path(old).unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self._folder / name[:2] / name

    def _drop_oldest(self, db: sqlite3.Connection) -> list[str]:
        (total,) = db.execute("SELECT coalesce(sum(size), 0) FROM media").fetchone()
        dropped: list[str] = []
        if total <= self._largest_total:
            return dropped
        for name, size in db.execute("SELECT name, size FROM media ORDER BY used_at").fetchall():
            if total <= self._largest_total * 0.9:
                break
            db.execute("DELETE FROM media WHERE name = ?", (name,))
            dropped.append(name)
            total -= size
        return dropped


def _name(url: str) -> str:
    return hashlib.sha256(url.encode(errors="replace")).hexdigest()


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    partial = path.with_name(f".{path.name}.{uuid4().hex[:8]}")
    handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
    partial.replace(path)
