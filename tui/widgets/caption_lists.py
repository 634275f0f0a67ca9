"""The lists of the caption editor: pictures with their captions, tags with their counts, and what an edit would change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tui import formats
from tui.caption_set import CaptionLine
from tui.widgets.columns import Column
from tui.widgets.rows import Cell, RowList

if TYPE_CHECKING:
    from hubman.train.captioning.tags import TagCount

NAME = 12
_AROUND = 16


def end_of(name: str) -> str:
    """A picture's name without its suffix; of a long one the end, which tells it from its neighbours."""
    stem = formats.one_line(name.rpartition(".")[0] or name)
    return stem if len(stem) <= NAME else f"…{stem[1 - NAME :]}"


class CaptionList(RowList[CaptionLine]):
    """A picture a line; the mark says whether its caption is typed, a draft, or wanting."""

    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("", 1),
        Column("Picture", NAME),
        Column("Caption", 8, grow=True, drop=1),
    )

    def cells(self, item: CaptionLine) -> Sequence[Cell]:
        mark = ("✎", "accent") if item.is_draft else ("✔", "good")
        if item.wanting:
            mark = ("✘", "bad") if item.problem else ("!", "warn")
        name = (end_of(item.name), "")
        if item.problem or not item.caption:
            return mark, name, (item.wanting, "bad" if item.problem else "warn")
        return mark, name, (formats.one_line(item.caption), "")


class TagList(RowList["TagCount"]):
    """Tags with how many captions they are in; ``captions`` is how many there are."""

    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("", 5, right=True),
        Column("", 12, grow=True),
        Column("", 10, drop=1),
    )
    HEADER: ClassVar[bool] = False

    captions: int = 0

    def cells(self, item: TagCount) -> Sequence[Cell]:
        remark = "in all" if item.count == self.captions > 1 else "once" if item.count == 1 else ""
        return (str(item.count), "accent"), (formats.one_line(item.tag), ""), (remark, "muted")


@dataclass(frozen=True)
class ChangeLine:
    """A caption before and after an edit."""

    name: str
    before: str
    after: str


class ChangeList(RowList[ChangeLine]):
    """What an edit would change, from a little before the first difference on."""

    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("Picture", NAME),
        Column("Now", 14, grow=True),
        Column("Then", 14, grow=True),
    )

    def cells(self, item: ChangeLine) -> Sequence[Cell]:
        before, after = formats.one_line(item.before), formats.one_line(item.after)
        same = next(
            (at for at, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), min(len(before), len(after))
        )
        start = max(0, same - _AROUND)
        dots = "…" if start else ""
        return (end_of(item.name), "muted"), (f"{dots}{before[start:]}", "muted"), (f"{dots}{after[start:]}", "")
