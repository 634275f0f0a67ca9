"""Send files and pictures, each under the hash of its content, several at once, and none that is there already."""

from __future__ import annotations

import time
from collections.abc import Iterable
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import msgspec

from hubman.sync import queue
from hubman.sync.policies.policy import of_device
from hubman.sync.records import layout
from hubman.sync.session import Session
from hubman.sync.transfer.crew import Crew, StoppedError
from hubman.sync.transfer.holding import HeldError
from hubman.sync.transfer.sending import Source, send
from hubman.sync.transfer.tally import Tally
from registry import blobs, timestamps
from registry.database import Registry
from registry.errors import DamagedFileError

_BELIEVED = timedelta(days=7)
"""How long a blob that was seen on the remote is believed to be there still."""

_GROUP, _GROUP_S = 64, 0.5
"""So many files that went up, or those of so many seconds, are noted in one commit; a kill costs a look at each."""


class Uploaded(msgspec.Struct, frozen=True):
    """What went up, a line for each blob that could not, and why the rest waits, if it does."""

    blobs: int = 0
    bytes: int = 0
    problems: tuple[str, ...] = ()
    held: str = ""


def upload(session: Session) -> Uploaded:
    """Send the blobs that wait. One that has gone or changed is told and left; a remote that fails raises."""
    sources, problems = _sources(session)
    if not sources:
        return Uploaded(problems=tuple(problems))
    sender = _Sender(session, problems)
    held = ""
    try:
        sender.send(sources)
    except HeldError as error:
        held = str(error)
    return Uploaded(sender.blobs, sender.bytes, tuple(problems), held)


class _Sender:
    """Sends many files and notes what is there."""

    def __init__(self, session: Session, problems: list[str]) -> None:
        self._session, self._problems = session, problems
        self._there: list[Source] = []
        self._noted_at = time.monotonic()
        self._error: Exception | None = None
        self.blobs = self.bytes = 0

    def send(self, sources: list[Source]) -> None:
        """Raises :class:`HeldError`, and what a remote raises that fails; what went up by then is noted."""
        tally = Tally(self._session, "upload", sum(one.size for one in sources), len(sources))
        try:
            with Crew(self._session, tally) as crew:
                for source in sources:
                    crew.make_room()
                    crew.start(partial(send, crew, source), partial(self._ended, source))
                    self._note_some()
                while not crew.is_idle:
                    crew.turn()
                    self._note_some()
        finally:
            self._note()
        tally.tell(at_once=True)

    def _ended(self, source: Source, future: Future[int]) -> None:
        try:
            sent = future.result()
        except StoppedError:
            return
        except DamagedFileError as error:
            with self._session.registry.transaction() as db:
                queue.later(db, self._session.repo, "up", source.sha256, error.message)
            self._problems.append(str(error))
            return
        except Exception as error:
            self._error = self._error or error
            return
        self._there.append(source)
        self.blobs += sent > 0
        self.bytes += sent

    def _note_some(self) -> None:
        if self._error is not None:
            raise self._error
        if len(self._there) >= _GROUP or time.monotonic() - self._noted_at > _GROUP_S:
            self._note()

    def _note(self) -> None:
        there, self._there = self._there, []
        self._noted_at = time.monotonic()
        if not there:
            return
        with self._session.registry.transaction() as db:
            for source in there:
                queue.done(db, self._session.repo, "up", source.sha256)
                queue.note_remote(db, self._session.repo, source.sha256, source.size)


def _sources(session: Session) -> tuple[list[Source], list[str]]:
    """The files that should go up, and a line for each that can't; what needs no sending waits no longer."""
    sends_weights = of_device(session.db, session.device).upload == "yes"
    sources: list[Source] = []
    problems: list[str] = []
    settled: list[str] = []
    for wanted in queue.due(session.db, session.repo, "up", everything=session.deep):
        if (wanted.kind == "weights" and not sends_weights) or _is_there(session, wanted.sha256):
            settled.append(wanted.sha256)
            continue
        try:
            source = _source(session.registry, wanted)
            if source is not None and session.is_marked(wanted.sha256):
                source = msgspec.structs.replace(source, is_doubtful=True)
        except DamagedFileError as error:
            with session.registry.transaction() as db:
                queue.later(db, session.repo, "up", wanted.sha256, error.message)
            problems.append(str(error))
            continue
        if source is None:
            # Not on this machine: whoever has it sends it, and it waits again when it turns up here.
            settled.append(wanted.sha256)
        else:
            sources.append(source)
    _forget(session, settled)
    return sources, problems


def _forget(session: Session, settled: Iterable[str]) -> None:
    with session.registry.transaction() as db:
        for sha256 in settled:
            queue.done(db, session.repo, "up", sha256)


def _is_there(session: Session, sha256: str) -> bool:
    row = session.db.execute(
        "SELECT checked_at FROM remote_blobs WHERE remote = ? AND sha256 = ?", (session.repo, sha256)
    ).fetchone()
    is_known = row is not None and datetime.now(UTC) - timestamps.parse(row[0]) < _BELIEVED
    return is_known and not session.is_marked(sha256)


def _source(registry: Registry, wanted: queue.Wanted) -> Source | None:
    """Where the blob lies here, or None. Raises :class:`DamagedFileError` when only a changed file is there."""
    if wanted.kind == "picture":
        path = blobs.path_of(registry, wanted.sha256)
        if not path.is_file():
            return None
        size = path.stat().st_size
        if size > layout.PICTURE_CAP:
            raise DamagedFileError(f"picture {wanted.sha256[:12]} is larger than 32 MiB", "it stays on this machine")
        return Source(wanted.sha256, path, size)
    places = registry.db.execute(
        "SELECT path, size, mtime_ns FROM places WHERE sha256 = ? AND state IN ('present', 'offline') ORDER BY path",
        (wanted.sha256,),
    ).fetchall()
    sources = [Source(wanted.sha256, Path(row["path"]), row["size"], row["mtime_ns"]) for row in places]
    for source in sources:
        if source.is_unchanged:
            return source
    if sources:
        raise DamagedFileError(f"{sources[0].path} has changed or gone since it was scanned", "hubman scan")
    return None
