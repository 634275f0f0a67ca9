"""The stack of LoRAs and the settings of the Generate screen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from tui import formats
from tui.generation import StackItem
from tui.widgets.columns import Column
from tui.widgets.rows import Cell, RowList

BAR = 10


class StackList(RowList[StackItem]):
    """LoRAs with their strengths as bars from 0 to 1."""

    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("LoRA", 12, grow=True),
        Column("", BAR, drop=2),
        Column("Strength", 8, right=True),
        Column("", 1),
    )

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.warned: frozenset[str] = frozenset()
        """Names of the LoRAs that a warning is about."""

    def cells(self, item: StackItem) -> Sequence[Cell]:
        low, high = (item.low if item.low is not None else 0.0), (item.high if item.high is not None else 1.0)
        inside = low <= item.strength <= high
        return (
            (formats.one_line(item.alias), "" if item.path else "warn"),
            (formats.bar(abs(item.strength), BAR), "accent" if inside else "warn"),
            (formats.strength(item.strength), "strong"),
            ("!" if item.alias in self.warned or not item.path else " ", "warn"),
        )


class SettingsList(RowList[tuple[str, str]]):
    """(name, value) lines."""

    COLUMNS: ClassVar[tuple[Column, ...]] = (Column("", 10), Column("", 10, grow=True))
    HEADER: ClassVar[bool] = False

    def cells(self, item: tuple[str, str]) -> Sequence[Cell]:
        name, value = item
        return (name, "muted"), (formats.one_line(value) or "·", "")
