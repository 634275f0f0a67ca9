"""Fetch files and pictures that this machine wants, and believe them only when their hash is right."""

from __future__ import annotations

import sqlite3
import time
from collections import deque
from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import Future
from functools import partial
from itertools import islice
from pathlib import Path

import msgspec

from hubman.sync import queue
from hubman.sync.records import layout
from hubman.sync.session import Session
from hubman.sync.storages.storage import PIECE, StorageError
from hubman.sync.transfer import transfers
from hubman.sync.transfer.crew import Crew, StoppedError
from hubman.sync.transfer.destination import Destination, arrived, target
from hubman.sync.transfer.filling import Filling, WrongHashError
from hubman.sync.transfer.holding import HeldError
from hubman.sync.transfer.partial import Partial, part_of
from hubman.sync.transfer.settling import Landed, NoRoomError, Weights, need_room, quarantine, settle
from hubman.sync.transfer.tally import Tally
from hubman.sync.transfer.whole import ASK_OWNER, NotThereError, need_whole, picture, small
from registry import blobs
from registry.errors import DamagedFileError, HubError
from registry.unlisted import Unlisted

_GROUP, _GROUP_BYTES, _GROUP_S = 64, 32 << 20, 0.5
"""So many files that came, or those of so many bytes or seconds, get their names and their rows together."""

_LARGE_AT_ONCE = 2

_MOST_FAILURES = 8
"""After so many failures of the remote in a row the rest waits for a later sync."""


class Downloaded(msgspec.Struct, frozen=True):
    """What came down, a line for each blob that could not, and why the rest waits, if it does."""

    blobs: int = 0
    bytes: int = 0
    problems: tuple[str, ...] = ()
    held: str = ""


class _UnreachedError(Exception):
    """The remote fails again and again."""


def download(session: Session, into: Destination, only: Collection[str] | None = None) -> Downloaded:
    """Fetch what waits, or of that ``only`` these: weights to where they land, pictures into the blob store.

    What fails waits for a later sync. Raises :class:`HubError` when this machine's disk
    fails, and as :meth:`Session.stop_if_asked` does; what is whole by then has its place, the rest is gone on with.
    """
    waiting = queue.due(session.db, session.repo, "down", everything=session.deep)
    if only is not None:
        waiting = [wanted for wanted in waiting if wanted.sha256 in only]
    else:
        transfers.drop_abandoned(session.registry, session.repo, queue.all_waiting(session.db, session.repo, "down"))
    if session.deep:
        transfers.remove_leftovers(session.registry, into.folder)
    if not waiting:
        return Downloaded()
    fetcher = _Fetcher(session, into, waiting)
    held = ""
    try:
        fetcher.fetch()
    except HeldError as error:
        held = str(error)
    except _UnreachedError:
        fetcher.problems.append("the remote fails again and again; the other files wait for a later sync")
    except NoRoomError as error:
        fetcher.problems.append(str(error))
    except OSError as error:
        raise HubError(f"{into.folder} can't be written ({error.strerror})", "is there room, may you write?") from error
    return Downloaded(fetcher.blobs, fetcher.tally.bytes_moved, tuple(fetcher.problems), held)


