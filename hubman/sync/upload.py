"""Send files and pictures, each under the hash of its content, large ones in parts that are never sent twice."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from hubman.progress import Progress, Report
from hubman.sync import layout, queue
from hubman.sync.policy import of_device
from hubman.sync.remote import Remote
from hubman.sync.storage import PIECE, Storage
from registry import blobs, clock, timestamps
from registry.database import Registry
from registry.errors import DamagedFileError

_BELIEVED = timedelta(days=7)
"""How long a blob that was seen on the remote is believed to be there still."""


class Uploaded(msgspec.Struct, frozen=True):
    """What went up, and a line for each blob that could not."""

    blobs: int = 0
    bytes: int = 0
    problems: tuple[str, ...] = ()


class _Source(msgspec.Struct, frozen=True):
    """A local file as it was when its hash was taken; ``mtime_ns`` is None where the name itself is the hash."""

    path: Path
    size: int
    mtime_ns: int | None = None


def upload(
    registry: Registry, remote: Remote, storage: Storage, *, everything: bool, report: Report, stop: Callable[[], None]
) -> Uploaded:
    """Send the blobs that wait. One that has gone or changed is told and left; a remote that fails raises."""
    db = registry.db
    sends_weights = of_device(db, clock.device_id(db)).upload == "yes"
    waiting = queue.due(db, remote.repo, "up", everything=everything)
    count = sent = 0
    problems: list[str] = []
    for number, wanted in enumerate(waiting):
        stop()
        if (wanted.kind == "weights" and not sends_weights) or _is_there(db, remote, wanted.sha256):
            _settle(registry, remote, wanted.sha256)
            continue
        try:
            source = _source(registry, wanted)
            if source is None:
                # Not on this machine: whoever has it sends it, and it waits again when it turns up here.
                _settle(registry, remote, wanted.sha256)
                continue
            report(Progress(stage="upload", done=number, total=len(waiting), unit="files", message=source.path.name))
            length = _put(storage, remote, wanted.sha256, source, report, stop)
        except DamagedFileError as error:
            with registry.transaction():
                queue.later(db, remote.repo, "up", wanted.sha256, error.message)
            problems.append(str(error))
            continue
        _settle(registry, remote, wanted.sha256, source.size)
        count += length > 0
        sent += length
    return Uploaded(count, sent, tuple(problems))


def _is_there(db: sqlite3.Connection, remote: Remote, sha256: str) -> bool:
    row = db.execute(
        "SELECT checked_at FROM remote_blobs WHERE remote = ? AND sha256 = ?", (remote.repo, sha256)
    ).fetchone()
    return row is not None and datetime.now(UTC) - timestamps.parse(row[0]) < _BELIEVED


def _settle(registry: Registry, remote: Remote, sha256: str, size: int | None = None) -> None:
    """Nothing more to send; with a size, because all of it is on the remote."""
    with registry.transaction() as db:
        queue.done(db, remote.repo, "up", sha256)
        if size is not None:
            row = (remote.repo, sha256, size, timestamps.now())
            db.execute("INSERT OR REPLACE INTO remote_blobs (remote, sha256, size, checked_at) VALUES (?, ?, ?, ?)", row)


def _source(registry: Registry, wanted: queue.Wanted) -> _Source | None:
    """Where the blob lies here, or None. Raises :class:`DamagedFileError` when only a changed file is there."""
    if wanted.kind == "picture":
        path = blobs.path_of(registry, wanted.sha256)
        if not path.is_file():
            return None
        size = path.stat().st_size
        if size > layout.PICTURE_CAP:
            raise DamagedFileError(f"picture {wanted.sha256[:12]} is larger than 32 MiB", "it stays on this machine")
        return _Source(path, size)
    places = registry.db.execute(
        "SELECT path, size, mtime_ns FROM places WHERE sha256 = ? AND state = 'present' ORDER BY path", (wanted.sha256,)
    ).fetchall()
    sources = [_Source(Path(row["path"]), row["size"], row["mtime_ns"]) for row in places]
    for source in sources:
        if _is_unchanged(source):
            return source
    if sources:
        raise DamagedFileError(f"{sources[0].path} has changed or gone since it was scanned", "hubman scan")
    return None


def _is_unchanged(source: _Source) -> bool:
    try:
        now = source.path.stat()
    except OSError:
        return False
    return now.st_size == source.size and source.mtime_ns in {None, now.st_mtime_ns}


def _put(
    storage: Storage, remote: Remote, sha256: str, source: _Source, report: Report, stop: Callable[[], None]
) -> int:
    """Send what of the blob is not there in its right size; returns the bytes sent."""
    keys = layout.blob_keys(sha256, source.size, remote.part)
    missing = [(key, start, length) for key, start, length in keys if storage.size(key) != length]
    sent = 0
    whole = hashlib.sha256() if len(missing) == len(keys) else None
    for key, start, length in missing:
        pieces = _pieces(source, start, length, whole, sha256 if start + length == source.size else "", stop)
        try:
            storage.put_stream(key, pieces, length)
        except DamagedFileError:
            for other, other_start, _ in missing:
                if other_start < start:
                    storage.delete(other)
            raise
        sent += length
        report(Progress(stage="upload", done=start + length, total=source.size, unit="B", message=source.path.name))
    return sent


def _pieces(
    source: _Source, start: int, length: int, whole: hashlib._Hash | None, expected: str, stop: Callable[[], None]
) -> Iterator[bytes]:
    """The file's bytes; raises before the last one is believed if they are not those that were hashed."""
    try:
        with source.path.open("rb") as file:
            file.seek(start)
            left = length
            while left:
                stop()
                piece = file.read(min(PIECE, left))
                if not piece:
                    break
                if whole is not None:
                    whole.update(piece)
                left -= len(piece)
                yield piece
    except OSError as error:
        raise DamagedFileError(f"{source.path} can't be read ({error.strerror})", "hubman scan") from error
    is_other = expected and whole is not None and whole.hexdigest() != expected
    if left or is_other or not _is_unchanged(source):
        raise DamagedFileError(f"{source.path} changed while it was sent", "hubman scan")
