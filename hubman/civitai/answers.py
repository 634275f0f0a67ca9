"""The last good answer to everything that was read: what is shown while the site can't be reached.

Kept for each site apart, and apart for requests with and without a key. The key itself never gets here: requests are
named by their path and query, and an answer that holds the key or a signed address is not kept.
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
import time
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from hubman.civitai.freshness import lifetime, may_keep
from hubman.civitai.ledger import Ledger

SCHEMA = """
CREATE TABLE IF NOT EXISTS answers (
    name TEXT PRIMARY KEY, body BLOB NOT NULL, etag TEXT NOT NULL, size INTEGER NOT NULL,
    fetched_at REAL NOT NULL, fresh_until REAL NOT NULL, used_at REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS answers_by_use ON answers (used_at, size);
CREATE TABLE IF NOT EXISTS media (name TEXT PRIMARY KEY, size INTEGER NOT NULL, used_at REAL NOT NULL);
CREATE INDEX IF NOT EXISTS media_by_use ON media (used_at, size);
"""
LARGEST_TOTAL = 64 << 20
"""Bytes, packed, of all answers; those that were not used for longest go first."""
_LARGEST = 8 << 20
# Programs ask for many models by number at once; what they learn becomes facts of the library.
_BATCH = re.compile(r"[?&]ids=")
_SIGNED = re.compile(rb"[?&](?:X-Amz-Signature|Signature|sig|token)=", re.IGNORECASE)


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A body as it came; ``is_fresh`` says that asking again would be too early. ``as_of`` is ISO 8601 in UTC."""

    body: bytes
    etag: str = ""
    as_of: str = ""
    is_fresh: bool = False


def cache_path(home: Path) -> Path:
    return home / "civitai" / "cache.db"


class NoAnswers:
    """The cache of a client that keeps nothing."""

    def find(self, request: str) -> Answer | None:
        del request
        return None

    def keep(self, request: str, body: bytes, *, etag: str = "", cache_control: str = "") -> None:
        """Write an answer down."""

    def confirm(self, request: str, *, cache_control: str = "") -> None:
        """The site says (304) that the answer is still the same."""

    def expire(self) -> None:
        """Something was changed: ask again before believing any answer."""


class Answers(NoAnswers):
    """Answers of ``site`` in ``ledger``. ``trusts_age`` false means that none counts as fresh, only as last good."""

    def __init__(
        self,
        ledger: Ledger,
        site: str,
        *,
        secret: str = "",
        trusts_age: bool = True,
        clock: Callable[[], float] = time.time,
        largest_total: int = LARGEST_TOTAL,
    ) -> None:
        self._ledger, self._site, self._secret = ledger, site, secret
        self._trusts_age, self._clock, self._largest_total = trusts_age, clock, largest_total

    def find(self, request: str) -> Answer | None:
        if _BATCH.search(request):
            return None
        now = self._clock()
        try:
            with self._ledger.transaction() as db:
                row = db.execute(
                    "UPDATE answers SET used_at = ? WHERE name = ? RETURNING body, etag, fetched_at, fresh_until",
                    (now, self._name(request)),
                ).fetchone()
            body = zlib.decompress(row[0]) if row else b""
        except (sqlite3.Error, zlib.error):
            return None
        if row is None:
            return None
        _, etag, fetched_at, fresh_until = row
        # An age below nothing is a clock that was set back.
        is_fresh = self._trusts_age and fetched_at <= now < fresh_until
        return Answer(body=body, etag=etag, as_of=_iso(fetched_at), is_fresh=is_fresh)

    def keep(self, request: str, body: bytes, *, etag: str = "", cache_control: str = "") -> None:
        if _BATCH.search(request) or not may_keep(cache_control) or len(body) > _LARGEST or self._is_secret(body):
            return
        now, packed = self._clock(), zlib.compress(body)
        # A tag that can't be sent back is none.
        tag = etag if etag.isascii() and etag.isprintable() else ""
        row = (self._name(request), packed, tag, len(packed), now, now + lifetime(cache_control), now)
        # A disk that is full only means that the answer is not kept.
        with contextlib.suppress(sqlite3.Error), self._ledger.transaction() as db:
            db.execute("INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?, ?, ?)", row)
            self._drop_oldest(db)

    def confirm(self, request: str, *, cache_control: str = "") -> None:
        now = self._clock()
        with contextlib.suppress(sqlite3.Error), self._ledger.transaction() as db:
            db.execute(
                "UPDATE answers SET fetched_at = ?, fresh_until = ? WHERE name = ?",
                (now, now + lifetime(cache_control), self._name(request)),
            )

    def expire(self) -> None:
        with contextlib.suppress(sqlite3.Error), self._ledger.transaction() as db:
            db.execute("UPDATE answers SET fresh_until = 0 WHERE substr(name, 1, ?) = ?", (len(self._site), self._site))

    def _name(self, request: str) -> str:
        return f"{self._site} {'key' if self._secret else 'open'} {request}"

    def _is_secret(self, body: bytes) -> bool:
        return bool(_SIGNED.search(body)) or bool(self._secret and self._secret.encode() in body)

    def _drop_oldest(self, db: sqlite3.Connection) -> None:
        (total,) = db.execute("SELECT coalesce(sum(size), 0) FROM answers").fetchone()
        if total <= self._largest_total:
            return
        rows = db.execute("SELECT rowid, size FROM answers ORDER BY used_at").fetchall()
        for rowid, size in rows:
            # A little more than needed, so that not every answer has to make room for itself.
            if total <= self._largest_total * 0.9:
                break
            db.execute("DELETE FROM answers WHERE rowid = ?", (rowid,))
            total -= size


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds")
