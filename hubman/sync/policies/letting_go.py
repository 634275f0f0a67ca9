"""Free the disk of weights that a remote has: never of the last copy, and never of a file that is not what it was.

What is deleted is looked for on the remote at that moment, object by object, in its right size. A large file must also
have been read whole from there within 90 days, or a person has to agree.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from hubman.sync.session import Session
from registry import changes, clock, places, projection, timestamps
from registry.errors import HubError
from registry.whereabouts import ON_REMOTE

LARGE = 1 << 30
"""Bytes above which that the sizes are right is not believed to be enough."""

PROOF_HOLDS = timedelta(days=90)

Agree = Callable[[str], bool]
"""Asked, with a question, whether to delete what nobody has read whole on the remote for long."""


class LetGo(msgspec.Struct, frozen=True):
    """``files`` whose ``bytes`` are free now, and a line for each that stays, and why."""

    files: int = 0
    bytes: int = 0
    problems: tuple[str, ...] = ()


def _refuse(_question: str) -> bool:
    return False


def let_go(session: Session, wanted: Iterable[str], *, by_hand: bool = False, agree: Agree = _refuse) -> LetGo:
    """Delete the files of these SHA-256s on this machine, where all of them is on the remote.

    By itself sync lets go only of what it brought and what lies in one place; ``by_hand`` it is any file here, and no
    policy brings it back. Raises :class:`hubman.sync.storages.storage.StorageError` when the remote can't be asked.
    """
    files = size = 0
    problems: list[str] = []
    for sha256 in wanted:
        session.stop_if_asked()
        try:
            freed = _let_one_go(session, sha256, by_hand=by_hand, agree=agree)
        except _StaysError as error:
            problems.append(str(error))
            continue
        files, size = files + (freed > 0), size + freed
    return LetGo(files, size, tuple(problems))


class _StaysError(HubError):
    """A file that is not deleted."""


def _let_one_go(session: Session, sha256: str, *, by_hand: bool, agree: Agree) -> int:
    db = session.db
    row = db.execute("SELECT name, size FROM files WHERE sha256 = ?", (sha256,)).fetchone()
    here = _places(db, sha256)
    if row is None or not here:
        return 0
    if not by_hand and (len(here) > 1 or not _is_fetched(db, sha256)):
        return 0
    paths = [_checked(place, row["size"]) for place in here]
    if session.is_marked(sha256):
        why = f"{row['name']} is written down as garbage on {session.remote.name}, so it stays here"
        raise _StaysError(why, f"sync, and hubman remote gc {session.remote.name} --apply when a month is over")
    _need_copy(session, sha256, row["name"], row["size"])
    if row["size"] > LARGE and not _is_proved(session, sha256):
        why = f"nobody read {row['name']} whole on {session.remote.name} for {PROOF_HOLDS.days} days"
        if not agree(f"{why}; delete it here all the same?"):
            raise _StaysError(f"{why}, so it stays", f"hubman remote check {session.remote.name} --read-data")
    _delete(session, sha256, row["size"], here, paths, by_hand=by_hand)
    return int(row["size"])


def _places(db: sqlite3.Connection, sha256: str) -> list[places.Known]:
    rows = db.execute("SELECT path FROM places WHERE sha256 = ? AND state <> 'missing' ORDER BY path", (sha256,))
    found = (places.known_at(db, row[0]) for row in rows.fetchall())
    return [place for place in found if place is not None]


def _is_fetched(db: sqlite3.Connection, sha256: str) -> bool:
    return db.execute("SELECT 1 FROM fetched WHERE sha256 = ?", (sha256,)).fetchone() is not None


def _checked(place: places.Known, size: int) -> Path:
    """The file, if it is still the one that was hashed. Raises :class:`_StaysError`."""
    path = Path(place.path)
    try:
        found = path.lstat()
    except OSError as error:
        raise _StaysError(f"{path} can't be looked at ({error.strerror})", "is its drive there?") from error
    if not stat.S_ISREG(found.st_mode):
        raise _StaysError(f"{path} is a link, whose removal would free nothing", "remove what it leads to")
    if (found.st_size, found.st_mtime_ns) != (size, place.mtime_ns):
        raise _StaysError(f"{path} has changed since it was scanned", "hubman scan")
    return path


def _need_copy(session: Session, sha256: str, name: str, size: int) -> None:
    for stored in session.objects(sha256, size):
        found = session.storage.size(stored.key)
        if found != stored.stored:
            what = "is not" if found is None else "has the wrong size"
            raise _StaysError(f"{name} {what} on {session.remote.name}, so it stays here", "sync first")


def _is_proved(session: Session, sha256: str) -> bool:
    """Whether its bytes on this remote were read and found right not long ago: when they came from there, or by a check."""
    since = timestamps.of(datetime.now(UTC) - PROOF_HOLDS)
    sql = (
        "SELECT 1 FROM fetched WHERE sha256 = :sha256 AND remote = :repo AND at >= :since UNION ALL "
        "SELECT 1 FROM proved WHERE remote = :repo AND key = 'blob/' || :sha256 AND proved_at >= :since"
    )
    asked = {"sha256": sha256, "repo": session.repo, "since": since}
    return session.db.execute(sql, asked).fetchone() is not None


def _delete(
    session: Session, sha256: str, size: int, here: Sequence[places.Known], paths: Sequence[Path], *, by_hand: bool
) -> None:
    """Killed on the way, the registry still says that the file is here, and the next scan finds it missing."""
    now = timestamps.now()
    with session.registry.transaction() as db:
        for place, path in zip(here, paths, strict=True):
            # Asking the remote took its time, and a training may have written the next file here.
            _checked(place, size)
            try:
                os.unlink(path)  # noqa: PTH108 - never follows a link
            except OSError as error:
                raise _StaysError(f"{path} can't be deleted ({error.strerror})", "check its permissions") from error
            places.forget(db, place.path)
        db.execute("DELETE FROM fetched WHERE sha256 = ?", (sha256,))
        if by_hand:
            db.execute("INSERT OR REPLACE INTO dropped VALUES (?, ?)", (sha256, now))
        db.execute(
            "INSERT OR REPLACE INTO remote_blobs (remote, sha256, size, checked_at) VALUES (?, ?, ?, ?)",
            (session.repo, sha256, size, now),
        )
        changes.record(db, [["have", clock.device_id(db), sha256, ON_REMOTE, clock.tick(db)]])
        versions = db.execute("SELECT version_id FROM files WHERE sha256 = ?", (sha256,)).fetchall()
        projection.rebuild(db, [row[0] for row in versions])
