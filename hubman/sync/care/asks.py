"""Ask the machines that can to mend what this one can't: a set that syncs, and that whoever has done it takes it from.

The set ``needed`` of a remote's own item holds ``<sha256>`` for a blob that is absent, ``spoiled <sha256>`` for one whose
bytes are wrong, and the name of a hole in a log.
"""

from __future__ import annotations

import sqlite3
from itertools import islice
from pathlib import Path

from hubman.sync import queue
from hubman.sync.care import proofs, relog
from hubman.sync.policies import policy
from hubman.sync.queue import Wanted
from hubman.sync.records import snapshots
from hubman.sync.records.incoming import SHA256
from hubman.sync.session import Session
from registry import blobs, changes, here, projection
from registry.hashing import hash_file

NEEDED = "needed"
_ITEM = "remote-"
_SPOILED = "spoiled "
_AT_ONCE = 1_000


def item(repo: str) -> str:
    """The item that a remote itself is, for what is said of it."""
    return _ITEM + repo


def repo_of(item: str) -> str | None:
    """Which remote an item is; None for one that is none."""
    return item.removeprefix(_ITEM) if item.startswith(_ITEM) else None


def asked_for(what: str) -> str:
    """The SHA-256, or the name of a hole in a log, that a member of the set means."""
    return what.removeprefix(_SPOILED)


def waiting(db: sqlite3.Connection, repo: str) -> list[str]:
    """What somebody was asked for and nobody has done yet."""
    return projection.members(db, item(repo), NEEDED)


def ask(session: Session, what: str) -> bool:
    """Ask everybody for something; False where it was asked for already."""
    with session.registry.transaction() as db:
        if what in waiting(db, session.repo):
            return False
        changes.record(db, [changes.add_to_set(db, item(session.repo), NEEDED, what)])
    return True


def answerable(session: Session) -> list[str]:
    """What was asked for and can be done from here, as far as the registry tells."""
    return [what for what in islice(waiting(session.db, session.repo), _AT_ONCE) if _can(session, what)]


def _can(session: Session, what: str) -> bool:
    sha256 = what.removeprefix(_SPOILED)
    return _wanted(session, sha256) is not None if SHA256.fullmatch(sha256) else relog.can_mend(session, what)


def answer(session: Session, wanted: list[str]) -> list[str]:
    """Make it wait to be sent; returns what could be, for :func:`settle` after it was."""
    taken: list[str] = []
    needs_snapshot = False
    for what in wanted:
        session.stop_if_asked()
        sha256 = what.removeprefix(_SPOILED)
        if not SHA256.fullmatch(sha256):
            needs_snapshot |= not relog.send_again(session, what)
            taken.append(what)
        elif send_again(session, sha256, spoiled=what.startswith(_SPOILED)):
            taken.append(what)
    if needs_snapshot:
        snapshots.write(session)
    return taken


def settle(session: Session, taken: list[str]) -> None:
    """Take from the set what has arrived on the remote."""
    with session.registry.transaction() as db:
        for what in taken:
            sha256 = what.removeprefix(_SPOILED)
            if not SHA256.fullmatch(sha256) or is_sent(session, sha256):
                changes.record(db, [changes.remove_from_set(db, item(session.repo), NEEDED, what)])


def spoiled(sha256: str) -> str:
    """How a blob is asked for whose bytes on the remote are wrong."""
    return _SPOILED + sha256


def is_sent(session: Session, sha256: str) -> bool:
    """Whether this machine has sent a blob, or seen it there."""
    of = (session.repo, sha256)
    row = session.db.execute("SELECT 1 FROM remote_blobs WHERE remote = ? AND sha256 = ?", of)
    return row.fetchone() is not None


def send_again(session: Session, sha256: str, *, spoiled: bool) -> bool:
    """Make a blob that is here, with its right bytes, wait to be sent; False where it is not here.

    Where the bytes on the remote are wrong they are removed first: a sender passes over objects of the right size.
    What is gone meanwhile, or of a wrong size, it sends without that.
    """
    wanted = _wanted(session, sha256)
    if wanted is None:
        return False
    size = _right_size(session, wanted)
    if size is None:
        return False
    with session.registry.transaction() as db:
        db.execute("DELETE FROM remote_blobs WHERE remote = ? AND sha256 = ?", (session.repo, sha256))
        queue.add(db, session.repo, "up", [wanted])
        db.execute(
            "UPDATE blob_queue SET retry_at = NULL WHERE remote = ? AND way = 'up' AND sha256 = ?",
            (session.repo, sha256),
        )
    objects = session.objects(sha256, size)
    is_there = all(session.storage.size(one.key) == one.stored for one in objects) if spoiled else False
    if is_there and not proofs.is_right(session, sha256, size):
        for one in objects:
            session.storage.delete(one.key)
    return True


def _wanted(session: Session, sha256: str) -> Wanted | None:
    """The blob, if it is here and this machine sends what it has."""
    if blobs.path_of(session.registry, sha256).is_file():
        return Wanted(sha256, "picture")
    sends = policy.of_device(session.db, session.device).upload == "yes"
    return Wanted(sha256, "weights") if sends and here.is_here(session.db, sha256) else None


def _right_size(session: Session, wanted: Wanted) -> int | None:
    """The length of a copy here whose bytes are right; None where there is none."""
    paths = [blobs.path_of(session.registry, wanted.sha256)]
    if wanted.kind == "weights":
        sql = "SELECT path FROM places WHERE sha256 = ? AND state IN ('present', 'offline') ORDER BY path"
        paths = [Path(row[0]) for row in session.db.execute(sql, (wanted.sha256,)).fetchall()]
    for path in paths:
        try:
            found = hash_file(path)
        except OSError:
            continue
        if found.sha256 == wanted.sha256:
            return found.size
    return None
