"""Bring the index up to date with the disk: new, changed, moved and missing files.

Only what changed is read: first the headers, so that everything is listed soon, then what lies beside the files, then
all their bytes. A scan that is stopped keeps what it had written, and the next one goes on from there.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from registry import (
    changes,
    exchange_waiting,
    ids,
    places,
    projection,
    settled,
    sidecar_reread,
    timestamps,
    unhashed,
    usage_match,
)
from registry import roots as folders
from registry.database import Registry
from registry.errors import HubError, NotFoundError
from registry.moved_places import lay
from registry.places import Known, Seen
from registry.scan_facts import has_previews, preview_changes
from registry.scan_hash import BATCH, Hashed, hash_files
from registry.scan_list import describe_files, list_files
from registry.scan_plan import Plan, Watch, look
from registry.scan_read import Reading, read, read_preview
from registry.scan_walk import Problem, look_at
from registry.scan_write import held, write


class ScanResult(msgspec.Struct, frozen=True, kw_only=True):
    """``new changed moved`` count what happened since the last scan (``moved``: is elsewhere, or is back), the others
    what is so now (``offline``: on a drive that is away; ``unhashed``: listed, in the whole registry, and not read to
    its end yet). ``problems`` names every damaged or unreadable file and folder.
    """

    new: int = 0
    changed: int = 0
    moved: int = 0
    missing: int = 0
    offline: int = 0
    damaged: int = 0
    unchanged: int = 0
    unhashed: int = 0
    problems: tuple[Problem, ...] = ()


def scan(
    registry: Registry,
    report: Watch | None = None,
    roots: Sequence[Path] | None = None,
    rehash: bool = False,
    *,
    hashing: bool = True,
    may_hash: Callable[[], bool] | None = None,
) -> ScanResult:
    """Index the given folders, or every root, hubman's own models and the files known elsewhere.

    ``rehash`` reads every file again, changed or not. Without ``hashing`` files are listed, and left to be hashed by
    another scan; while ``may_hash`` says no, hashing waits. A folder that is not there makes nothing missing. Raises
    :class:`UsageError` for a given folder that is none.
    """
    watch = report or _silent
    found = list_folders(registry, watch, roots, rehash=rehash)
    done = hash_files(registry, found.to_hash, found.listed, watch, may_hash) if hashing else Hashed()
    usage_match.appeared(registry, done.first)
    exchange_waiting.take_in_waiting(registry)
    return _result(registry, found, done)


@dataclass(frozen=True)
class Listing:
    """What the first half of a scan found. ``to_hash`` is to be read to its end, ``listed`` are the paths of the files
    that were listed just now.
    """

    plan: Plan
    listed: set[str]
    unreadable: set[str]
    to_hash: list[Seen]


def list_folders(
    registry: Registry, watch: Watch, roots: Sequence[Path] | None = None, *, rehash: bool = False
) -> Listing:
    """The half of :func:`scan` that reads no file to its end: afterwards lists show what lies in the folders."""
    plan = look(registry, watch, roots, rehash=rehash)
    _move(registry, plan.moved)
    sidecar_reread.at(registry, [seen.path for _, seen in plan.moved])
    _miss(registry, plan.vanished)
    _mark_drives(registry, plan)
    listed, unreadable = list_files(registry, plan.to_list, watch)
    plan.problems += describe_files(registry, plan.to_read, watch)
    _attach_previews(registry, plan.without_preview)
    if roots is None:
        registry.db.execute("INSERT OR REPLACE INTO meta VALUES ('checked_at', ?)", (timestamps.now(),))
    usage_match.appeared(registry, [place.sha256 for place, _ in plan.moved if place.sha256 and place.is_hashed])
    return Listing(plan, listed, unreadable, [seen for seen in plan.to_read if seen.path not in unreadable])


def _result(registry: Registry, found: Listing, done: Hashed) -> ScanResult:
    plan, first_seen = found.plan, found.listed | found.unreadable
    states = {places.MISSING: 0, places.OFFLINE: 0, places.DAMAGED: 0}
    problems = [*plan.problems, *done.problems]
    for place in places.troubled(registry.db):
        if place.path in plan.paths:
            states[place.state] += 1
            if place.problem and place.state == places.DAMAGED:
                problems.append(Problem(place.path, place.problem))
    again = sum(1 for path in first_seen if path in plan.known)
    return ScanResult(
        new=len(first_seen) - again - done.returned,
        changed=done.changed,
        moved=len(plan.moved) + done.moved,
        missing=states[places.MISSING],
        offline=states[places.OFFLINE],
        damaged=states[places.DAMAGED],
        unchanged=plan.unchanged + done.unchanged + again,
        unhashed=unhashed.count(registry.db),
        problems=tuple(dict.fromkeys(problems)),
    )


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
    usage_match.appeared(registry, [reading.hashes.sha256])
    return ids.item_id(reading.hashes.sha256)


def hashed(registry: Registry, version_id: str) -> str:
    """The version that this one is once its file is hashed, which is done here if need be: it may take long.

    Raises what :func:`index_file` raises.
    """
    found = settled.version_of(registry.db, version_id)
    if not ids.is_provisional(found):
        return found
    row = registry.db.execute("SELECT path FROM places WHERE sha256 = ?", (found,)).fetchone()
    return index_file(registry, Path(row[0])) if row else found


def hash_those_of(registry: Registry, size: int) -> None:
    """Hash the listed files of ``size`` bytes: one of them may have the content that somebody looks for."""
    sql = "SELECT p.path FROM unhashed u JOIN places p ON p.sha256 = u.item WHERE p.size = ? AND p.state = 'present'"
    for (path,) in registry.db.execute(sql, (size,)).fetchall():
        with contextlib.suppress(HubError):
            index_file(registry, Path(path))


def _silent(_stage: str, _done: int, _total: int) -> None:
    """Nobody watches."""


def _move(registry: Registry, moved: list[tuple[Known, Seen]]) -> None:
    """Places of files whose inode, size and time are known: moved within their file system, or back."""
    for start in range(0, len(moved), BATCH):
        with registry.transaction() as db:
            touched: set[str] = set()
            for place, seen in moved[start : start + BATCH]:
                assert place.sha256 is not None, "only content that is known moves"  # noqa: S101 - for the type checker
                if places.known_at(db, place.path) != place or not places.is_unmoved(seen):
                    continue
                places.forget(db, place.path)
                touched |= lay(registry, seen, place.sha256, place.problem, place.verified_at)
            projection.rebuild(db, touched)


def _miss(registry: Registry, vanished: dict[str, Known]) -> None:
    lost = [place for place in vanished.values() if place.state != places.MISSING]
    now = timestamps.now()
    for start in range(0, len(lost), BATCH):
        with registry.transaction() as db:
            touched: set[str] = set()
            for place in lost[start : start + BATCH]:
                # Another process may have found it elsewhere, or hashed it, since this one looked.
                if places.known_at(db, place.path) == place:
                    touched |= _lose(db, place, now)
            projection.rebuild(db, touched)


def _lose(db: sqlite3.Connection, place: Known, now: str) -> set[str]:
    if place.sha256 is None:
        places.forget(db, place.path)
        return set()
    places.mark_missing(db, place.path, now)
    changes.record(db, held(db, place.sha256))
    return {ids.item_id(place.sha256)}


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
        # Pictures are copied before anything is written: a film takes as long as nobody else should wait.
        batch = [seen for seen in files[start : start + BATCH] if _bare_version(registry.db, seen)]
        readings = [Reading(seen, preview=read_preview(registry, seen, None)) for seen in batch]
        with registry.transaction() as db:
            touched: set[str] = set()
            for reading in readings:
                if version := _bare_version(db, reading.seen):
                    touched |= changes.record(db, preview_changes(db, reading, version))
            projection.rebuild(db, touched)


def _bare_version(db: sqlite3.Connection, seen: Seen) -> str | None:
    """The version of a file that is known, if it shows no picture."""
    place = places.known_at(db, seen.path)
    version = ids.item_id(place.sha256) if place is not None and place.sha256 is not None else None
    return None if version is None or has_previews(db, version) else version
