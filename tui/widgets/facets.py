"""The facets: how many models of those that match there are by base, type, tag and so on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual.binding import BindingType
from textual.message import Message

from tui import actions, formats
from tui.looks import looks_of
from tui.widgets.columns import Column
from tui.widgets.rows import Cell, RowList

TITLES = {
    "base": "Base", "type": "Type", "tag": "Tags", "creator": "Creators", "folder": "Folders", "lic": "Licence",
    "nsfw": "Level", "rank": "Rank", "run": "Trainings", "year": "Added in", "where": "Where", "collection": "Collections",
}  # fmt: skip
SHORT = 8
"""Values of a group that are shown before it is opened."""


@dataclass(frozen=True)
class FacetLine:
    """A group's title (no ``value``), a value with its count, or the line that opens the rest (no ``count``)."""

    field: str
    value: str = ""
    count: int | None = None
    chosen: bool = False
    excluded: bool = False
    number: int = 0
    """Its place in the group, from 1."""


class FacetList(RowList[FacetLine]):
    """Enter on a value filters by it, and again no longer; ``-`` excludes it."""

    BINDINGS: ClassVar[list[BindingType]] = [*actions.bindings("facets")]

    class Negated(Message):
        """What the facet under the cursor has is to be excluded, or no longer."""

    COLUMNS: ClassVar[tuple[Column, ...]] = (Column("", 1), Column("", 8, grow=True), Column("", 6, right=True))
    HEADER: ClassVar[bool] = False

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._facets: Mapping[str, Sequence[tuple[str, int]]] = {}
        self._query = ""
        self._opened: set[str] = set()

    def show(self, facets: Mapping[str, Sequence[tuple[str, int]]] | None = None, query: str | None = None) -> None:
        from tui import query_text

        self._facets = self._facets if facets is None else facets
        self._query = self._query if query is None else query
        lines: list[FacetLine] = []
        for field, values in self._facets.items():
            known = {value.lower() for value, _ in values}
            # What is excluded has no models any more, and must stay to be taken back.
            gone = [value for value in query_text.excluded(self._query, field) if value.lower() not in known]
            if not values and not gone:
                continue
            lines.append(FacetLine(field))
            lines += [
                FacetLine(field, value, 0, excluded=True, number=len(values) + number)
                for number, value in enumerate(gone, 1)
            ]
            shown = values if field in self._opened else values[:SHORT]
            lines += [
                FacetLine(
                    field,
                    value,
                    count,
                    query_text.chosen(self._query, field, value),
                    query_text.chosen(self._query, field, value, negated=True),
                    number,
                )
                for number, (value, count) in enumerate(shown, 1)
            ]
            if len(values) > len(shown):
                lines.append(FacetLine(field, f"{len(values) - len(shown)} more …"))
        self.set_items(lines)

    def open_rest(self, field: str) -> None:
        self._opened.add(field)
        self.show()

    def do_negate(self) -> None:
        self.post_message(self.Negated())

    def cells(self, item: FacetLine) -> Sequence[Cell]:
        if not item.value:
            return ("", ""), (TITLES.get(item.field, item.field), "accent"), ("", "")
        if item.count is None:
            return ("", ""), (item.value, "muted"), ("", "")
        name = "mark" if item.chosen else "bad" if item.excluded else ""
        sign = "●" if item.chosen else "-" if item.excluded else " "
        shown = looks_of(self).value(item.field, _shown(item), item.number)
        return (sign, name or "muted"), (shown, name), (f"{item.count:,}", "muted")


def _shown(line: FacetLine) -> str:
    """A folder by its last two names: what it lies in is most often the same for all."""
    value = formats.one_line(line.value)
    if line.field != "folder" or line.count is None:
        return value
    parts = value.rstrip("/").rsplit("/", 2)
    return "/".join(parts[-2:]) + "/" if len(parts) > 2 else value
