"""Marks and hits of the library screen: one, a range, all, the others; and from hit to hit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from textual import on

from tui.screens.library_detail import LibraryDetail
from tui.widgets.rows import RowList

if TYPE_CHECKING:
    from registry.database import Registry


class LibraryMarks(LibraryDetail):
    """``space v V *`` and ``n N``. A range grows with the cursor until ``v`` keeps it or ``esc`` drops it."""

    _last_query: str = ""
    """The last query line that was not empty: what ``n`` looks for."""
    _range_from: int | None = None
    _before_range: frozenset[str] = frozenset()
    marked_bytes: int = 0

    def lacks(self, need: str) -> str:
        if need == "hits" and not self._last_query:
            return "there was no query yet (/ writes one)"
        return super().lacks(need)

    def held(self) -> list[str]:
        """All ids that outlive a reading of the list."""
        ranged = () if self._range_from is None else self.order.ids
        parts = [one for part in self.hub.combo.parts for one in (part.model, part.version)]
        return list({*self.order.marks, *self._before_range, *ranged, *parts})

    def rename(self, now: Mapping[str, tuple[str, str]]) -> None:
        """Hold what was hashed meanwhile by its ids of now, (model, version)."""
        if now:
            self.order.marks = {_model(now, model) for model in self.order.marks}
            self._before_range = frozenset(_model(now, model) for model in self._before_range)
            self.hub.combo.renamed(now)

    # marks --------------------------------------------------------------------------------------------------------

    def do_mark(self) -> None:
        row = self.current
        if row is not None:
            self.order.marks ^= {row.id}
            self.rows.cursor += 1
            self.marks_changed()

    def do_mark_all(self) -> None:
        """Mark all that the query finds; a second time none."""
        found = set(self.order.ids)
        self.order.marks = set() if self.order.marks == found else found
        self.marks_changed()

    def do_invert(self) -> None:
        self.order.marks = set(self.order.ids) - self.order.marks
        self.marks_changed()

    def do_range(self) -> None:
        if self._range_from is None:
            self._range_from, self._before_range = self.rows.cursor, frozenset(self.order.marks)
            self.extend_range()
        else:
            self._range_from = None
            self.marks_changed()

    @on(RowList.Highlighted, "#models, #cards")
    def extend_range(self) -> None:
        """The range reaches to the cursor, wherever that goes."""
        if self._range_from is not None:
            first, last = sorted((self._range_from, self.rows.cursor))
            self.order.marks = {*self._before_range, *self.order.ids[first : last + 1]}
            self.marks_changed()

    def drop_range(self) -> bool:
        """Give up a range that is being made; False where there is none."""
        if self._range_from is None:
            return False
        self._range_from = None
        self.order.marks = set(self._before_range)
        self.marks_changed()
        return True

    def marks_changed(self) -> None:
        self.rows.refresh()
        self.show_status()
        marks = list(self.order.marks)
        if not marks:
            self._show_bytes(0)
            return
        self.in_thread(lambda registry: _bytes_of(registry, marks), self._show_bytes, group="bytes")

    def _show_bytes(self, count: int) -> None:
        self.marked_bytes = count
        self.show_status()

    # hits ---------------------------------------------------------------------------------------------------------

    def do_next(self) -> None:
        self._to_hit(1)

    def do_previous(self) -> None:
        self._to_hit(-1)

    def _to_hit(self, by: int) -> None:
        """To the next model that the last query found, around the end; with that query in force that is every row."""
        if self._query.strip() == self._last_query:
            if self.order.ids:
                self.rows.cursor = (self.rows.cursor + by) % len(self.order.ids)
            return
        text, ids, start = self._last_query, self.order.ids, self.rows.cursor

        def go(at: int | None) -> None:
            if at is None:
                self.say(f"nothing here matches {text}")
            else:
                self.rows.cursor = at

        self.in_thread(lambda registry: _hit(registry, text, ids, start, by), go, group="hit")


def _model(now: Mapping[str, tuple[str, str]], held: str) -> str:
    return now[held][0] if held in now else held


def _hit(registry: Registry, text: str, ids: Sequence[str], start: int, by: int) -> int | None:
    from registry import library

    hits = set(library.model_ids(registry, text))
    steps = range(1, len(ids) + 1)
    return next((at for step in steps if ids[at := (start + by * step) % len(ids)] in hits), None)


def _bytes_of(registry: Registry, models: Sequence[str]) -> int:
    from registry import library

    return library.bytes_of(registry, models)
