"""Edits that lost a race: two machines said something of one thing without knowing of each other, and a person chooses.

The race follows from what was said (:mod:`registry.races`), so every machine lists the same ones, and one that is
settled anywhere is settled everywhere.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from hubman.sync.care import devices
from registry import clock, journal, race_edits, timestamps
from registry.database import Registry

Keep = Literal["mine", "theirs", "both"]
Kind = Literal["value", "text", "trash", "local"]


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """One of the two edits. ``device`` and ``at`` (UTC) are empty where nobody noted them, as of an imported file."""

    value: Any
    device: str = ""
    device_name: str = ""
    at: str = ""
    shows: bool = True
    """Whether it is what the model shows now; of texts both do."""


class LostEdit(msgspec.Struct, frozen=True, kw_only=True):
    """One field of an item that two machines edited. ``mine`` is this machine's edit; where neither is, what shows.

    Of kind ``trash`` the value of the side that shows is when the model was trashed, and that of the other the names of
    what was edited.
    """

    id: int
    item: str
    name: str
    """What the item is called now; its id where it is not known here."""
    field: str
    kind: Kind
    mine: Side
    theirs: Side
    mine_is_kept: bool
    can_keep_both: bool

    @property
    def kept(self) -> Any:
        return (self.mine if self.mine_is_kept else self.theirs).value

    @property
    def lost(self) -> Any:
        return (self.theirs if self.mine_is_kept else self.mine).value


def unseen(registry: Registry) -> list[LostEdit]:
    """Those that nobody has dealt with, the newest first."""
    db = registry.db
    rows = db.execute(
        "SELECT l.*, coalesce(m.name, c.name, l.item) AS name, "
        # What an undo brought back is the word of whoever said it first.
        "coalesce((SELECT stands_for FROM restored WHERE stamp = l.kept_stamp), l.kept_stamp) AS kept_origin, "
        "coalesce((SELECT stands_for FROM restored WHERE stamp = l.lost_stamp), l.lost_stamp) AS lost_origin "
        "FROM lost_edits l LEFT JOIN versions v ON v.id = l.item "
        "LEFT JOIN models m ON m.id = coalesce(v.model_id, l.item) LEFT JOIN collections c ON c.id = l.item "
        "WHERE l.seen = 0 ORDER BY l.id DESC"
    )
    names = devices.names(db)
    this = clock.device_id(db)
    return [_edit(row, names, this) for row in rows if journal.is_known(db, row["item"])]


def count(registry: Registry) -> int:
    """How many wait for a person."""
    rows = registry.db.execute("SELECT item FROM lost_edits WHERE seen = 0")
    return sum(journal.is_known(registry.db, row[0]) for row in rows)


def resolve(registry: Registry, edit_id: int, keep: Keep) -> None:
    """As :func:`resolve_all`, of one."""
    resolve_all(registry, [edit_id], keep)


def resolve_all(registry: Registry, edit_ids: Iterable[int], keep: Keep) -> None:
    """Make ``keep`` of each a person's newest word on every machine; one entry of the journal, which undo takes back.

    Raises :class:`registry.errors.NotFoundError` for an edit that has been dealt with, and
    :class:`registry.errors.UsageError` for ``both`` where one has to give way; nothing is written then.
    """
    known = {edit.id: edit for edit in unseen(registry)}
    choices = [(number, _choice(known.get(number), keep)) for number in edit_ids]
    if choices:
        race_edits.settle(registry, choices)


def _choice(edit: LostEdit | None, keep: Keep) -> race_edits.Choice:
    if keep == "both" or edit is None:
        return "both"
    return "kept" if (keep == "mine") == edit.mine_is_kept else "lost"


def _edit(row: sqlite3.Row, names: dict[str, str], this: str) -> LostEdit:
    kept = _side(row["kept"], row["kept_origin"], names, shows=True)
    lost = _side(row["lost"], row["lost_origin"], names, shows=row["kind"] == "text")
    mine_is_kept = not (lost.device == this and kept.device not in {this, ""})
    return LostEdit(
        id=row["id"],
        item=row["item"],
        name=row["name"],
        field=row["field"],
        kind=row["kind"],
        mine=kept if mine_is_kept else lost,
        theirs=lost if mine_is_kept else kept,
        mine_is_kept=mine_is_kept,
        can_keep_both=race_edits.can_keep_both(row["kind"], row["field"]),
    )


def _side(value: str, stamp: str, names: dict[str, str], *, shows: bool) -> Side:
    said = {"value": msgspec.json.decode(value), "shows": shows}
    if len(stamp) != clock.STAMP_LENGTH:
        return Side(**said)
    device = clock.device_of(stamp)
    at = timestamps.of(datetime.fromtimestamp(clock.stamp_ms(stamp) / 1000, UTC))
    return Side(**said, device=device, device_name=names.get(device, ""), at=at)
