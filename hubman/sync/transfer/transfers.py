"""The rows that know unfinished downloads: where each lies, and what of it came. A kill leaves nothing unknown."""

from __future__ import annotations

import contextlib
import glob
import re
import sqlite3
import time
from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from registry import timestamps
from registry.database import Registry

_PART = re.compile(r"(.+\.part-[0-9a-f]{8})(-[0-9]{5})?")
_LEFT_OVER_AFTER = timedelta(days=7)
_decode = msgspec.json.Decoder(list[int]).decode


class Transfer(msgspec.Struct, frozen=True):
    """An unfinished download: ``path`` is to have ``size`` bytes; of its ranges of ``tag`` bytes those ``done`` came."""

    key: str
    path: Path
    size: int
    tag: str
    done: list[int]


def key_of(repo: str, sha256: str) -> str:
    return f"sync:{repo}:{sha256}"


def find(registry: Registry, key: str) -> Transfer | None:
    row = registry.db.execute(f"{_SELECT} WHERE id = ?", (key,)).fetchone()
    return _transfer(row) if row else None


def note(registry: Registry, key: str, path: Path, size: int, tag: str, done: Sequence[int] = ()) -> None:
    """Write a row, before its file is made.

    It outlives the process. A power cut may take it along, as it may bytes that it speaks of: only the hash of the
    whole file is believed in the end, and to wait for the disk here would hold up what fills it.
    """
    with _unflushed(registry.db), registry.transaction() as db:
        db.execute(
            "INSERT OR REPLACE INTO transfers (id, kind, source, target, size, done, tag, state, updated_at) "
            "VALUES (?, 'sync', ?, ?, ?, ?, ?, 'running', ?)",
            (key, key, str(path), size, msgspec.json.encode(done).decode(), tag, timestamps.now()),
        )


@contextlib.contextmanager
def _unflushed(db: sqlite3.Connection) -> Iterator[None]:
    if db.in_transaction:
        yield
        return
    db.execute("PRAGMA synchronous = NORMAL")
    try:
        yield
    finally:
        db.execute("PRAGMA synchronous = FULL")


def forget(registry: Registry, key: str) -> None:
    """The download ``key`` is over, and its file has another name or is gone."""
    with registry.transaction() as db:
        db.execute("DELETE FROM transfers WHERE id = ?", (key,))


def drop(registry: Registry, transfer: Transfer) -> None:
    """Give up an unfinished download."""
    remove_files(transfer.path)
    forget(registry, transfer.key)


def remove_files(part: Path) -> None:
    """Delete a part, and the sealed objects that it was to be made of."""
    if is_part(part.name) and part.parent.is_dir():
        for path in [part, *part.parent.glob(f"{glob.escape(part.name)}-[0-9][0-9][0-9][0-9][0-9]")]:
            with contextlib.suppress(OSError):
                path.unlink()


def drop_abandoned(registry: Registry, repo: str, wanted: Collection[str]) -> None:
    """Give up what was begun from a remote over a week ago and is not ``wanted`` (hashes) any more."""
    before = timestamps.of(datetime.now(UTC) - _LEFT_OVER_AFTER)
    sql = f"{_SELECT} WHERE kind = 'sync' AND id LIKE ? AND updated_at < ?"
    for row in registry.db.execute(sql, (key_of(repo, "%"), before)).fetchall():
        if row["id"].rpartition(":")[2] not in wanted:
            drop(registry, _transfer(row))


def remove_leftovers(registry: Registry, folder: Path) -> None:
    """Delete the parts under ``folder`` that no row knows and nobody has touched for a week."""
    known = {row[0] for row in registry.db.execute("SELECT target FROM transfers")}
    for path in folder.rglob("*.part-????????*"):
        found = _PART.fullmatch(path.name)
        if found and str(path.with_name(found[1])) not in known and path.is_file() and not path.is_symlink():
            with contextlib.suppress(OSError):
                if path.stat().st_mtime < time.time() - _LEFT_OVER_AFTER.total_seconds():
                    path.unlink()


def is_part(name: str) -> bool:
    return _PART.fullmatch(name) is not None


_SELECT = "SELECT id, target, size, done, tag FROM transfers"


def _transfer(row: sqlite3.Row) -> Transfer:
    return Transfer(row["id"], Path(row["target"]), row["size"], row["tag"], _decode(row["done"]))
