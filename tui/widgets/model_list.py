"""The library's list: any number of models, of which only the visible rows are read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from registry.records import ModelRow
from tui import formats
from tui.looks import looks_of
from tui.widgets.columns import Column
from tui.widgets.rows import Cell, RowList

Fetch = Callable[[Sequence[str]], list[ModelRow]]
_KEPT = 2000
"""Rows kept in memory at most; a screenful is read in about a millisecond."""


class ModelOrder:
    """Which models are shown in which order, the rows read so far, and the marks. Shared by list and cards."""

    def __init__(self, fetch: Fetch, failed: Callable[[str], object] = lambda _: None) -> None:
        self._fetch = fetch
        self._failed = failed
        self._is_broken = False
        self._rows: dict[str, ModelRow] = {}
        self.ids: Sequence[str] = ()
        self.marks: set[str] = set()

    def show(self, ids: Sequence[str], *, more: bool = False) -> None:
        """Show these models; ``more`` of them follow soon, so marks are not dropped yet."""
        self.ids = ids
        self._rows.clear()
        self._is_broken = False
        if not more:
            self.marks &= set(ids)

    def prepare(self, first: int, last: int) -> None:
        """Read the rows ``first`` to ``last`` (exclusive) that are not there yet.

        Called while drawing, where nothing may be raised: a failure is told once, and the rows stay empty.
        """
        missing = [model for model in self.ids[max(0, first) : last] if model not in self._rows]
        if not missing or self._is_broken:
            return
        if len(self._rows) > _KEPT:
            self._rows.clear()
        try:
            self._rows.update((row.id, row) for row in self._fetch(missing))
        except Exception as error:
            self._is_broken = True
            self._failed(f"the library can't be read ({error})")

    def row(self, index: int) -> ModelRow | None:
        if not 0 <= index < len(self.ids):
            return None
        model = self.ids[index]
        if model not in self._rows:
            self.prepare(index, index + 1)
        return self._rows.get(model)


class ModelList(RowList[ModelRow]):
    """Name, base, kind, rank, strength, size, stars, age and flags, as many as fit."""

    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("", 1),
        Column("Name", 22, grow=True),
        Column("Base", 11, drop=1),
        Column("Kind", 7, drop=7),
        Column("Rank", 4, drop=6, right=True),
        Column("Str", 4, drop=5, right=True),
        Column("Size", 8, drop=8, right=True),
        Column("Rating", 6, drop=3),
        Column("Added", 6, drop=4, right=True),
        Column("Lic", 5, drop=9),
        Column("", 3, drop=2),
    )

    def __init__(self, order: ModelOrder, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.order = order

    @property
    def row_count(self) -> int:
        return len(self.order.ids)

    def item(self, index: int) -> ModelRow | None:
        return self.order.row(index)

    def prepare(self, first: int, last: int) -> None:
        self.order.prepare(first, last)

    def cells(self, item: ModelRow) -> Sequence[Cell]:
        marked = item.id in self.order.marks
        name = looks_of(self).name(item.id, formats.one_line(item.name)) + (
            f"  ({item.versions})" if item.versions > 1 else ""
        )
        return (
            ("●", "mark") if marked else ("♥", "accent") if item.favourite else (" ", ""),
            (name, "mark" if marked else "muted" if set(item.flags) & set("MO") else ""),
            (item.base_model or "?", "muted"),
            (item.network_type or item.kind, "muted"),
            (str(item.rank) if item.rank else "", "muted"),
            (formats.strength(item.strength), ""),
            (formats.size(item.size), "muted"),
            (formats.stars(item.rating), "warn"),
            (formats.age(item.added_at), "muted"),
            (item.licence, "muted"),
            (item.flags, "bad" if set(item.flags) & set("!M") else "good"),
        )
