"""A person chooses between two edits that raced. What is chosen is an edit like any other: it syncs and can be undone."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Literal

import msgspec

from registry import changes, edits, fields, journal, known, library, projection, rivals, settled
from registry.changes import Change
from registry.database import Registry
from registry.errors import NotFoundError, UsageError

Choice = Literal["kept", "lost", "both"]
"""What shows now, what gave way, or the one with the other."""


def can_keep_both(kind: str, field: str) -> bool:
    """Whether a race of this kind can end with both: of texts and sets, and of a trashed model's edits they stand anyway."""
    return kind == "text" or (kind == "local" and (field in fields.TEXTS or field in fields.SETS))


def settle(registry: Registry, choices: Sequence[tuple[int, Choice]]) -> None:
    """Make of each race (a row of ``lost_edits``) what was chosen, all as one entry of the journal.

    Raises :class:`NotFoundError` for a race that is over, and :class:`UsageError` for ``both`` where one has to give way;
    nothing is written then.
    """
    with registry.transaction() as db:
        rows = [(_open(db, number), choice) for number, choice in choices]
        for row, choice in rows:
            if choice == "both" and not can_keep_both(row["kind"], row["field"]):
                raise UsageError(f"{row['field'].replace('_', ' ')} can't be both", "keep mine or theirs")
        items = list(dict.fromkeys(item for row, _ in rows for item in (row["item"], target_of(db, row))))
        models = [item for item in items if not _is_past(db, item)]
        names = ", ".join(sorted({row["field"].replace("_", " ") for row, _ in rows}))

        def act() -> None:
            for row, choice in rows:
                _settle(registry, row, choice)

        journal.write(registry, "edit", f"{names} of {edits.names_of(registry, models)}", items, act)


def target_of(db: sqlite3.Connection, row: sqlite3.Row) -> str:
    """The item that a race is about now: a version may have come to another model since."""
    item = str(row["item"])
    if fields.level_of(row["field"]) == "model" and _is_past(db, item):
        return settled.model_of_version(db, item)
    return item


def _is_past(db: sqlite3.Connection, item: str) -> bool:
    """Whether ``item`` was the model of a version that belongs to another one now."""
    sql = "SELECT 1 FROM versions WHERE id = :item AND model_id <> :item AND NOT EXISTS (SELECT 1 FROM models WHERE id = :item)"
    return db.execute(sql, {"item": item}).fetchone() is not None


def _open(db: sqlite3.Connection, number: int) -> sqlite3.Row:
    row: sqlite3.Row | None = db.execute("SELECT * FROM lost_edits WHERE id = ? AND seen = 0", (number,)).fetchone()
    if row is None:
        raise NotFoundError(f"edit {number} has been dealt with already", "hubman conflicts lists what is open")
    return row


def _settle(registry: Registry, row: sqlite3.Row, choice: Choice) -> None:
    if row["kind"] == "trash":
        _settle_trash(registry, row, choice)
    elif row["kind"] == "local":
        _settle_local(registry, row, choice)
    else:
        made = _text(registry.db, row, choice) if row["kind"] == "text" else _value(registry.db, row, choice)
        projection.rebuild(registry.db, changes.record(registry.db, made))


def _value(db: sqlite3.Connection, row: sqlite3.Row, choice: Choice) -> list[Change]:
    """Said anew, so that every machine has it as the latest, and as one whose author knew both."""
    item, name = row["item"], row["field"]
    value = msgspec.json.decode(row["lost"] if choice == "lost" else row["kept"])
    known = sorted(rivals.stamps_of(db, item, name, row["lost"]))
    return [
        ["rem", item, rivals.USER + name, "", known],
        changes.set_field(db, target_of(db, row), "user", name, value),
    ]


def _text(db: sqlite3.Connection, row: sqlite3.Row, choice: Choice) -> list[Change]:
    """What was lost against the newest of the others, which the same entry may have made just now."""
    item, field, lost = row["item"], row["field"], msgspec.json.decode(row["lost"])
    sql = "SELECT dot, value FROM texts WHERE item = ? AND field = ? ORDER BY dot DESC"
    standing = db.execute(sql, (item, field)).fetchall()
    kept = next((text["value"] for text in standing if text["value"] != lost), lost)
    text = {"lost": lost, "kept": kept, "both": known.joined([lost, kept])}[choice]
    _, _, _, _, dot, _ = changes.add_text(db, item, field, text)
    return [["txt", item, field, text, dot, sorted(text["dot"] for text in standing if text["value"] in {lost, kept})]]


def _settle_trash(registry: Registry, row: sqlite3.Row, choice: Choice) -> None:
    # Trashed again by somebody who knows the edit, or not at all.
    value = msgspec.json.decode(row["kept"]) if choice == "kept" else None
    library.set_facts(registry, row["item"], "user", {"deleted_at": value})


def _settle_local(registry: Registry, row: sqlite3.Row, choice: Choice) -> None:
    if choice != "kept":
        value, field = msgspec.json.decode(row["lost"]), row["field"]
        if choice == "both":
            kept = msgspec.json.decode(row["kept"])
            value = known.joined([kept, value]) if field in fields.TEXTS else list(dict.fromkeys([*kept, *value]))
        edits.assign(registry, target_of(registry.db, row), field, value)
    registry.db.execute("UPDATE lost_edits SET seen = 1 WHERE id = ?", (row["id"],))
