"""One listing of everything on a remote, kept in a temporary database: a listing may be longer than the memory."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from itertools import islice

from hubman.sync.care.findings import Finding
from hubman.sync.records import layout
from hubman.sync.session import Session
from hubman.sync.storages.folder import is_temporary
from hubman.sync.storages.storage import Entry

SHOWN = 20
"""How many names of one sort are shown; the rest is counted."""

_TABLES = """
CREATE TABLE heads (device TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE batches (device TEXT, seq INTEGER, name TEXT, size INTEGER, PRIMARY KEY (device, seq, name)) WITHOUT ROWID;
CREATE TABLE records (key TEXT PRIMARY KEY, size INTEGER) WITHOUT ROWID;
CREATE TABLE objects (key TEXT PRIMARY KEY, size INTEGER, is_named INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
CREATE TABLE blobs (sha256 TEXT PRIMARY KEY, size INTEGER, name TEXT, proved_at TEXT, is_picture INTEGER) WITHOUT ROWID;
"""
_CHUNK = 1_000


class Survey:
    """``heads``, ``batches``, ``records`` (snapshots and lists) and ``objects`` (of blobs) that were listed.

    ``blobs`` is filled by who looks at them: those that are whole, by what they hold. Close it when done.
    """

    def __init__(self, session: Session) -> None:
        # A nameless database is a temporary file that goes when it is closed.
        self.db = sqlite3.connect("", isolation_level=None)
        self.db.row_factory = sqlite3.Row
        self.db.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;" + _TABLES)
        self.strange: list[str] = []
        self.strange_count = 0
        self.unfinished = 0
        self._list(session)

    def close(self) -> None:
        self.db.close()

    def _list(self, session: Session) -> None:
        entries = session.storage.entries("")
        count = 0
        while chunk := list(islice(entries, _CHUNK)):
            session.stop_if_asked()
            self.db.execute("BEGIN")
            for entry in chunk:
                self._sort(entry)
            self.db.execute("COMMIT")
            count += len(chunk)
            session.tell("list", count, unit="objects")

    def _sort(self, entry: Entry) -> None:
        key, size = entry.key, entry.size
        name = key.rpartition("/")[2]
        device = layout.head_device(key)
        if not layout.is_known(key):
            if is_temporary(name):
                self.unfinished += 1
            elif not name.startswith("."):
                self.strange_count += 1
                if len(self.strange) < SHOWN:
                    self.strange.append(key)
        elif device:
            self.db.execute("INSERT OR REPLACE INTO heads VALUES (?)", (device,))
        elif key.startswith(layout.BLOBS):
            self.db.execute("INSERT OR REPLACE INTO objects (key, size) VALUES (?, ?)", (key, size))
        elif key.startswith("log/"):
            row = (key.split("/")[1], layout.batch_seq(name), name, size)
            self.db.execute("INSERT OR REPLACE INTO batches VALUES (?, ?, ?, ?)", row)
        elif key.startswith(("snap/", "gc/")):
            self.db.execute("INSERT OR REPLACE INTO records VALUES (?, ?)", (key, size))

    def size(self, key: str) -> int | None:
        """The bytes of one object of a blob; asking for it says that something speaks of it."""
        row = self.db.execute("UPDATE objects SET is_named = 1 WHERE key = ? RETURNING size", (key,)).fetchone()
        return int(row[0]) if row else None

    def whole(self, sha256: str, size: int, name: str, proved_at: str | None, *, is_picture: bool = False) -> None:
        """Note a blob all of whose objects have the right size; of a picture ``size`` is that of its object."""
        row = (sha256, size, name, proved_at, is_picture)
        self.db.execute("INSERT OR REPLACE INTO blobs VALUES (?, ?, ?, ?, ?)", row)

    def notes(self) -> Iterator[Finding]:
        """Names that are nothing of hubman's, and what is half-written or was left so."""
        if self.unfinished:
            files = "1 half-written file" if self.unfinished == 1 else f"{self.unfinished} half-written files"
            why = "of a sync that runs or was killed, which goes after a week"
            yield Finding(level="note", about="the remote", message=f"holds {files} {why}")
        for key in self.strange:
            yield Finding(level="note", about=key, message="is nothing of hubman's")
        if more := self.strange_count - len(self.strange):
            yield Finding(level="note", about="the remote", message=f"holds {more} more names that are not hubman's")

    def orphans(self) -> Iterator[Finding]:
        """Blobs that nothing speaks of; asked for when all others were."""
        sql = "SELECT key, size FROM objects WHERE NOT is_named"
        for row in self.db.execute(f"{sql} ORDER BY key LIMIT {SHOWN}"):
            yield Finding(level="note", about=row["key"], message="is a blob that nothing here speaks of")
        count, size = self.db.execute(f"SELECT count(*), sum(size) FROM ({sql})").fetchone()  # noqa: S608 - ours
        if count > SHOWN:
            message = f"holds {count} blobs ({size} bytes in all) that nothing here speaks of"
            yield Finding(level="note", about="the remote", message=message, remedy="hubman remote gc")
