"""The journal: every edit that a person made on this machine, with what it takes to take it back.

What a sync, a scan or a pull says is no edit of a person and does not stand here. An entry that takes another back
is an entry too, so it can be taken back in turn.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence

import msgspec

from registry import collection_tree, ids, said, settled, timestamps
from registry.database import Registry
from registry.errors import NotFoundError
from registry.said import Step

Move = tuple[str, str]
"""A file's path before and after."""

FINAL = "purge"
"""The verb that can't be taken back."""

_MADE_BY_A_PERSON = (collection_tree.PREFIX, ids.VIEW, ids.FOLLOW, ids.IGNORE)
"""How the ids of what comes to be by being edited begin."""

KEPT = 2000
"""Entries that are kept; older ones are forgotten."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """Something that was done, in words, to which models. ``is_undo``: it took the entry ``undoes`` back."""

    id: int
    at: str
    verb: str
    label: str
    models: tuple[str, ...] = ()
    undoes: int | None = None
    is_undo: bool = False
    undone_by: int | None = None


def write(
    registry: Registry,
    verb: str,
    label: str,
    items: Iterable[str],
    act: Callable[[], object],
    *,
    undoes: Entry | None = None,
    moves: Sequence[Move] = (),
) -> Entry | None:
    """Do ``act``, which may change what is said of ``items`` and of nothing else, and enter it.

    ``moves`` are files that have been moved as a part of it. All in one transaction. Returns None, with nothing
    entered, where it changed nothing. Raises :class:`NotFoundError` for a model or version that nobody knows (any more):
    nobody would ever see what is said of it.
    """
    with registry.transaction() as db:
        wanted = settled.all_of(db, list(items))
        if undoes is None:
            _refuse_unknown(db, wanted)
        before = said.of_all(db, wanted)
        act()
        steps = said.steps(before, said.of_all(db, before))
        if not (steps or undoes or moves):
            return None
        models = _models_of(db, before if moves else dict.fromkeys(step.item for step in steps))
        entry = _enter(db, verb, label, models, undoes)
        _enter_steps(db, entry, steps)
        rows = [(entry.id, number, *move) for number, move in enumerate(moves)]
        db.executemany("INSERT INTO journal_moves VALUES (?, ?, ?, ?)", rows)
        return entry


def _refuse_unknown(db: sqlite3.Connection, items: Iterable[str]) -> None:
    for item in items:
        if not is_known(db, item):
            raise NotFoundError(f"no model {item}", "hubman ls shows what is there")


def is_known(db: sqlite3.Connection, item: str) -> bool:
    """Whether anybody would see what is said of ``item``: a model, a version, or what a person made."""
    sql = "SELECT 1 FROM versions WHERE id = :item UNION ALL SELECT 1 FROM models WHERE id = :item"
    return item.startswith(_MADE_BY_A_PERSON) or db.execute(sql, {"item": item}).fetchone() is not None


def note(registry: Registry, verb: str, label: str, models: Sequence[str], *, undoes: Entry | None = None) -> Entry:
    """Enter something that changes nothing of what is said; the caller keeps what it takes to take it back, if anything."""
    with registry.transaction() as db:
        return _enter(db, verb, label, models, undoes)


def _enter(db: sqlite3.Connection, verb: str, label: str, models: Sequence[str], undoes: Entry | None) -> Entry:
    # What takes back an undo is done anew, and can be undone like anything else.
    is_undo = undoes is not None and not undoes.is_undo
    row = (timestamps.now(), verb, label, msgspec.json.encode(models).decode(), undoes.id if undoes else None, is_undo)
    sql = "INSERT INTO journal (at, verb, label, models, undoes, is_undo) VALUES (?, ?, ?, ?, ?, ?) RETURNING *"
    entry = _entry(db, db.execute(sql, row).fetchone())
    if undoes is not None:
        db.execute("UPDATE journal SET undone_by = ? WHERE id = ?", (entry.id, undoes.id))
    db.execute("DELETE FROM journal WHERE id <= ?", (entry.id - KEPT,))
    for table in ("journal_steps", "journal_moves", "journal_writes", "journal_folders"):
        db.execute(f"DELETE FROM {table} WHERE entry <= ?", (entry.id - KEPT,))  # noqa: S608 - names of ours
    return entry


def _enter_steps(db: sqlite3.Connection, entry: Entry, steps: Sequence[Step]) -> None:
    db.executemany(
        "INSERT INTO journal_steps VALUES (?, ?, ?, ?, ?, ?, ?)",
        [
            (entry.id, number, step.item, step.kind, step.name, _sayings(step.before), _sayings(step.after))
            for number, step in enumerate(steps)
        ],
    )


def _sayings(sayings: list[said.Saying]) -> str:
    return msgspec.json.encode(sayings).decode()


def _models_of(db: sqlite3.Connection, items: Iterable[str]) -> list[str]:
    """The models that ``items`` are, or are versions of."""
    sql = (
        "SELECT id FROM models WHERE id = :item UNION SELECT model_id FROM versions WHERE id = :item ORDER BY 1 LIMIT 1"
    )
    found = (db.execute(sql, {"item": item}).fetchone() for item in items)
    return list(dict.fromkeys(row[0] for row in found if row))


def entries(registry: Registry, limit: int = 100) -> list[Entry]:
    """The last ``limit`` entries, the newest first."""
    rows = registry.db.execute("SELECT * FROM journal ORDER BY id DESC LIMIT ?", (limit,)).fetchall()
    return [_entry(registry.db, row) for row in rows]


def entry(registry: Registry, number: int) -> Entry:
    """Raises :class:`NotFoundError`."""
    row = registry.db.execute("SELECT * FROM journal WHERE id = ?", (number,)).fetchone()
    if row is None:
        raise NotFoundError(f"the journal has no entry {number}", "hubman journal lists what was done")
    return _entry(registry.db, row)


def last(registry: Registry) -> Entry | None:
    """What ``undo`` takes back: the newest entry that is in force and takes nothing back itself."""
    sql = "SELECT * FROM journal WHERE undone_by IS NULL AND is_undo = 0 AND verb <> ? ORDER BY id DESC LIMIT 1"
    row = registry.db.execute(sql, (FINAL,)).fetchone()
    return _entry(registry.db, row) if row else None


def steps_of(db: sqlite3.Connection, number: int) -> list[Step]:
    rows = db.execute(
        "SELECT item, kind, name, before, after FROM journal_steps WHERE entry = ? ORDER BY number", (number,)
    )
    return [
        Step(item, kind, name, _decode_sayings(before), _decode_sayings(after))
        for item, kind, name, before, after in rows
    ]


def was_edited(db: sqlite3.Connection, item: str, name: str) -> bool:
    """Whether a person edited the set or text ``name`` of ``item`` on this machine, as far back as the journal goes."""
    sql = "SELECT 1 FROM journal_steps WHERE item = ? AND name = ? AND kind IN ('set', 'text') LIMIT 1"
    return db.execute(sql, (item, name)).fetchone() is not None


def taken_away(db: sqlite3.Connection, item: str, name: str) -> set[str]:
    """The values that a person took out of the set ``name`` of ``item``, as :func:`was_edited` knows."""
    sql = "SELECT before, after FROM journal_steps WHERE item = ? AND name = ? AND kind = 'set'"
    found: set[str] = set()
    for before, after in db.execute(sql, (item, name)):
        found |= {value for value, _ in _decode_sayings(before)} - {value for value, _ in _decode_sayings(after)}
    return found


def moves_of(db: sqlite3.Connection, number: int) -> list[Move]:
    """The files that an entry moved."""
    rows = db.execute("SELECT source, target FROM journal_moves WHERE entry = ? ORDER BY number", (number,))
    return [(row[0], row[1]) for row in rows]


def note_folders(db: sqlite3.Connection, number: int, folders: Iterable[str]) -> None:
    """Keep that an entry made these folders."""
    db.executemany("INSERT OR IGNORE INTO journal_folders VALUES (?, ?)", [(number, folder) for folder in folders])


def folders_of(db: sqlite3.Connection, number: int) -> list[str]:
    """The folders that an entry made, the outer ones first."""
    rows = db.execute("SELECT path FROM journal_folders WHERE entry = ? ORDER BY path", (number,))
    return [row[0] for row in rows]


_decode_sayings = msgspec.json.Decoder(list[said.Saying]).decode


def _entry(db: sqlite3.Connection, row: sqlite3.Row) -> Entry:
    # A bulk edit names all models in one text: to write it anew for each file that is hashed would take a day.
    models = settled.models_of(db, msgspec.json.decode(row["models"]))
    values = {**dict(row), "models": models, "is_undo": bool(row["is_undo"])}
    return msgspec.convert(values, Entry)
