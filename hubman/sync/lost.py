"""Edits that gave way to a later one of another machine: to be looked at, and taken back if they were right."""

from __future__ import annotations

from typing import Any

import msgspec

from registry import edits
from registry.database import Registry
from registry.errors import NotFoundError


class LostEdit(msgspec.Struct, frozen=True, kw_only=True):
    """One field of an item that two machines edited without knowing of each other; ``kept`` shows, ``lost`` does not."""

    id: int
    item: str
    name: str
    """What the item is called now; its id where it is not known here."""
    field: str
    kept: Any
    lost: Any


def unseen(registry: Registry) -> list[LostEdit]:
    """Those that nobody has dealt with here, the newest first."""
    rows = registry.db.execute(
        "SELECT l.id, l.item, l.field, l.kept, l.lost, coalesce(m.name, l.item) AS name FROM lost_edits l "
        "LEFT JOIN versions v ON v.id = l.item LEFT JOIN models m ON m.id = coalesce(v.model_id, l.item) "
        "WHERE l.seen = 0 ORDER BY l.id DESC"
    )
    return [
        LostEdit(
            id=row["id"],
            item=row["item"],
            name=row["name"],
            field=row["field"],
            kept=msgspec.json.decode(row["kept"]),
            lost=msgspec.json.decode(row["lost"]),
        )
        for row in rows
    ]


def dismiss(registry: Registry, edit_id: int) -> None:
    """Leave it at the value that shows."""
    with registry.transaction() as db:
        db.execute("UPDATE lost_edits SET seen = 1 WHERE id = ?", (edit_id,))


def bring_back(registry: Registry, edit_id: int) -> None:
    """Make the lost value a person's newest word, on every machine. Raises :class:`NotFoundError`."""
    found = next((edit for edit in unseen(registry) if edit.id == edit_id), None)
    if found is None:
        raise NotFoundError("this edit has been dealt with already", "look at the list again")
    with registry.transaction():
        edits.bring_back(registry, found.item, found.field, found.lost)
        dismiss(registry, edit_id)
