"""Two versions of one field, as the screen shows them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tui import formats

if TYPE_CHECKING:
    from hubman.sync.lost import LostEdit
    from hubman.sync.lost import Side as Said

Side = Literal["mine", "theirs"]
_CUT = 400


@dataclass(frozen=True)
class Conflict:
    """One field that two machines wrote without knowing of each other. ``shows``: whose word is shown until it is settled."""

    id: int
    name: str
    field: str
    mine: str
    theirs: str
    mine_by: str
    theirs_by: str
    mine_at: str
    theirs_at: str
    shows: Literal["mine", "theirs", "both"]
    can_both: bool

    def text(self, side: Side) -> str:
        """A version in full."""
        return self.mine if side == "mine" else self.theirs

    def shown(self, side: Side) -> str:
        """A version on one line."""
        return formats.one_line(self.text(side)[:_CUT]) or "nothing"


def of(edit: LostEdit, names: Mapping[str, str]) -> Conflict:
    """``names`` are what machines are called, by id."""
    mine, theirs = edit.mine, edit.theirs
    shows: Literal["mine", "theirs", "both"] = (
        "both" if mine.shows and theirs.shows else "mine" if mine.shows else "theirs"
    )
    return Conflict(
        id=edit.id,
        name=edit.name,
        field="trash" if edit.kind == "trash" else edit.field,
        mine=_text(edit, mine),
        theirs=_text(edit, theirs),
        mine_by=names.get(mine.device, mine.device_name),
        theirs_by=names.get(theirs.device, theirs.device_name),
        mine_at=mine.at,
        theirs_at=theirs.at,
        shows=shows,
        can_both=edit.can_keep_both,
    )


def _text(edit: LostEdit, side: Said) -> str:
    from registry import fields

    value = side.value
    if edit.kind == "trash" and side.shows:
        return "put into the trash"
    if edit.kind == "trash":
        return f"edited: {', '.join(str(one).replace('_', ' ') for one in value)}"
    if edit.field in {"deleted_at", "removed_at"}:
        return "removed" if value else "kept"
    if isinstance(value, list | tuple):
        return ", ".join(str(one) for one in value)
    return fields.shown(edit.field, value)
