"""Copy a remote object by object to another place, each verified while it passes, and go on where that was left."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby, islice

import msgspec

from hubman.sync.records import layout
from hubman.sync.session import Session
from hubman.sync.storages.storage import PIECE, Storage
from registry.errors import DamagedFileError, HubError

_RANK = {"blob": 0, "heads": 2, "hub.json": 3}
"""What is copied when: blobs, then what speaks of them, then heads; ``hub.json`` last makes the place a remote."""


class Copied(msgspec.Struct, frozen=True, kw_only=True):
    """What went over; ``left`` are objects whose bytes were wrong, which stay where they are."""

    objects: int = 0
    bytes: int = 0
    left: tuple[str, ...] = ()


class Copier:
    """Copies from the place of ``session`` to ``target``. Close it when done."""

    def __init__(self, session: Session, target: Storage) -> None:
        self._session = session
        self._from, self._to = session.storage, target
        self._db = sqlite3.connect("", isolation_level=None)
        self._db.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;")
        for table in ("here", "there"):
            self._db.execute(f"CREATE TABLE {table} (rank INTEGER, key TEXT, size INTEGER, PRIMARY KEY (rank, key))")

    def close(self) -> None:
        self._db.close()

    def strange(self) -> str | None:
        """A name at the target that is nothing of this remote: such a place is not written to."""
        self._list()
        sql = "SELECT key FROM there WHERE rank < 3 AND key NOT IN (SELECT key FROM here) ORDER BY key LIMIT 1"
        row = self._db.execute(sql).fetchone()
        return row[0] if row else None

    def copy(self, *, with_heads: bool) -> Copied:
        """Copy what the target lacks; ``with_heads`` also all heads, which it may have older."""
        self._list()
        sql = (
            "SELECT here.key, here.size FROM here LEFT JOIN there USING (rank, key) "
            "WHERE rank < 2 AND there.size IS NOT here.size OR rank = 2 AND ? ORDER BY rank, key"
        )
        (total,) = self._db.execute(f"SELECT coalesce(sum(size), 0) FROM ({sql})", (with_heads,)).fetchone()  # noqa: S608 - ours
        rows = self._db.execute(sql, (with_heads,)).fetchall()
        objects = size = 0
        left: list[str] = []
        with ThreadPoolExecutor(self._to.concurrency) as pool:
            # What speaks of something goes over when that has arrived.
            for _, group in groupby(rows, key=lambda row: _RANK.get(row[0].split("/")[0], 1)):
                while window := list(islice(group, self._to.concurrency)):
                    self._session.stop_if_asked()
                    for (key, length), is_copied in zip(window, pool.map(self._one, window), strict=True):
                        objects += is_copied
                        size += length
                        left += [] if is_copied else [key]
                    self._session.tell("copy", size, total, "B")
        return Copied(objects=objects, bytes=size, left=tuple(left))

    def _one(self, row: tuple[str, int]) -> bool:
        """Copy one object; False where its bytes are wrong."""
        key, length = row
        try:
            self._to.put_stream(key, self._verified(key, length), length)
        except DamagedFileError:
            return False
        return True

    def _list(self) -> None:
        for table, storage in (("here", self._from), ("there", self._to)):
            self._db.execute("BEGIN")
            self._db.execute(f"DELETE FROM {table}")  # noqa: S608 - one of two
            for entry in storage.entries(""):
                first = entry.key.split("/")[0]
                if layout.is_known(entry.key) and first != "probe":
                    row = (_RANK.get(first, 1), entry.key, entry.size)
                    self._db.execute(f"INSERT OR REPLACE INTO {table} VALUES (?, ?, ?)", row)  # noqa: S608 - of two names
            self._db.execute("COMMIT")

    def _verified(self, key: str, length: int) -> Iterator[bytes]:
        """The object's bytes. Raises :class:`DamagedFileError` before the end where they are not what its name says."""
        digest = hashlib.sha256()
        if length == 0 and self._is_right(key, digest.hexdigest()):
            return
        for start in range(0, length, PIECE):
            self._session.stop_if_asked()
            piece = bytes(self._from.read_range(key, start, min(PIECE, length - start)))
            digest.update(piece)
            is_end = start + len(piece) == length
            if len(piece) < min(PIECE, length - start) or (is_end and not self._is_right(key, digest.hexdigest())):
                break
            yield piece
            if is_end:
                return
        raise DamagedFileError(f"{key} is damaged on the remote", "hubman remote check --repair")

    def _is_right(self, key: str, digest: str) -> bool:
        name = key.rpartition("/")[2]
        if key.startswith(("log/", "snap/", "gc/")):
            return name.endswith("-" + digest[:32])
        if key.startswith(layout.BLOBS) and self._session.codec.is_plain and ".p/" not in key:
            return name == digest
        # A part, or a sealed blob: its whole file proves it, which a check of the data does.
        return True


def need_whole(copied: Copied) -> None:
    """Raises :class:`HubError` where something could not be copied."""
    if copied.left:
        more = f" and {len(copied.left) - 1} more" if len(copied.left) > 1 else ""
        raise HubError(
            f"{copied.left[0]}{more} are damaged on the remote and were not copied",
            "hubman remote check NAME --read-data --repair, then migrate again: it goes on",
        )
