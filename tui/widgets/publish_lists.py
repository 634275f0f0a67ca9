"""The lists of the publish screens: the form's rows, the findings, the steps, the pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from tui import formats
from tui.publish_rows import Line
from tui.publish_steps import Step
from tui.widgets.columns import Column
from tui.widgets.rows import Cell, RowList

if TYPE_CHECKING:
    from hubman.civitai.finding import Finding
    from hubman.civitai.form import FormPicture

_MARKS = {"missing": ("✘", "bad"), "warning": ("!", "warn"), "": ("", "")}


class FormList(RowList[Line]):
    """The fields of the form: what is missing is marked, and each says who it is from."""

    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("", 1),
        Column("Field", 21),
        Column("Value", 16, grow=True),
        Column("Source", 10, drop=1),
    )
    HEADER: ClassVar[bool] = False

    def cells(self, item: Line) -> Sequence[Cell]:
        mark, style = _MARKS[item.state]
        value = formats.one_line(item.value) or ("to be answered" if item.state == "missing" else "·")
        return (
            (mark, style),
            (item.label, style or "muted"),
            (value, style if not item.value else ""),
            (item.source, "good" if item.source == "you" else "muted"),
        )


class FindingList(RowList["Finding"]):
    """What the checks found, what stands in the way first."""

    COLUMNS: ClassVar[tuple[Column, ...]] = (Column("", 1), Column("", 20, grow=True))
    HEADER: ClassVar[bool] = False

    def cells(self, item: Finding) -> Sequence[Cell]:
        mark, style = ("✘", "bad") if item.level == "error" else ("✔", "good") if item.accepted else ("!", "warn")
        return (mark, style), (formats.one_line(item.message), "muted" if item.accepted else "")


class StepList(RowList[Step]):
    """The steps of a publication."""

    COLUMNS: ClassVar[tuple[Column, ...]] = (Column("", 1), Column("", 20, grow=True), Column("", 9, right=True))
    HEADER: ClassVar[bool] = False

    def cells(self, item: Step) -> Sequence[Cell]:
        mark, style = {"done": ("✔", "good"), "runs": ("▸", "accent"), "waits": ("·", "muted")}[item.state]
        count = f"{item.done} of {item.total}" if item.total > 1 else ""
        return (mark, style), (item.label, "muted" if item.state == "waits" else ""), (count, "muted")


Shown = tuple["FormPicture", int, str]
"""(picture, its place from 1 or 0 where it is left out, its level)"""


class ShownList(RowList[Shown]):
    """The pictures of a version: which are shown, in which order, how they say that they were made."""

    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("", 2, right=True),
        Column("Picture", 14, grow=True),
        Column("Size", 9, drop=2),
        Column("Level", 5),
        Column("Made with", 16, grow=True, drop=1),
    )

    def cells(self, item: Shown) -> Sequence[Cell]:
        picture, place, level = item
        prompt = picture.generation.get("prompt")
        said = formats.one_line(str(prompt)) if prompt else "it does not say"
        style = "" if place else "muted"
        return (
            (str(place) if place else "○", "good" if place else "muted"),
            (formats.one_line(picture.name), style),
            (f"{picture.width}x{picture.height}", "muted"),
            (level, "muted"),
            (said, "muted" if prompt else "warn"),
        )
