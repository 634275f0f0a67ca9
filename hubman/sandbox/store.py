"""What the sandbox knows, in one SQLite file: documents by kind and id, with the parent they belong to."""

from __future__ import annotations

import contextlib
import itertools
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

Doc: TypeAlias = dict[str, Any]

_TABLES = """
CREATE TABLE IF NOT EXISTS things (
    kind TEXT NOT NULL, id NOT NULL, parent, state TEXT, doc TEXT NOT NULL, PRIMARY KEY (kind, id));
CREATE TABLE IF NOT EXISTS counters (kind TEXT PRIMARY KEY, value INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS stale (kind TEXT NOT NULL, id INTEGER NOT NULL, PRIMARY KEY (kind, id)) WITHOUT ROWID;
"""
_INDEXES = """
CREATE INDEX IF NOT EXISTS things_parent ON things (kind, parent);
CREATE INDEX IF NOT EXISTS things_state ON things (kind, state) WHERE state IS NOT NULL;
"""
# Each kind counts from its own round number, so that a mixed-up id shows at a glance.
_FIRST_ID = {"model": 900_000, "version": 910_000, "file": 920_000, "post": 930_000, "image": 940_000, "tag": 950_000}
# What a kind's state is, by which things that wait for something are found.
_STATE = {"model": "status", "version": "status", "file": "virusScanResult", "image": "ingestion"}
# Whose entry in the index is out of date when a thing of a kind was written: a kind, and where its id stands.
_OUTDATES = {
    "model": ("model", "id"), "version": ("model", "modelId"), "file": ("version", "modelVersionId"),
    "post": ("post", "id"), "image": ("post", "postId"),
}  # fmt: skip
_PUT = """INSERT INTO things (kind, id, parent, state, doc) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET doc = excluded.doc, state = excluded.state, parent = coalesce(excluded.parent, parent)"""
_STALE = "INSERT OR IGNORE INTO stale VALUES (?, ?)"
_BATCH = 500


