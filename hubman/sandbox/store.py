"""What the sandbox knows, in one SQLite file: documents by kind and id, with the parent they belong to."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

Doc: TypeAlias = dict[str, Any]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS things (kind TEXT NOT NULL, id NOT NULL, parent, doc TEXT NOT NULL, PRIMARY KEY (kind, id));
CREATE INDEX IF NOT EXISTS things_parent ON things (kind, parent);
CREATE TABLE IF NOT EXISTS counters (kind TEXT PRIMARY KEY, value INTEGER NOT NULL);
"""
# Each kind counts from its own round number, so that a mixed-up id shows at a glance.
_FIRST_ID = {"model": 900_000, "version": 910_000, "file": 920_000, "post": 930_000, "image": 940_000, "tag": 950_000}


class Store:
    """Documents in SQLite, safe to use from any thread: one transaction at a time."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._lock = threading.RLock()
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        with self._lock:
            self._db.close()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing; nested calls join the outer one."""
        with self._lock:
            if self._db.in_transaction:
                yield
                return
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def next_id(self, kind: str) -> int:
        start = _FIRST_ID.get(kind, 0) + 1
        sql = "INSERT INTO counters VALUES (?, ?) ON CONFLICT DO UPDATE SET value = value + 1 RETURNING value"
        with self._lock:
            return int(self._db.execute(sql, (kind, start)).fetchone()[0])

    def put(self, kind: str, doc: Doc, *, parent: int | str | None = None) -> Doc:
        """Insert or replace the document under its ``id``; ``parent`` keeps its value when not given."""
        sql = """INSERT INTO things VALUES (?, ?, ?, ?)
            ON CONFLICT DO UPDATE SET doc = excluded.doc, parent = coalesce(excluded.parent, parent)"""
        with self._lock:
            self._db.execute(sql, (kind, doc["id"], parent, json.dumps(doc)))
        return doc

    def get(self, kind: str, key: int | str) -> Doc | None:
        with self._lock:
            row = self._db.execute("SELECT doc FROM things WHERE kind = ? AND id = ?", (kind, key)).fetchone()
        return json.loads(row[0]) if row else None

    def children(self, kind: str, parent: int | str) -> list[Doc]:
        """In the order in which they were made."""
        sql = "SELECT doc FROM things WHERE kind = ? AND parent = ? ORDER BY rowid"
        with self._lock:
            return [json.loads(row[0]) for row in self._db.execute(sql, (kind, parent)).fetchall()]

    def every(self, kind: str) -> list[Doc]:
        """In the order in which they were made."""
        with self._lock:
            rows = self._db.execute("SELECT doc FROM things WHERE kind = ? ORDER BY rowid", (kind,)).fetchall()
        return [json.loads(row[0]) for row in rows]

    def matching(self, kind: str, field: str, value: str) -> list[Doc]:
        """Those whose ``field`` has this value."""
        sql = "SELECT doc FROM things WHERE kind = ? AND json_extract(doc, ?) = ? ORDER BY rowid"
        with self._lock:
            rows = self._db.execute(sql, (kind, f"$.{field}", value)).fetchall()
        return [json.loads(row[0]) for row in rows]

    def delete(self, kind: str, key: int | str) -> None:
        with self._lock:
            self._db.execute("DELETE FROM things WHERE kind = ? AND id = ?", (kind, key))
