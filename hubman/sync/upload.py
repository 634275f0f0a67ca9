"""Send files and pictures, each under the hash of its content, large ones in parts that are never sent twice."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from hubman.sync import layout, queue
from hubman.sync.policy import of_device
from hubman.sync.session import Session
from hubman.sync.storage import PIECE
from registry import blobs, timestamps
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


def upload(session: Session) -> Uploaded:
    """Send the blobs that wait. One that has gone or changed is told and left; a remote that fails raises."""
    sends_weights = of_device(session.db, session.device).upload == "yes"
    waiting = queue.due(session.db, session.repo, "up", everything=session.deep)
    count = sent = 0
    problems: list[str] = []
    for number, wanted in enumerate(waiting):
        session.stop_if_asked()
        if (wanted.kind == "weights" and not sends_weights) or _is_there(session, wanted.sha256):
            _settle(session, wanted.sha256)
            continue
        try:
            source = _source(session.registry, wanted)
            if source is None:
                # Not on this machine: whoever has it sends it, and it waits again when it turns up here.
                _settle(session, wanted.sha256)
                continue
            session.tell("upload", number, len(waiting), "files", source.path.name)
            length = _put(session, wanted.sha256, source)
        except DamagedFileError as error:
            with session.registry.transaction():
                queue.later(session.db, session.repo, "up", wanted.sha256, error.message)
            problems.append(str(error))
            continue
        _settle(session, wanted.sha256, source.size)
        count += length > 0
        sent += length
    return Uploaded(count, sent, tuple(problems))


def _is_there(session: Session, sha256: str) -> bool:
    row = session.db.execute(
        "SELECT checked_at FROM remote_blobs WHERE remote = ? AND sha256 = ?", (session.repo, sha256)
    ).fetchone()
    is_known = row is not None and datetime.now(UTC) - timestamps.parse(row[0]) < _BELIEVED
    return is_known and not session.is_marked(sha256)


def _settle(session: Session, sha256: str, size: int | None = None) -> None:
    """Nothing more to send; with a size, because all of it is on the remote."""
    with session.registry.transaction() as db:
        queue.done(db, session.repo, "up", sha256)
        if size is not None:
            row = (session.repo, sha256, size, timestamps.now())
            db.execute(
                "INSERT OR REPLACE INTO remote_blobs (remote, sha256, size, checked_at) VALUES (?, ?, ?, ?)", row
            )


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
        "SELECT path, size, mtime_ns FROM places WHERE sha256 = ? AND state IN ('present', 'offline') ORDER BY path",
        (wanted.sha256,),
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


def _put(session: Session, sha256: str, source: _Source) -> int:
    """Send what of the blob is not there in its right size; returns the bytes sent."""
    objects = session.objects(sha256, source.size)
    missing = [one for one in objects if session.storage.size(one.key) != one.stored or session.is_marked(sha256)]
    reader = _Reader(session, source, sha256 if len(missing) == len(objects) else None)
    sent = 0
    for one in missing:
        pieces = session.codec.seal_stream(reader.pieces(one.start, one.length), one.length)
        try:
            session.storage.put_stream(one.key, pieces, one.stored)
        except DamagedFileError:
            for other in missing:
                if other.start < one.start:
                    session.storage.delete(other.key)
            raise
        sent += one.length
        session.tell("upload", one.start + one.length, source.size, "B", source.path.name)
    return sent


class _Reader:
    """Reads a file that should still be what it was; ``sha256`` is given when all of it will be read in order."""

    def __init__(self, session: Session, source: _Source, sha256: str | None) -> None:
        self._session, self._source, self._sha256 = session, source, sha256
        self._digest = hashlib.sha256()

    def pieces(self, start: int, length: int) -> Iterator[bytes]:
        """``length`` bytes from ``start``. Raises :class:`DamagedFileError` at the end if they can't be right."""
        path, left = self._source.path, length
        try:
            with path.open("rb") as file:
                file.seek(start)
                while left and (piece := file.read(min(PIECE, left))):
                    self._session.stop_if_asked()
                    self._digest.update(piece)
                    left -= len(piece)
                    yield piece
        except OSError as error:
            raise DamagedFileError(f"{path} can't be read ({error.strerror})", "hubman scan") from error
        is_end = start + length == self._source.size
        is_other = is_end and self._sha256 is not None and self._digest.hexdigest() != self._sha256
        if left or is_other or not _is_unchanged(self._source):
            raise DamagedFileError(f"{path} changed while it was sent", "hubman scan")
