"""The lists of the Train screen: images, recipe, runs; and the strip of samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from tui import formats
from tui.services.watch import JobView
from tui.widgets.columns import Column
from tui.widgets.rows import Cell, RowList

if TYPE_CHECKING:
    from hubman.train.checks import Finding
    from hubman.train.dataset import DatasetImage

_MARKS = {"error": ("✘", "bad"), "warn": ("!", "warn"), "note": ("·", "muted")}


@dataclass(frozen=True)
class ImageLine:
    """An image with what the checks say of it; the whole set has no ``image``."""

    image: DatasetImage | None
    findings: tuple[Finding, ...] = ()

    @property
    def path(self) -> Path | None:
        return self.image.path if self.image else None


class ImageList(RowList[ImageLine]):
    """Images with their captions; the worst finding marks the line."""

    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("", 1),
        Column("Image", 14),
        Column("Size", 9, drop=1),
        Column("Caption", 12, grow=True),
    )

    def cells(self, item: ImageLine) -> Sequence[Cell]:
        mark = _MARKS[item.findings[0].severity] if item.findings else ("✔", "good")
        if item.image is None:
            return mark, ("the whole set", "accent"), ("", ""), (formats.count(len(item.findings), "remark"), "muted")
        picture = item.image.picture
        size = f"{picture.width}x{picture.height}" if not picture.error else ""
        caption = formats.one_line(item.image.caption or "")
        return (
            mark,
            (item.image.name, ""),
            (size, "muted"),
            (caption or "no caption: e writes one", "" if caption else "warn"),
        )


@dataclass(frozen=True)
class RecipeLine:
    """A group's title (no ``name``) or a field."""

    group: str
    name: str = ""
    value: str = ""
    edited: bool = False

    @property
    def title(self) -> str:
        return self.name.rpartition(".")[2].replace("_", " ")


class RecipeList(RowList[RecipeLine]):
    """The recipe as properties."""

    COLUMNS: ClassVar[tuple[Column, ...]] = (Column("", 18), Column("", 12, grow=True), Column("", 6, drop=1))
    HEADER: ClassVar[bool] = False

    def cells(self, item: RecipeLine) -> Sequence[Cell]:
        if not item.name:
            return (item.group, "accent"), ("", ""), ("", "")
        return (
            (f"  {item.title}", "muted"),
            (item.value or "·", ""),
            ("yours" if item.edited else "", "good"),
        )


class RunList(RowList[JobView]):
    """Trainings, the newest first."""

    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("Training", 14, grow=True),
        Column("State", 9),
        Column("Begun", 6, drop=1, right=True),
    )

    def cells(self, item: JobView) -> Sequence[Cell]:
        styles = {"running": "accent", "done": "good", "failed": "bad", "cancelled": "warn"}
        title = item.job.title.removeprefix("train ")
        return (
            (formats.one_line(title), ""),
            (item.job.state, styles.get(item.job.state, "muted")),
            (formats.age(item.job.created_at), "muted"),
        )
