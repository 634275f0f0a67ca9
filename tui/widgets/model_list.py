"""The library's list: any number of models, of which only the visible rows are read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual.reactive import reactive

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
        self.combo: frozenset[str] = frozenset()
        """Models that are gathered to be drawn together."""

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
    """One line a model; which columns are shown follows from the width, the name always among them."""

    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("", 1),
        Column("★", 5, drop=3),
        Column("Name", 24, grow=True),
        Column("Version", 8, drop=7),
        Column("Base", 11, drop=1),
        Column("Kind", 7, drop=6),
        Column("Rank", 4, drop=5, right=True),
        Column("Str", 4, drop=9, right=True),
        Column("Size", 8, drop=8, right=True),
        Column("Used", 6, drop=10, right=True),
        Column("Added", 6, drop=4, right=True),
        Column("Lic", 5, drop=11),
        Column("", 3, drop=2),
        Column("Where", 9, drop=3),
    )
    SORTS: ClassVar[dict[str, tuple[str, bool]]] = {
        "name": ("Name", False), "rating": ("★", True), "base": ("Base", False), "rank": ("Rank", True),
        "strength": ("Str", True), "size": ("Size", True), "used": ("Used", True), "uses": ("Used", True),
        "added": ("Added", True),
    }  # fmt: skip
    """Order of the query line to (the column that shows it, whether the largest comes first)."""

    sorted_by: reactive[str] = reactive("name")
    shows_where: reactive[bool] = reactive(False)
    """Whether there is a column for where the weights are: without other machines they are here."""

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

    @property
    def columns(self) -> tuple[Column, ...]:
        return self.COLUMNS if self.shows_where else _WITHOUT_WHERE

    def title(self, index: int) -> str:
        """With ▾ where the largest comes first, ▴ where the smallest does."""
        column = self.columns[index]
        shown, is_falling = self.SORTS.get(self.sorted_by.removeprefix("-"), ("", False))
        if not column.title or column.title != shown:
            return column.title
        mark = "▾" if is_falling != self.sorted_by.startswith("-") else "▴"
        return column.title[: column.width - 1] + mark

    def cells(self, item: ModelRow) -> Sequence[Cell]:
        marked = item.id in self.order.marks
        looks = looks_of(self)
        name = looks.name(item.id, formats.one_line(item.name)) + (f"  ({item.versions})" if item.versions > 1 else "")
        return (
            self._mark(item),
            (formats.stars(item.rating), "warn"),
            (name, "mark" if marked else "muted" if set(item.flags) & set("MO") else ""),
            ("" if looks.is_private else formats.one_line(item.version_name), "muted"),
            (item.base_model or "?", "muted"),
            (item.network_type or item.kind, "muted"),
            (str(item.rank) if item.rank else "", "muted"),
            (formats.strength(item.strength), ""),
            (formats.size(item.size), "muted"),
            (formats.age(item.used_at) if item.used_at else "never", "muted"),
            (formats.age(item.added_at), "muted"),
            (item.licence, "muted"),
            (item.flags, "bad" if set(item.flags) & set("!M") else "good"),
            *([_WHERE[item.where]] if self.shows_where else []),
        )

    def _mark(self, item: ModelRow) -> Cell:
        if item.id in self.order.marks:
            return "●", "mark"
        if item.id in self.order.combo:
            return "◆", "good"
        return ("♥", "accent") if item.favourite else (" ", "")


_WITHOUT_WHERE = ModelList.COLUMNS[:-1]
_WHERE: dict[str, Cell] = {
    "here": ("here", ""),
    "everywhere": ("all", "good"),
    "elsewhere": ("elsewhere", "warn"),
    "nowhere": ("nowhere", "bad"),
}
