"""What a reading means for the registry: the file, what it says of itself, where it lies, what it replaced."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from registry import changes, clock, ids, places, sidecar_store, timestamps, unhashed
from registry.inherit import inheriting
from registry.places import Known
from registry.scan_facts import file_facts, header_facts, preview_changes, trigger_words
from registry.scan_read import Reading
from registry.scan_sidecar import sidecar_changes, taken_away
from registry.whereabouts import ON_REMOTE


def write(
    db: sqlite3.Connection, reading: Reading, root: str, source: Known | None = None, *, is_first: bool = False
) -> set[str]:
    """Take one reading in; returns the items whose projection must be rebuilt. Call inside a transaction.

    ``source`` is where the file lay before, if it was moved: with the same content, or with another header. With
    ``is_first`` this scan is the first to see its content, even if it saw it in another place before.
    """
    before = places.known_at(db, reading.seen.path)
    now = timestamps.now()
    if source is not None:
        places.forget(db, source.path)
    if reading.hashes is None:
        # What lay here may lie here still; without a time it is read again as soon as it can be.
        kept = before.sha256 if before else None
        seen = replace(reading.seen, mtime_ns=places.UNREAD)
        places.put(db, seen, root=root, sha256=kept, problem=reading.problem, at=now)
        return {ids.item_id(kept)} if kept else set()
    sha256 = reading.hashes.sha256
    # What was found out about the numbers of this content goes on to hold of them.
    verified = next((one for one in (before, source) if one and one.sha256 == sha256 and one.verified_at), None)
    places.put(
        db,
        reading.seen,
        root=root,
        sha256=sha256,
        problem=reading.problem or (verified.problem if verified else None),
        at=now,
        verified_at=verified.verified_at if verified else None,
    )
    listed = before.sha256 if before and before.is_unhashed else None
    left = next((one for one in (before, source) if one and one.is_hashed and one.sha256 != sha256), None)
    touched = changes.record(db, _said(db, reading, listed, left, is_first=is_first))
    if listed is not None:
        unhashed.forget(db, listed, ids.item_id(sha256))
        touched.add(listed)
    beside = [(Path(problem.path), problem.reason) for problem in reading.broken]
    sidecar_store.keep(db, reading.seen.path, sha256, reading.sidecar, beside)
    # Where a file lies is no change that syncs, and still part of what the lists show.
    return touched | {ids.item_id(content) for content in (sha256, left and left.sha256) if content}


def _said(
    db: sqlite3.Connection, reading: Reading, listed: str | None, left: Known | None, *, is_first: bool
) -> Iterator[changes.Change]:
    """All that the reading gives to say: of the item as which it was ``listed`` so far, and of the content that
    ``left`` the place where it was known.
    """
    assert reading.hashes is not None, "only a file that was read has something to say"  # noqa: S101 - for the type checker
    sha256 = reading.hashes.sha256
    version = ids.item_id(sha256)
    is_new = db.execute("SELECT 1 FROM files WHERE sha256 = ?", (sha256,)).fetchone() is None
    if is_new:
        yield ["file", sha256, file_facts(reading, version)]
        yield from header_facts(db, reading, version)
    elif db.execute(_REPLACED, (version,)).fetchone():
        yield changes.set_field(db, version, "file", "replaced_by", None)
    if left is not None and left.sha256 is not None:
        if is_new or is_first:
            yield from inheriting(db, ids.item_id(left.sha256), version)
        yield from _replaced(db, left.path, left.sha256, sha256)
    is_told = listed is not None and is_new and unhashed.was_told(db, listed, reading)
    if listed is not None:
        yield from unhashed.resaid(db, listed, version, with_told=is_told)
    if is_new and not is_told:
        yield from trigger_words(db, reading, version)
    if reading.sidecar is not None:
        before = None
        if listed is not None and not is_told:
            before = [*sidecar_store.rows_of(db, version), *taken_away(db, listed)]
        yield from sidecar_changes(db, reading.sidecar, version, is_new=is_new and listed is None, before=before)
    if listed is not None:
        yield from unhashed.left_behind(db, listed, version)
    yield from held(db, sha256)
    yield from preview_changes(db, reading, version)


_REPLACED = "SELECT 1 FROM facts WHERE item = ? AND field = 'replaced_by' AND value <> 'null'"


def _replaced(db: sqlite3.Connection, path: str, left: str, sha256: str) -> Iterator[changes.Change]:
    """Content gave way to other content; if it lies nowhere else, it is history."""
    db.execute("INSERT OR REPLACE INTO file_history VALUES (?, ?, ?, ?)", (path, left, sha256, timestamps.now()))
    if not db.execute("SELECT 1 FROM places WHERE sha256 = ?", (left,)).fetchone():
        yield changes.set_field(db, ids.item_id(left), "file", "replaced_by", ids.item_id(sha256))
    yield from held(db, left)


def held(db: sqlite3.Connection, sha256: str) -> Iterator[changes.Change]:
    """Tell other machines whether this one has the file, if that is news and the file has a name that they know."""
    if ids.is_provisional(sha256):
        return
    device = clock.device_id(db)
    place = db.execute("SELECT 1 FROM places WHERE sha256 = ? AND state <> ?", (sha256, places.MISSING)).fetchone()
    row = db.execute("SELECT state FROM holdings WHERE device = ? AND sha256 = ?", (device, sha256)).fetchone()
    said = row[0] if row else "gone"
    # What was let go of because a remote has it stays so.
    state = "present" if place else ON_REMOTE if said == ON_REMOTE else "gone"
    if said != state:
        yield ["have", device, sha256, state, clock.tick(db)]
