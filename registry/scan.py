"""Bring the index up to date with the disk: new, changed, moved and missing files.

Only what changed is read. Reading happens in threads, writing in batches: a scan that is stopped keeps what it had
written, and the next one goes on from there.
"""

from __future__ import annotations

import os
import sqlite3
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import msgspec

from registry import changes, exchange_import, ids, places, projection, sidecar_reread, timestamps
from registry import roots as folders
from registry.database import Registry
from registry.errors import HubError, NotFoundError
from registry.hashing import NO_TENSORS, FileHashes
from registry.places import Known, Seen
from registry.scan_plan import Plan, Watch, look
from registry.scan_read import ChangingFileError, Reading, read, read_preview
from registry.scan_walk import Problem, look_at
from registry.scan_write import has_previews, held, preview_changes, write

BATCH = 50
"""Files in one transaction: a commit waits for the disk, and losing fifty files' work is no loss."""
_AHEAD = 64


class ScanResult(msgspec.Struct, frozen=True, kw_only=True):
    """``new changed moved`` count what happened since the last scan (``moved``: is elsewhere, or is back), the others
    what is so now (``offline``: on a drive that is away). ``problems`` names every damaged or unreadable file and
    folder.
    """

    new: int = 0
    changed: int = 0
    moved: int = 0
    missing: int = 0
    offline: int = 0
    damaged: int = 0
    unchanged: int = 0
    problems: tuple[Problem, ...] = ()


def scan(
    registry: Registry, report: Watch | None = None, roots: Sequence[Path] | None = None, rehash: bool = False
) -> ScanResult:
    """Index the given folders, or every root, hubman's own models and the files known elsewhere.

    ``rehash`` reads every file again, changed or not. A folder that is not there makes nothing missing. Raises
    :class:`UsageError` for a given folder that is none.
    """
    watch = report or _silent
    plan = look(registry, watch, roots, rehash=rehash)
    _move(registry, plan.moved)
    sidecar_reread.at(registry, [seen.path for _, seen in plan.moved])
    work = _Work(registry, plan)
    for done, reading in enumerate(_readings(registry, plan.to_read)):
        watch("reading", done, len(plan.to_read))
        work.take(reading)
    work.write()
    watch("reading", len(plan.to_read), len(plan.to_read))
    _miss(registry, plan.vanished)
    _mark_drives(registry, plan)
    _attach_previews(registry, plan.without_preview)
    exchange_import.take_in_waiting(registry)
    return work.result()


def index_file(registry: Registry, path: Path) -> str:
    """Index one file that was just written; returns its version's id. The one way in for what is pulled and trained.

    Raises :class:`NotFoundError` if there is no such file and :class:`HubError` if it can't be read.
    """
    full = folders.absolute(path)
    try:
        seen = look_at(str(full))
    except OSError as error:
        raise NotFoundError(f"{path} can't be read ({error.strerror})", "check the path") from error
    reading = read(registry, seen)
    if reading.hashes is None:
        raise HubError(f"{path} {reading.problem}", "check its permissions")
    root = folders.covering_root(registry, full) or full.parent
    with registry.transaction() as db:
        projection.rebuild(db, write(db, reading, str(root)))
    return ids.item_id(reading.hashes.sha256)


def _silent(_stage: str, _done: int, _total: int) -> None:
    """Nobody watches."""


