"""Models of the site as lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from tui import formats
from tui.remote_words import flags
from tui.widgets.columns import Column
from tui.widgets.rows import Cell, RowList

if TYPE_CHECKING:
    from tui.civitai_search import Hit

MARKS = {"here": ("✔", "good"), "older": ("↑", "warn"), "known": ("○", "muted"), "": (" ", "")}
"""Signs of what the library has of a model, and their colours."""


class HitList(RowList["Hit"]):
    """``✔`` stands before those whose newest version is here, ``↑`` where an older one is, ``○`` where none lies here."""

    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("", 1),
        Column("Name", 18, grow=True),
        Column("Type", 10, drop=4),
        Column("Base", 12, drop=1),
        Column("Creator", 12, drop=3),
        Column("Downloads", 9, drop=2, right=True),
        Column("Likes", 7, drop=6, right=True),
        Column("Size", 8, drop=5, right=True),
        Column("", 2),
    )

    def cells(self, item: Hit) -> Sequence[Cell]:
        model = item.model
        newest = model.versions[0] if model.versions else None
        file = newest.primary_file if newest else None
        return (
            MARKS[item.mark],
            (formats.one_line(model.name) or f"model {model.id}", ""),
            (formats.one_line(model.type), "muted"),
            (formats.one_line(newest.base_model) if newest else "", "muted"),
            (formats.one_line(model.creator), "muted"),
            (formats.number(model.stats.download_count), "muted"),
            (formats.number(model.stats.thumbs_up_count), "muted"),
            (formats.size(file.size) if file else "", "muted"),
            (flags(model, newest), "warn"),
        )
