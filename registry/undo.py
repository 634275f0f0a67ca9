"""Take back what the journal says was done: by changes that sync, and nothing that was edited since without saying so.

A field is taken back where it still stands as the entry left it. Stamps decide that, not values: an edit of another
machine that happened to say the same is an edit all the same. A stamp that was made by taking something back counts
as the stamp that it brought back, so entries can be taken back one after the other, in any order that makes sense.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import msgspec

from registry import changes, journal, moving, projection, sidecar_reread, takeback, written
from registry.database import Registry
from registry.errors import HubError, NotFoundError
from registry.fields import level_of
from registry.journal import Entry, Move
from registry.said import Step


class Kept(msgspec.Struct, frozen=True):
    """A field that was left as it is, and why."""

    item: str
    name: str
    """What the model is called now; the item's id where it is not known any more."""
    field: str
    reason: str


class Undone(msgspec.Struct, frozen=True):
    """``entry`` is the new one that takes ``undoes`` back; ``kept`` is what it left alone."""

    entry: Entry
    undoes: Entry
    kept: tuple[Kept, ...] = ()


def undo(registry: Registry, number: int | None = None, *, force: bool = False) -> Undone:
    """Take back entry ``number``, or the newest one in force; taking back an undo does again what it undid.

    What was edited since, here or elsewhere, stays and is named in ``kept``; with ``force`` it gives way too. Raises
    :class:`NotFoundError` where there is nothing to undo, and :class:`HubError` where nothing could be taken back or
    the entry is taken back already.
    """
    entry = _wanted(registry, number)
    if written.has_writes(registry.db, entry.id):
        done, left = written.undo(registry, entry, force=force)
        sidecar_reread.note_written(registry, written.paths_of(registry.db, entry.id))
        return Undone(done, journal.entry(registry, entry.id), tuple(_kept_file(path) for path in left))
    moves = [(target, source) for source, target in reversed(journal.moves_of(registry.db, entry.id))]
    if moves:
        made = moving.missing_folders(moves)

        def finish(db: sqlite3.Connection) -> Undone:
            undone = _undo(registry, entry.id, force=force, moves=moves)
            journal.note_folders(db, undone.entry.id, made)
            return undone

        undone = moving.carry_out(registry, moves, finish)
        moving.drop_folders(journal.folders_of(registry.db, entry.id))
        return undone
    return _undo(registry, entry.id, force=force)


def _undo(registry: Registry, number: int, *, force: bool, moves: Sequence[Move] = ()) -> Undone:
    with registry.transaction() as db:
        entry = _wanted(registry, number)
        wanted, kept = _sorted(db, journal.steps_of(db, entry.id), force=force)
        if kept and not wanted:
            raise HubError(
                f"{entry.label} can't be taken back ({kept[0].field} of {kept[0].name} {kept[0].reason})",
                f"hubman undo {entry.id} --force takes it back all the same",
            )
        done = journal.write(
            registry,
            "redo" if entry.is_undo else "undo",
            entry.label,
            [step.item for step in wanted] or entry.models,
            lambda: _take_back(db, wanted),
            undoes=entry,
            moves=moves,
        )
        assert done is not None, "an undo is always entered"  # noqa: S101 - for the type checker
        return Undone(done, journal.entry(registry, entry.id), tuple(kept))


def conflicts(registry: Registry, number: int | None = None) -> tuple[Entry, tuple[Kept, ...]]:
    """What :func:`undo` would take back, and what it would leave alone. Raises as it does."""
    entry = _wanted(registry, number)
    if written.has_writes(registry.db, entry.id):
        return entry, tuple(_kept_file(path) for path in written.changed_since(registry.db, entry.id))
    _, kept = _sorted(registry.db, journal.steps_of(registry.db, entry.id), force=False)
    return entry, tuple(kept)


def _kept_file(path: str) -> Kept:
    return Kept(path, path, "content", "was changed since, or can't be read")


def _wanted(registry: Registry, number: int | None) -> Entry:
    entry = journal.last(registry) if number is None else journal.entry(registry, number)
    if entry is None:
        raise NotFoundError("nothing to undo", "hubman journal lists what was done")
    if entry.undone_by is not None:
        raise HubError(f"{entry.label} is taken back already", f"hubman undo {entry.undone_by} does it again")
    if entry.verb == journal.FINAL:
        raise HubError(f"{entry.label} can't be taken back", "files that were purged are gone")
    return entry


def _take_back(db: sqlite3.Connection, steps: list[Step]) -> None:
    touched: set[str] = set()
    for step in steps:
        way = takeback.way_back(db, step)
        touched |= changes.record(db, way.changes)
        db.executemany("INSERT INTO restored VALUES (?, ?)", way.restored)
    projection.rebuild(db, touched)


def _sorted(db: sqlite3.Connection, steps: list[Step], *, force: bool) -> tuple[list[Step], list[Kept]]:
    """The steps that can be taken back, and what is left alone."""
    wanted: list[Step] = []
    kept: list[Kept] = []
    for step in steps:
        gone = _gone(db, step)
        found = takeback.Conflict(gone) if gone else takeback.conflict(db, step)
        if force or found is None:
            wanted.append(step)
            continue
        kept.append(Kept(step.item, _name_of(db, step.item), step.name.replace("_", " "), found.reason))
        rest = takeback.without(step, found.values) if found.values else None
        if rest is not None:
            wanted.append(rest)
    return wanted, kept


def _gone(db: sqlite3.Connection, step: Step) -> str:
    """Why there is nobody left who would see the step taken back, if so."""
    level = level_of(step.name)
    table = {"model": "models", "version": "versions"}.get(level or "")
    if table is None or db.execute(f"SELECT 1 FROM {table} WHERE id = ?", (step.item,)).fetchone():  # noqa: S608 - names of ours
        return ""
    return f"is of a {level} that became part of another or is gone"


def _name_of(db: sqlite3.Connection, item: str) -> str:
    sql = "SELECT name FROM models WHERE id = :item OR id = (SELECT model_id FROM versions WHERE id = :item) LIMIT 1"
    row = db.execute(sql, {"item": item}).fetchone()
    return str(row[0]) if row else item