class _Fetcher:
    """Fetches many blobs, the small ones first, and settles them in groups."""

    def __init__(self, session: Session, into: Destination, waiting: Sequence[queue.Wanted]) -> None:
        self._session, self._into = session, into
        self._unlisted = Unlisted(session.registry)
        self._pictures = [one.sha256 for one in waiting if one.kind == "picture"]
        self._weights = [one.sha256 for one in waiting if one.kind == "weights"]
        self._known = _known(session.db, self._weights)
        self.tally = Tally(session, "download", sum(size for _, size in self._known.values()), len(waiting))
        self.problems: list[str] = []
        self.blobs = 0
        self._landed: list[Landed] = []
        self._settled_at = time.monotonic()
        self._taken: set[Path] = set()
        self._open: dict[str, Filling] = {}
        self._again: list[Filling] = []
        self._failures = 0
        self._error: Exception | None = None

    def fetch(self) -> None:
        """Raises as :meth:`Crew.turn` does, :class:`OSError`, :class:`NoRoomError` and :class:`_UnreachedError`."""
        try:
            with Crew(self._session, self.tally) as crew:
                self._begin_pictures(crew)
                self._move_large(crew, deque(self._begin_weights(crew)))
                while not crew.is_idle:
                    crew.turn()
                    self._look()
        finally:
            for filling in self._open.values():
                filling.close()
            self._settle()
        self.tally.tell(at_once=True)

    def _look(self) -> None:
        if self._error is not None:
            raise self._error
        size = sum(one.weights.size for one in self._landed)
        is_time = time.monotonic() - self._settled_at > _GROUP_S
        if len(self._landed) >= _GROUP or size >= _GROUP_BYTES or is_time:
            self._settle()

    # -- what is begun -------------------------------------------------------------------------------------------------

    def _begin_pictures(self, crew: Crew) -> None:
        for sha256 in self._pictures:
            if blobs.path_of(self._session.registry, sha256).exists():
                self._done(sha256)
                continue
            crew.make_room()
            self._look()
            crew.start(partial(picture, crew, sha256), partial(self._picture_ended, sha256))

    def _begin_weights(self, crew: Crew) -> list[Weights]:
        """Begin all small ones; returns the large ones."""
        planned = (weights for sha256 in self._weights if (weights := self._plan(sha256)))
        large: list[Weights] = []
        most = min(PIECE, self._session.remote.part)
        while group := list(islice(planned, _GROUP // 2)):
            large += [weights for weights in group if weights.size > most]
            self._begin_small(crew, [weights for weights in group if weights.size <= most])
        return large

    def _move_large(self, crew: Crew, waiting: deque[Weights]) -> None:
        while waiting or self._open or self._again:
            while waiting and sum(one.is_moving for one in self._open.values()) < _LARGE_AT_ONCE:
                self._begin_large(crew, waiting.popleft())
            self._begin_again(crew)
            for filling in self._open.values():
                filling.feed()
            crew.turn()
            self._look()

    def _begin_small(self, crew: Crew, group: list[Weights]) -> None:
        parts = [(weights, part_of(weights.target)) for weights in group]
        if parts:
            need_room(group[0].target.parent, sum(weights.size for weights in group))
        registry = self._session.registry
        with registry.transaction():
            for weights, part in parts:
                key = transfers.key_of(self._session.repo, weights.sha256)
                if left := transfers.find(registry, key):
                    transfers.drop(registry, left)
                transfers.note(registry, key, part, weights.size, "")
        for weights, part in parts:
            crew.make_room()
            self._look()
            crew.start(partial(small, crew, weights, part), partial(self._small_ended, weights))

    def _begin_large(self, crew: Crew, weights: Weights) -> None:
        objects = self._session.objects(weights.sha256, weights.size)
        try:
            need_whole(crew, objects, weights)
        except (StorageError, NotThereError, DamagedFileError) as error:
            self._fail(weights, error)
            return
        registry = self._session.registry
        key = transfers.key_of(self._session.repo, weights.sha256)
        part = Partial.of(registry, key, weights.target, objects, plain=self._session.codec.is_plain)
        self.tally.passed(part.size - part.missing_bytes)
        self._fill(crew, weights, part)

    def _fill(self, crew: Crew, weights: Weights, part: Partial) -> None:
        self._open[weights.sha256] = Filling(crew, weights, part, self._large_ended)

    def _begin_again(self, crew: Crew) -> None:
        """A range that came before a power cut may never have reached the disk: those once more."""
        while self._again:
            filling = self._again.pop()
            part = filling.part
            self.tally.expect(sum(part.ranges[number].length for number in part.resumed))
            part.drop(part.resumed)
            part.resumed = []
            self._fill(crew, filling.weights, part)

    def _plan(self, sha256: str) -> Weights | None:
        """Where a file is to go; None when nothing has to move."""
        session = self._session
        if sha256 not in self._known:
            self._done(sha256)
            return None
        name, size = self._known[sha256]
        weights = None
        if _is_trashed(session.db, sha256):
            # Without a hint: nobody needs to be told at every sync.
            self._postpone(sha256, NotThereError(f"{sha256} is in the trash"))
        elif size > layout.MAX_BLOB:
            self._postpone(sha256, DamagedFileError(f"{name} claims {size} bytes", "no such file is fetched"))
        elif self._unlisted.find(sha256, size):
            self._done(sha256)
        else:
            weights = self._place(sha256, name, size)
        if weights is None:
            self.tally.passed(size)
        return weights

    def _place(self, sha256: str, name: str, size: int) -> Weights | None:
        registry = self._session.registry
        try:
            place = target(registry, self._into, sha256, name, size, self._taken)
        except HubError as error:
            # No reason for the others not to come.
            self._postpone(sha256, error)
            return None
        if place.exists():
            with registry.transaction():
                arrived(registry, place, sha256)
                self._done(sha256)
            return None
        self._taken.add(place)
        return Weights(sha256=sha256, name=name, size=size, target=place)

    # -- what has ended ------------------------------------------------------------------------------------------------

    def _picture_ended(self, sha256: str, future: Future[int]) -> None:
        try:
            size = future.result()
        except StoppedError:
            return
        except (StorageError, DamagedFileError, NotThereError) as error:
            self._count(error)
            if isinstance(error, NotThereError) and not queue.is_spoken_of(self._session.db, sha256):
                # It was taken from its model, and then from the remote.
                self._done(sha256)
            else:
                self._postpone(sha256, error)
        except Exception as error:
            self._error = self._error or error
        else:
            self._failures = 0
            self.blobs += 1
            with self._session.registry.transaction() as db:
                self._done(sha256)
                queue.note_remote(db, self._session.repo, sha256, size)

    def _small_ended(self, weights: Weights, future: Future[Landed]) -> None:
        try:
            landed = future.result()
        except StoppedError:
            return
        except Exception as error:
            self._fail(weights, error)
        else:
            self._failures = 0
            self._landed.append(landed)

    def _large_ended(self, filling: Filling, outcome: Landed | Exception) -> None:
        weights = filling.weights
        del self._open[weights.sha256]
        if isinstance(outcome, Landed):
            self._failures = 0
            self._landed.append(outcome)
        elif not isinstance(outcome, WrongHashError):
            self._fail(weights, outcome)
        elif filling.part.resumed:
            self._again.append(filling)
        else:
            quarantine(self._session.registry, weights.sha256, filling.part.path)
            transfers.forget(self._session.registry, transfers.key_of(self._session.repo, weights.sha256))
            self._fail(weights, DamagedFileError(f"{weights.name} is damaged on the remote", ASK_OWNER))

    def _fail(self, weights: Weights, error: Exception) -> None:
        if not isinstance(error, StorageError | DamagedFileError | NotThereError):
            self._error = self._error or error
            return
        self._taken.discard(weights.target)
        self._count(error)
        self._postpone(weights.sha256, error)

    def _count(self, error: HubError) -> None:
        self._failures = self._failures + 1 if isinstance(error, StorageError) else 0
        if self._failures >= _MOST_FAILURES:
            self._error = self._error or _UnreachedError()

    def _postpone(self, sha256: str, error: HubError) -> None:
        with self._session.registry.transaction() as db:
            queue.later(db, self._session.repo, "down", sha256, error.message)
        self.problems += [str(error)] if error.hint else []

    def _done(self, sha256: str) -> None:
        """Nothing more has to come, and what had come before is of no use."""
        registry, repo = self._session.registry, self._session.repo
        with registry.transaction() as db:
            queue.done(db, repo, "down", sha256)
            if left := transfers.find(registry, transfers.key_of(repo, sha256)):
                transfers.drop(registry, left)

    def _settle(self) -> None:
        landed, self._landed = self._landed, []
        self._settled_at = time.monotonic()
        if not landed:
            return
        nameless = settle(self._session, self._into, landed)
        for weights, error in nameless:
            self._postpone(weights.sha256, error)
        self.blobs += len(landed) - len(nameless)
        self._taken -= {one.weights.target for one in landed}


def _known(db: sqlite3.Connection, hashes: Iterable[str]) -> dict[str, tuple[str, int]]:
    """Name and bytes of those files that something is known of."""
    found: dict[str, tuple[str, int]] = {}
    for sha256 in hashes:
        row = db.execute("SELECT name, size FROM files WHERE sha256 = ?", (sha256,)).fetchone()
        if row is not None:
            found[sha256] = (row["name"], row["size"])
    return found


def _is_trashed(db: sqlite3.Connection, sha256: str) -> bool:
    row = db.execute(
        "SELECT m.deleted_at FROM files f JOIN versions v ON v.id = f.version_id JOIN models m ON m.id = v.model_id "
        "WHERE f.sha256 = ?",
        (sha256,),
    ).fetchone()
    return row is not None and row[0] is not None