class _Work:
    """Takes readings and writes them in batches."""

    def __init__(self, registry: Registry, plan: Plan) -> None:
        self._registry = registry
        self._plan = plan
        self._batch: list[tuple[Reading, Known | None]] = []
        self._elsewhere = {place.sha256: path for path, place in plan.vanished.items() if place.sha256}
        self._roots: dict[str, str] = {}
        self._first: set[str] = set()
        self._new = self._changed = 0

    def take(self, reading: Reading | Problem) -> None:
        if isinstance(reading, Problem):
            self._plan.problems.append(reading)
            return
        self._plan.problems += reading.broken
        self._batch.append((reading, self._count(reading)))
        if len(self._batch) >= BATCH:
            self.write()

    def write(self) -> None:
        with self._registry.transaction() as db:
            touched: set[str] = set()
            for reading, source in self._batch:
                sha256 = reading.hashes.sha256 if reading.hashes else ""
                if sha256 not in self._first and not _is_known(db, sha256):
                    self._first.add(sha256)
                is_first = sha256 in self._first
                touched |= write(db, reading, self._root_of(reading.seen.path), source, is_first=is_first)
            projection.rebuild(db, touched)
        self._batch = []

    def _count(self, reading: Reading) -> Known | None:
        """Where the file lay before, if it was moved."""
        before = self._plan.known.get(reading.seen.path)
        if before is not None and (reading.hashes is None or reading.hashes.sha256 == before.sha256):
            self._plan.unchanged += 1
        elif before is not None:
            self._changed += 1
            # Another file that was moved over this one is no longer where it was.
            sha256 = reading.hashes.sha256 if reading.hashes else ""
            return self._plan.vanished.pop(self._elsewhere.pop(sha256, ""), None)
        elif reading.hashes is not None and (content := self._lost(reading.hashes)):
            source = self._plan.vanished.pop(self._elsewhere.pop(content))
            self._plan.moved.append((source, reading.seen))
            return source
        else:
            self._new += 1
        return None

    def _lost(self, hashes: FileHashes) -> str | None:
        """The content of a vanished place that is this one, or has its tensors under another header."""
        if hashes.sha256 in self._elsewhere:
            return hashes.sha256
        if not self._elsewhere or hashes.autov3 in {None, NO_TENSORS}:
            return None
        rows = self._registry.db.execute("SELECT sha256 FROM files WHERE autov3 = ? ORDER BY sha256", (hashes.autov3,))
        return next((row[0] for row in rows if row[0] in self._elsewhere), None)

    def _root_of(self, path: str) -> str:
        folder = os.path.dirname(path)  # noqa: PTH120 - paths stay texts here
        if folder not in self._roots:
            self._roots[folder] = str(folders.covering_root(self._registry, Path(path)) or folder)
        return self._roots[folder]

    def result(self) -> ScanResult:
        states = {places.MISSING: 0, places.OFFLINE: 0, places.DAMAGED: 0}
        problems = list(self._plan.problems)
        for place in places.troubled(self._registry.db):
            if place.path in self._plan.paths:
                states[place.state] += 1
                if place.problem and place.state == places.DAMAGED:
                    problems.append(Problem(place.path, place.problem))
        return ScanResult(
            new=self._new,
            changed=self._changed,
            moved=len(self._plan.moved),
            missing=states[places.MISSING],
            offline=states[places.OFFLINE],
            damaged=states[places.DAMAGED],
            unchanged=self._plan.unchanged,
            problems=tuple(problems),
        )


def _is_known(db: sqlite3.Connection, sha256: str) -> bool:
    return db.execute("SELECT 1 FROM files WHERE sha256 = ?", (sha256,)).fetchone() is not None


def _readings(registry: Registry, files: list[Seen]) -> Iterator[Reading | Problem]:
    """Read in threads (hashing leaves the interpreter alone), a few dozen files ahead of the writer, in order."""
    waiting: deque[Future[Reading | Problem]] = deque()
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1), "scan") as pool:
        try:
            for seen in files:
                waiting.append(pool.submit(_try_read, registry, seen))
                if len(waiting) > _AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _try_read(registry: Registry, seen: Seen) -> Reading | Problem:
    try:
        return read(registry, seen)
    except ChangingFileError as error:
        return Problem(seen.path, error.message.removeprefix(f"{seen.path} "))


def _move(registry: Registry, moved: list[tuple[Known, Seen]]) -> None:
    """Places of files whose inode, size and time are known: moved within their file system, or back."""
    now = timestamps.now()
    for start in range(0, len(moved), BATCH):
        with registry.transaction() as db:
            touched: set[str] = set()
            for place, seen in moved[start : start + BATCH]:
                assert place.sha256 is not None, "only content that is known moves"  # noqa: S101 - for the type checker
                places.forget(db, place.path)
                root = folders.covering_root(registry, Path(seen.path)) or Path(seen.path).parent
                places.put(
                    db,
                    seen,
                    root=str(root),
                    sha256=place.sha256,
                    problem=place.problem,
                    at=now,
                    verified_at=place.verified_at,
                )
                changes.record(db, held(db, place.sha256))
                touched.add(ids.item_id(place.sha256))
            projection.rebuild(db, touched)


def _miss(registry: Registry, vanished: dict[str, Known]) -> None:
    lost = [place for place in vanished.values() if place.state != places.MISSING]
    now = timestamps.now()
    for start in range(0, len(lost), BATCH):
        with registry.transaction() as db:
            touched: set[str] = set()
            for place in lost[start : start + BATCH]:
                if place.sha256 is None:
                    places.forget(db, place.path)
                    continue
                places.mark_missing(db, place.path, now)
                changes.record(db, held(db, place.sha256))
                touched.add(ids.item_id(place.sha256))
            projection.rebuild(db, touched)


def _mark_drives(registry: Registry, plan: Plan) -> None:
    """Which drives are there changes neither what other machines know nor what is known of a model, nor its row in
    the listing.
    """
    if plan.away or plan.returned:
        now = timestamps.now()
        with registry.transaction() as db:
            places.mark_offline(db, plan.away, now)
            places.mark_seen(db, plan.returned, now)


def _attach_previews(registry: Registry, files: list[Seen]) -> None:
    """Pictures that were put beside files which are known already."""
    for start in range(0, len(files), BATCH):
        with registry.transaction() as db:
            touched: set[str] = set()
            for seen in files[start : start + BATCH]:
                place = places.known_at(db, seen.path)
                if place is None or place.sha256 is None or has_previews(db, ids.item_id(place.sha256)):
                    continue
                reading = Reading(seen, preview=read_preview(registry, seen, None))
                touched |= changes.record(db, preview_changes(db, reading, ids.item_id(place.sha256)))
            projection.rebuild(db, touched)
