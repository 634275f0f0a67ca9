"""The stack of LoRAs, the settings and the axes of the Generate screen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from textual import events
from textual.binding import BindingType
from textual.message import Message

from tui import actions, formats
from tui.generation import StackItem
from tui.widgets.columns import GAP, Column, fit
from tui.widgets.rows import Cell, RowList

if TYPE_CHECKING:
    from hubman.generate.grids.spec import AxisSpec
    from tui.completing import Completion

BAR = 8
_TOP = 1.0
"""The strength at the end of a bar; a slider's is :data:`_SLIDER`."""
_SLIDER = 8.0


class StackList(RowList[StackItem]):
    """LoRAs with their strengths as sliders; h and l, arrows or a click on the bar move them."""

    BINDINGS: ClassVar[list[BindingType]] = [*actions.bindings("move", only=("left", "right"))]
    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("LoRA", 8, grow=True),
        Column("", BAR, drop=2),
        Column("", 5, right=True),
        Column("", 14, drop=1),
    )

    class Nudged(Message):
        """A strength is to change by so many steps."""

        def __init__(self, steps: int) -> None:
            super().__init__()
            self.steps = steps

    class Dragged(Message):
        """A strength is to be so much."""

        def __init__(self, strength: float) -> None:
            super().__init__()
            self.strength = strength

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.words: Mapping[str, str] = {}
        """What a remark says of a LoRA in a word, by SHA-256 in lower case."""

    def cells(self, item: StackItem) -> Sequence[Cell]:
        low, high = (item.low if item.low is not None else 0.0), (item.high if item.high is not None else _TOP)
        inside = item.slider or low <= item.strength <= high
        word = self.words.get(item.sha256.lower(), "")
        text = formats.strength(item.strength)
        if item.te is not None and item.te != item.strength:
            text = f"{text}*"
        return (
            (formats.one_line(item.alias), "muted" if item.off is not None else "" if item.path else "warn"),
            (formats.bar(abs(item.strength) / _reach(item), BAR), "accent" if inside else "warn"),
            ("off" if item.off is not None else text, "strong"),
            (f"! {word}" if word else _steps(item), "warn" if word else "muted"),
        )

    def do_left(self) -> None:
        self.post_message(self.Nudged(-1))

    def do_right(self) -> None:
        self.post_message(self.Nudged(1))

    def on_click(self, event: events.Click) -> None:
        super().on_click(event)
        left, width = self._bar_place()
        x = event.get_content_offset_capture(self).x
        item = self.current
        if item is not None and width and left <= x < left + width and event.chain == 1:
            share = (x - left + 0.5) / width
            self.post_message(self.Dragged(round(share * _reach(item) / 0.05) * 0.05))

    def _bar_place(self) -> tuple[int, int]:
        """(first cell, cells) of the bars; no cells where they are not shown."""
        x = 1
        for column, size in fit(self.columns, max(1, self.scrollable_content_region.width - 2)):
            if column == 1:
                return x, size
            x += size + GAP
        return 0, 0


def _reach(item: StackItem) -> float:
    return _SLIDER if item.slider else _TOP


def _steps(item: StackItem) -> str:
    """What else a tag says of it."""
    parts = [f"te {formats.strength(item.te)}" if item.te is not None and item.te != item.strength else ""]
    parts += [f"from {item.start}" if item.start else "", f"to {item.stop}" if item.stop is not None else ""]
    parts += [f"rank {item.rank}" if item.rank else "", item.blocks]
    return " ".join(part for part in parts if part)


class SettingsList(RowList[tuple[str, str]]):
    """(name, value) lines."""

    COLUMNS: ClassVar[tuple[Column, ...]] = (Column("", 10), Column("", 10, grow=True))
    HEADER: ClassVar[bool] = False

    def cells(self, item: tuple[str, str]) -> Sequence[Cell]:
        name, value = item
        return (name.replace("_", " "), "muted"), (formats.one_line(value) or "·", "")


class AxisList(RowList["AxisSpec"]):
    """The axes of the grid; the first is across, the second down, others are pages."""

    COLUMNS: ClassVar[tuple[Column, ...]] = (Column("", 6), Column("", 12, grow=True))
    HEADER: ClassVar[bool] = False

    def cells(self, item: AxisSpec) -> Sequence[Cell]:
        place = ("across", "down")[self._items.index(item)] if self._items.index(item) < 2 else "pages"
        return (place, "muted"), (formats.one_line(str(item)), "")


class CompletionList(RowList["Completion"]):
    """What completes a tag: names, bases, and whether they fit."""

    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("", 2),
        Column("", 10, grow=True),
        Column("", 24, drop=2),
        Column("", 4, right=True, drop=1),
    )
    HEADER: ClassVar[bool] = False
    MARKS: ClassVar[Mapping[bool | None, Cell]] = {True: ("✓", "good"), False: ("✗", "bad"), None: ("?", "muted")}

    def cells(self, item: Completion) -> Sequence[Cell]:
        return (
            self.MARKS[item.fits],
            (formats.one_line(item.name), "muted" if item.fits is False else ""),
            (item.base if item.fits is not False else f"{item.base}: another base", "muted"),
            (formats.strength(item.strength), ""),
        )
