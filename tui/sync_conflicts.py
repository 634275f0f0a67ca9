"""Two versions of one field, as the screen shows them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tui import formats

if TYPE_CHECKING:
    from hubman.sync.lost import LostEdit

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


def of(edit: LostEdit) -> Conflict:
    return Conflict(
        edit.id, edit.name, edit.field, _text(edit.field, edit.lost), _text(edit.field, edit.kept), "", "", "", "", "theirs", False,
    )  # fmt: skip


def _text(field: str, value: object) -> str:
    from registry import fields

    if isinstance(value, list | tuple):
        return ", ".join(str(one) for one in value)
    return fields.shown(field, value)
