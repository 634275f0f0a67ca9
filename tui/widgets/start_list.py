"""The three choices of a training, each with what is known to choose from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from tui.widgets.columns import Column
from tui.widgets.rows import Cell, RowList

Part = Literal["dataset", "base", "kind"]


@dataclass(frozen=True)
class StartLine:
    """A heading (no ``part``), or a choice; an empty ``value`` asks for another one."""

    text: str
    remark: str = ""
    part: Part | None = None
    value: str = ""
    chosen: bool = False


class StartList(RowList[StartLine]):
    """Headings and choices; a filled dot marks what is chosen. The cursor passes over headings."""

    COLUMNS: ClassVar[tuple[Column, ...]] = (Column("", 1), Column("", 26), Column("", 24, grow=True, drop=1))
    HEADER: ClassVar[bool] = False

    def cells(self, item: StartLine) -> Sequence[Cell]:
        if item.part is None:
            return ("", ""), (item.text, "accent"), (item.remark, "muted")
        mark: Cell = ("…", "muted") if not item.value else ("●", "good") if item.chosen else ("○", "muted")
        return mark, (item.text, "strong" if item.chosen else ""), (item.remark, "muted")

    def do_down(self) -> None:
        self._step(1)

    def do_up(self) -> None:
        self._step(-1)

    def _step(self, by: int) -> None:
        at = self.cursor + by
        while (line := self.item(at)) is not None and line.part is None:
            at += by
        if line is not None:
            self.cursor = at
