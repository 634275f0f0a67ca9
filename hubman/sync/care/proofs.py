"""Read bytes and find them right, and remember when: a hundredth a day is everything in a hundred days."""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, cast

import msgspec

from hubman.sync.care.survey import Survey
from hubman.sync.records.layout import PICTURE_CAP, UnreadableError, is_content
from hubman.sync.secrecy.codec import BlobObject
from hubman.sync.session import Session
from hubman.sync.storages.storage import PIECE
from registry import timestamps
from registry.errors import UsageError

_AT_ONCE = 256
_SHARE = re.compile(r"(\d{1,3}(?:\.\d+)?)%")
_AGE = re.compile(r"(?:older-than[ =:]?)?(\d{1,5})([hdw])")
_HOURS = {"h": 1, "d": 24, "w": 168}


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """Which blobs to read: this share of all (in percent), those first that were not read for longest; or all of an age."""

    share: float = 100.0
    older_than: timedelta = timedelta(0)


def parse(text: str) -> Ask:
    """``5%``, or ``older-than 30d`` (also ``12h``, ``4w``); nothing means all. Raises :class:`UsageError`."""
    words = text.strip().lower()
    if not words:
        return Ask()
    if (found := _SHARE.fullmatch(words)) and 0 < float(found[1]) <= 100:
        return Ask(share=float(found[1]))
    if found := _AGE.fullmatch(words):
        return Ask(older_than=timedelta(hours=int(found[1]) * _HOURS[found[2]]))
    raise UsageError(
        f"{text.strip()!r} says neither a share nor an age", "--read-data 1% or --read-data older-than 30d"
    )


class Ledger:
    """What was proved on one remote, written down in portions and at the end, also where that is an exception."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._rows: list[tuple[str, str, int, str]] = []

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._write()

    def proved_at(self, key: str, size: int) -> str | None:
        """When an object of this size was read and right; None where that was never."""
        row = self._session.db.execute(
            "SELECT proved_at FROM proved WHERE remote = ? AND key = ? AND size = ?", (self._session.repo, key, size)
        ).fetchone()
        return row[0] if row else None

    def note(self, key: str, size: int) -> None:
        self._rows.append((self._session.repo, key, size, timestamps.now()))
        if len(self._rows) >= _AT_ONCE:
            self._write()

    def forget(self, key: str) -> None:
        with self._session.registry.transaction() as db:
            db.execute("DELETE FROM proved WHERE remote = ? AND key = ?", (self._session.repo, key))

    def _write(self) -> None:
        with self._session.registry.transaction() as db:
            db.executemany("INSERT OR REPLACE INTO proved VALUES (?, ?, ?, ?)", self._rows)
        self._rows = []


def blob_name(sha256: str) -> str:
    """How the ledger calls a blob, whatever it is stored as."""
    return f"blob/{sha256}"


def wrong_ones(session: Session, survey: Survey, ask: Ask) -> Iterator[tuple[str, str]]:
    """Read the whole blobs of ``survey`` that ``ask`` means; (SHA-256, name) of each that holds other bytes."""
    chosen = _chosen(survey, ask)
    total = sum(row["size"] for row in chosen)
    done = 0
    with Ledger(session) as ledger:
        for row in chosen:
            session.stop_if_asked()
            session.tell("prove", done, total, "B", row["name"])
            is_good = is_right_picture if row["is_picture"] else is_right
            if is_good(session, row["sha256"], row["size"]):
                ledger.note(blob_name(row["sha256"]), row["size"])
            else:
                ledger.forget(blob_name(row["sha256"]))
                yield row["sha256"], row["name"]
            done += row["size"]


def _chosen(survey: Survey, ask: Ask) -> list[Any]:
    (count,) = survey.db.execute("SELECT count(*) FROM blobs").fetchone()
    before = timestamps.of(datetime.now(UTC) - ask.older_than)
    return survey.db.execute(
        "SELECT * FROM blobs WHERE proved_at IS NULL OR proved_at <= ? "
        "ORDER BY coalesce(proved_at, ''), sha256 LIMIT ?",
        (before, -int(-count * ask.share // 100)),
    ).fetchall()


def is_right(session: Session, sha256: str, size: int) -> bool:
    """Whether the remote's bytes of a blob are its content. Raises :class:`StorageError` when they can't be read."""
    digest = _Digest()
    try:
        for one in session.objects(sha256, size):
            if session.codec.is_plain:
                for piece in _pieces(session, one):
                    digest.write(piece)
            else:
                _open(session, one, digest)
    except UnreadableError:
        return False
    return digest.length == size and digest.hexdigest() == sha256


def is_right_picture(session: Session, sha256: str, stored: int) -> bool:
    """The same for a picture, of which only the length of its object is known."""
    (one,) = session.objects(sha256, 0)
    try:
        fetched = session.storage.get(one.key, session.codec.cap(PICTURE_CAP))
        data = session.codec.open_blob(fetched.data, PICTURE_CAP) if fetched else b""
    except UnreadableError:
        return False
    return fetched is not None and len(fetched.data) == stored and is_content(sha256, data)


class _Digest:
    """A file that only hashes what is written to it."""

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()
        self.length = 0

    def write(self, data: bytes | memoryview) -> int:
        self._sha256.update(data)
        self.length += len(data)
        return len(data)

    def hexdigest(self) -> str:
        return self._sha256.hexdigest()


def _open(session: Session, one: BlobObject, digest: _Digest) -> None:
    with tempfile.TemporaryDirectory(prefix="hubman-", dir=session.registry.home) as folder:
        path = Path(folder) / "sealed"
        with path.open("wb") as file:
            for piece in _pieces(session, one):
                file.write(piece)
        session.codec.open_file(path, cast("Any", digest))


def _pieces(session: Session, one: BlobObject) -> Iterator[bytes | memoryview]:
    """The stored bytes in order, several requests at once where the place likes that."""
    storage = session.storage
    starts = iter(range(0, one.stored, PIECE))
    with ThreadPoolExecutor(storage.concurrency) as pool:
        while window := list(islice(starts, storage.concurrency)):
            session.stop_if_asked()
            yield from pool.map(
                lambda start: storage.read_range(one.key, start, min(PIECE, one.stored - start)), window
            )
