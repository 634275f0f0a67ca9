"""A recipe as properties, drawn line by line: a form of so many fields would take seconds to open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from tui.widgets.columns import Column
from tui.widgets.rows import Cell, RowList


@dataclass(frozen=True)
class RecipeLine:
    """A group's title (no ``path``) or a field."""

    title: str
    path: str = ""
    value: str = ""
    edited: bool = False
    clashes: bool = False
    """Whether it contradicts another value."""


class RecipeList(RowList[RecipeLine]):
    """The recipe's fields by group; what differs from the preset is marked."""

    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("", 1),
        Column("", 20),
        Column("", 10, grow=True),
        Column("", 6, drop=1),
    )
    HEADER: ClassVar[bool] = False

    def cells(self, item: RecipeLine) -> Sequence[Cell]:
        if not item.path:
            return ("", ""), (item.title, "accent"), ("", ""), ("", "")
        sign: Cell = ("✘", "bad") if item.clashes else ("●", "good") if item.edited else ("", "")
        style = "bad" if item.clashes else "strong" if item.edited else ""
        return sign, (item.title, "muted"), (item.value or "·", style), ("yours" if item.edited else "", "good")

    def find(self, path: str) -> int | None:
        """The line of a field."""
        found = (index for index in range(self.row_count) if (line := self.item(index)) and line.path == path)
        return next(found, None)
