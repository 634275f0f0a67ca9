"""Files that hubman writes among other programs' files: each whole or not at all, journalled, and taken back to the byte.

What a file held before stands in the journal before the first one is written, so a process that is killed between two
files leaves an entry that takes back those that it wrote.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
import stat
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from registry import ids, journal
from registry.database import Registry
from registry.errors import HubError
from registry.journal import Entry

Write = tuple[str, bytes | None]
"""A path and what it shall hold; None removes the file."""

MAX_BYTES = 8 << 20


def carry_out(
    registry: Registry,
    verb: str,
    label: str,
    models: Sequence[str],
    writes: Sequence[Write],
    undoes: Entry | None = None,
) -> Entry:
    """Write all files, as one entry of the journal. Raises :class:`HubError`, with every file as it was, if one can't be."""
    before = [(path, content_of(path)) for path, _ in writes]
    with registry.transaction() as db:
        entry = journal.note(registry, verb, label, models, undoes=undoes)
        rows = [
            (entry.id, number, path, None if old is None else zlib.compress(old), None if new is None else _digest(new))
            for number, ((path, new), (_, old)) in enumerate(zip(writes, before, strict=True))
        ]
        db.executemany("INSERT INTO journal_writes VALUES (?, ?, ?, ?, ?)", rows)
    done: list[Write] = []
    try:
        for (path, new), old in zip(writes, before, strict=True):
            put(path, new)
            done.append(old)
    except OSError as error:
        for path, content in reversed(done):
            with contextlib.suppress(OSError):
                put(path, content)
        _forget(registry, entry, undoes)
        raise HubError(f"{path} can't be written ({error.strerror})", "nothing was changed") from error
    return entry


def _forget(registry: Registry, entry: Entry, undoes: Entry | None) -> None:
    with registry.transaction() as db:
        db.execute("DELETE FROM journal WHERE id = ?", (entry.id,))
        db.execute("DELETE FROM journal_writes WHERE entry = ?", (entry.id,))
        if undoes is not None:
            db.execute("UPDATE journal SET undone_by = NULL WHERE id = ?", (undoes.id,))


def has_writes(db: sqlite3.Connection, number: int) -> bool:
    return db.execute("SELECT 1 FROM journal_writes WHERE entry = ?", (number,)).fetchone() is not None


def paths_of(db: sqlite3.Connection, number: int) -> list[str]:
    """The files that an entry wrote."""
    return [row[0] for row in db.execute("SELECT path FROM journal_writes WHERE entry = ? ORDER BY number", (number,))]


def changed_since(db: sqlite3.Connection, number: int) -> list[str]:
    """The files that an entry wrote and that hold something else now, or can't be read."""
    return [path for path, _, is_ours in _standing(db, number) if not is_ours]


def undo(registry: Registry, entry: Entry, *, force: bool) -> tuple[Entry, list[str]]:
    """(the new entry, the files that were left alone because somebody changed them since).

    Raises :class:`HubError` where that would be all of them.
    """
    standing = list(_standing(registry.db, entry.id))
    wanted = [(path, before) for path, before, is_ours in standing if is_ours or force]
    left = [path for path, _, is_ours in standing if not (is_ours or force)]
    if not wanted:
        hint = f"hubman undo {entry.id} --force takes it back all the same"
        raise HubError(f"{entry.label} can't be taken back ({left[0]} was changed since)", hint)
    return carry_out(registry, "redo" if entry.is_undo else "undo", entry.label, entry.models, wanted, entry), left


def _standing(db: sqlite3.Connection, number: int) -> Iterator[tuple[str, bytes | None, bool]]:
    """(path, what it held before, whether it holds what the entry wrote, or already what it held before)."""
    rows = db.execute("SELECT path, before, after FROM journal_writes WHERE entry = ? ORDER BY number", (number,))
    for path, packed, after in rows.fetchall():
        before = None if packed is None else zlib.decompress(packed)
        try:
            now = content_of(path)
        except HubError:
            yield path, before, False
            continue
        yield path, before, now == before or (None if now is None else _digest(now)) == after


def content_of(path: str) -> bytes | None:
    """The bytes of a file, None if there is none. Raises :class:`HubError` for what is no plain file that can be read."""
    try:
        status = os.lstat(path)
        if not stat.S_ISREG(status.st_mode):
            raise HubError(f"{path} is a link or no file", "only plain files are written")
        if status.st_size > MAX_BYTES:
            raise HubError(f"{path} is larger than {MAX_BYTES >> 20} MiB", "only small files are written")
        return Path(path).read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise HubError(f"{path} can't be read ({error.strerror})", "check its permissions") from error


def put(path: str, content: bytes | None) -> None:
    """Replace a file at once, keeping its permissions; None removes it. Raises :class:`OSError`."""
    target = Path(path)
    if content is None:
        target.unlink(missing_ok=True)
        return
    temporary = target.parent / f".{ids.new_id()}.tmp"
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileNotFoundError):
            temporary.chmod(stat.S_IMODE(target.stat().st_mode))
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