class Store:
    """Documents in SQLite, safe to use from any thread: one transaction at a time."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._lock = threading.RLock()
        # A rehearsal may be lost when the power fails; a test need not wait for the disk.
        self._db.execute("PRAGMA synchronous = OFF")
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.executescript(_TABLES)
        with self.transaction():
            self._add_states()
        self._db.executescript(_INDEXES)

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

    def sql(self, statement: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Run one statement on the tables beside the documents, such as the index of :mod:`hubman.sandbox.index`."""
        with self._lock:
            return self._db.execute(statement, values).fetchall()

    def sql_many(self, statement: str, rows: Iterable[Sequence[object]]) -> None:
        with self._lock:
            self._db.executemany(statement, rows)

    def next_id(self, kind: str) -> int:
        start = _FIRST_ID.get(kind, 0) + 1
        sql = "INSERT INTO counters VALUES (?, ?) ON CONFLICT DO UPDATE SET value = value + 1 RETURNING value"
        with self._lock:
            return int(self._db.execute(sql, (kind, start)).fetchone()[0])

    def put(self, kind: str, doc: Doc, *, parent: int | str | None = None) -> Doc:
        """Insert or replace the document under its ``id``; ``parent`` keeps its value when not given."""
        with self._lock:
            self._db.execute(_PUT, _row(kind, doc, parent))
            if outdated := _outdated(kind, doc):
                self._db.execute(_STALE, outdated)
        return doc

    def put_many(self, kind: str, docs: Sequence[Doc], parents: Sequence[int | None]) -> None:
        """As :meth:`put` for each of ``docs``, fast."""
        with self.transaction():
            self._db.executemany(_PUT, map(_row, itertools.repeat(kind), docs, parents))
            self._db.executemany(_STALE, filter(None, (_outdated(kind, doc) for doc in docs)))

    def get(self, kind: str, key: int | str) -> Doc | None:
        with self._lock:
            row = self._db.execute("SELECT doc FROM things WHERE kind = ? AND id = ?", (kind, key)).fetchone()
        return _read(row[0]) if row else None

    def get_many(self, kind: str, keys: Sequence[int]) -> dict[int, Doc]:
        """Those of ``keys`` that exist."""
        return {int(doc["id"]): doc for _parent, doc in self._among(kind, "id", keys)}

    def children(self, kind: str, parent: int | str) -> list[Doc]:
        """In the order in which they were made."""
        sql = "SELECT doc FROM things WHERE kind = ? AND parent = ? ORDER BY rowid"
        with self._lock:
            return [_read(row[0]) for row in self._db.execute(sql, (kind, parent)).fetchall()]

    def children_of(self, kind: str, parents: Sequence[int]) -> dict[int, list[Doc]]:
        """The children of each of ``parents``, in the order in which they were made."""
        found: dict[int, list[Doc]] = {parent: [] for parent in parents}
        for parent, doc in self._among(kind, "parent", parents):
            found[parent].append(doc)
        return found

    def _among(self, kind: str, column: str, keys: Sequence[int]) -> Iterator[tuple[int, Doc]]:
        for start in range(0, len(keys), _BATCH):
            batch = keys[start : start + _BATCH]
            marks = ",".join("?" * len(batch))
            sql = f"SELECT parent, doc FROM things WHERE kind = ? AND {column} IN ({marks}) ORDER BY rowid"  # noqa: S608
            for parent, text in self.sql(sql, (kind, *batch)):
                yield parent, _read(text)

    def every(self, kind: str) -> list[Doc]:
        """In the order in which they were made."""
        with self._lock:
            rows = self._db.execute("SELECT doc FROM things WHERE kind = ? ORDER BY rowid", (kind,)).fetchall()
        return [_read(row[0]) for row in rows]

    def newest(self, kind: str, most: int) -> list[Doc]:
        """The last ``most`` that were made, the newest first."""
        sql = "SELECT doc FROM things WHERE kind = ? ORDER BY rowid DESC LIMIT ?"
        return [_read(row[0]) for row in self.sql(sql, (kind, most))]

    def count(self, kind: str) -> int:
        return int(self.sql("SELECT count(*) FROM things WHERE kind = ?", (kind,))[0][0])

    def in_state(self, kind: str, state: str) -> list[Doc]:
        """Those whose status, scan or ingestion is ``state``."""
        sql = "SELECT doc FROM things WHERE kind = ? AND state = ? ORDER BY rowid"
        with self._lock:
            return [_read(row[0]) for row in self._db.execute(sql, (kind, state)).fetchall()]

    def delete(self, kind: str, key: int | str) -> None:
        with self.transaction():
            doc = self.get(kind, key)
            self._db.execute("DELETE FROM things WHERE kind = ? AND id = ?", (kind, key))
            if doc and (outdated := _outdated(kind, doc)):
                self._db.execute(_STALE, outdated)
            if doc and kind == "post" and doc["modelVersionId"]:
                self._db.execute(_STALE, ("version", doc["modelVersionId"]))

    def delete_range(self, kind: str, first: int, end: int) -> None:
        """Everything of ``kind`` with an id from ``first`` to before ``end``, with its entries in the index."""
        within = "kind = ? AND typeof(id) = 'integer' AND id >= ? AND id < ?"
        with self.transaction():
            if kind in {"model", "post"}:
                stale = f"INSERT OR IGNORE INTO stale SELECT kind, id FROM things WHERE {within}"  # noqa: S608
                self._db.execute(stale, (kind, first, end))
            self._db.execute(f"DELETE FROM things WHERE {within}", (kind, first, end))  # noqa: S608

    def _add_states(self) -> None:
        """Bring a file of before states and the index up to date."""
        if any(row[1] == "state" for row in self._db.execute("PRAGMA table_info(things)")):
            return
        self._db.execute("ALTER TABLE things ADD COLUMN state TEXT")
        rows = self._db.execute("SELECT kind, doc, parent FROM things").fetchall()
        for kind, text, parent in rows:
            self.put(kind, _read(text), parent=parent)


def _row(kind: str, doc: Doc, parent: int | str | None) -> tuple[object, ...]:
    text = msgspec.json.encode(doc, enc_hook=str).decode()
    return kind, doc["id"], parent, doc.get(_STATE.get(kind, "")), text


def _outdated(kind: str, doc: Doc) -> tuple[str, int] | None:
    if kind not in _OUTDATES:
        return None
    of, key = _OUTDATES[kind]
    return (of, doc[key]) if doc.get(key) else None


def _read(text: str) -> Doc:
    doc: Doc = msgspec.json.decode(text)
    return doc
