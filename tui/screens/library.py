"""Mode 1: find a model, look at it, change it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.binding import BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.widget import Widget
from textual.widgets import Input, Static

from registry.errors import HubError
from registry.query_terms import QueryError
from tui import actions, formats
from tui.screens.library_views import LibraryViews
from tui.widgets.facets import FacetList
from tui.widgets.model_list import ModelList, ModelOrder
from tui.widgets.picture import Picture
from tui.widgets.rows import RowList

if TYPE_CHECKING:
    from collections.abc import Sequence

    from registry.database import Registry
    from registry.records import ModelDetail, ModelRow
    from tui.services.watch import Snapshot

EMPTY = """Nothing here yet.

A    add a folder of LoRA files; they stay where they are
+    pull one from Civitai by address, id or hash
2    search Civitai
3    train one from your own images"""

FIRST = 200
"""Rows of a new query that are shown before all of them are known."""

CHANGING_JOBS = frozenset(("scan", "pull", "train", "sync", "publish"))
"""Kinds of jobs after which the list is read again."""


class LibraryScreen(LibraryViews):
    """Facets, list (or cards) and detail; three panes, two or one by the width."""

    SCOPE = "library"
    CSS_PATH = "library.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        *actions.bindings("library"),
        *actions.bindings("move", only=("left", "right")),
    ]
    AUTO_FOCUS = "#models"

    def __init__(self) -> None:
        super().__init__()
        self.order = ModelOrder(lambda ids: _rows(self.registry, ids), self._refuse)
        self.detail: ModelDetail | None = None
        self.version_at = 0
        self._total = 0
        self._more = False
        self._query = ""
        self._cards = False
        self._finished: frozenset[str] | None = None

    def body(self) -> Iterable[Widget]:
        with Horizontal(id="query-row"):
            yield Static("/", id="slash")
            yield Input(placeholder="filter, such as base:sdxl tag:style rating:>=4", id="query")
            yield Static("", id="hits")
        yield Static("", id="problem", markup=False)
        with Horizontal(id="panes"):
            yield FacetList(id="facets")
            yield ModelList(self.order, id="models")
            with VerticalScroll(id="detail"):
                yield Picture(id="picture")
                yield Static("", id="facts", markup=False)

    def on_mount(self) -> None:
        # The panes are painted first; what fills them needs imports and the disk.
        self.call_after_refresh(self.reload, facets=True)

    # reading ------------------------------------------------------------------------------------------------------

    def reload(self, *, facets: bool = False, to: str | None = None) -> None:
        """Read the list again (and the facets, after a change); the cursor stays on its model, or goes to ``to``."""
        text, keep = self._query, to or (self.current.id if self.current else None)

        def show(found: tuple[list[str], int]) -> None:
            self._show_ids(*found, keep)
            if facets:
                self._count_facets(text)

        self.in_thread(
            lambda registry: _ids(registry, text), show, group="ids", failed=self._refuse, refused=self._refuse_query
        )

    def _search(self, text: str) -> None:
        """Show the first rows of another query, then all of them, then the facets; a newer query stops the rest."""
        keep = self.current.id if self.current else None

        def show(found: tuple[list[str], int]) -> None:
            ids, total = found
            if len(ids) < FIRST:
                self._show_ids(ids, total, keep)
                self._count_facets(text)
                return
            self._show_ids(ids, total, keep if keep in ids else None, more=True)
            self.reload(facets=True, to=keep)

        self.in_thread(
            lambda registry: _first_ids(registry, text),
            show,
            group="ids",
            failed=self._refuse,
            refused=self._refuse_query,
        )

    def _count_facets(self, text: str) -> None:
        self.in_thread(
            lambda registry: _facets(registry, text),
            lambda found: self.query_one(FacetList).show(found, text),
            group="facets",
        )

    def _show_ids(self, ids: list[str], total: int, keep: str | None, *, more: bool = False) -> None:
        self._refuse("")
        self._total, self.is_loaded = total, True
        self._more = more
        self.order.show(ids, more=more)
        rows = self.rows
        rows.empty = (
            EMPTY
            if not total
            else f"No model matches.\n\nesc clears the query; {formats.count(total, 'model')} without it."
        )
        cursor = ids.index(keep) if keep in ids else min(rows.cursor, max(0, len(ids) - 1))
        rows.rows_changed(cursor)
        self._show_hits()
        self.refresh_actions()

    def _show_hits(self) -> None:
        shown, marked = len(self.order.ids), len(self.order.marks)
        many = "+" if self._more else ""
        text = f"{shown:,}{many} of {self._total:,}" if shown != self._total else formats.count(self._total, "model")
        self.query_one("#hits", Static).update((f"{marked:,} marked · " if marked else "") + text)

    def _refuse(self, reason: str) -> None:
        """Say what is wrong with the query; the last good list stays."""
        problem = self.query_one("#problem", Static)
        problem.update(reason)
        problem.display = bool(reason)

    def _refuse_query(self, error: HubError) -> None:
        """As :meth:`_refuse`, with carets under the part of the query line that is wrong."""
        if not isinstance(error, QueryError):
            self._refuse(str(error))
            return
        from hubman.pointing import pointer

        scrolled = self.query_one("#query", Input).scroll_offset.x
        carets = pointer(error)[1][scrolled:]
        self._refuse(f"{carets}\n{error}" if carets.strip() else str(error))

    @property
    def rows(self) -> RowList[ModelRow]:
        """The list or the cards, whichever is shown."""
        if self._cards:
            from tui.widgets.gallery import Gallery

            return self.query_one(Gallery)
        return self.query_one(ModelList)

    @property
    def current(self) -> ModelRow | None:
        return self.order.row(self.rows.cursor)

    def show_jobs(self, snapshot: Snapshot) -> None:
        ended = frozenset(view.job.id for view in snapshot.views if view.job.ended and view.job.kind in CHANGING_JOBS)
        if self._finished is not None and ended - self._finished:
            self.reload(facets=True)
        self._finished = ended

    def show_changes(self) -> None:
        self.reload(facets=True)

    # detail -------------------------------------------------------------------------------------------------------

    @on(RowList.Highlighted, "#models, #cards")
    def _follow_cursor(self) -> None:
        row = self.current
        if row is None:
            self.detail = None
            self.query_one("#facts", Static).update("")
            self.query_one(Picture).path = None
            self.query_one(Picture).add_class("-none")
            self.refresh_actions()
            return
        self.in_thread(lambda registry: _detail(registry, row.id), self._show_detail, group="detail")

    def _show_detail(self, found: ModelDetail) -> None:
        if self.detail is None or self.detail.id != found.id:
            self.version_at = 0
            self.query_one("#detail", VerticalScroll).scroll_home(animate=False)
        self.detail = found
        self.version_at = min(self.version_at, max(0, len(found.versions) - 1))
        self._draw_detail()
        self.refresh_actions()

    def _draw_detail(self) -> None:
        from tui.widgets.detail import describe

        if self.detail is None:
            return
        facts = self.query_one("#facts", Static)
        facts.update(describe(self.detail, self.version_at, facts.size.width or 40))
        version = self.detail.versions[self.version_at].id if self.detail.versions else ""
        self.in_thread(lambda registry: _picture(registry, version), self._show_picture, group="picture")

    def _show_picture(self, path: Path | None) -> None:
        picture = self.query_one(Picture)
        picture.path = path
        picture.set_class(path is None, "-none")

    def do_left(self) -> None:
        self._step_version(-1)

    def do_right(self) -> None:
        self._step_version(1)

    def _step_version(self, by: int) -> None:
        if self.detail is not None:
            self.version_at = max(0, min(self.version_at + by, len(self.detail.versions) - 1))
            self._draw_detail()

    @on(RowList.Chosen, "#models, #cards")
    def _open(self) -> None:
        if self.has_class("-narrow"):
            self.toggle_class("-detail")
        detail = self.query_one("#detail", VerticalScroll)
        if detail.display:
            detail.focus()

    # query --------------------------------------------------------------------------------------------------------

    def set_query(self, text: str) -> None:
        self.query_one("#query", Input).value = text

    @on(Input.Changed, "#query")
    def _query_changed(self, event: Input.Changed) -> None:
        self._query = event.value
        self.query_one(FacetList).show(query=event.value)
        self._search(event.value)

    @on(Input.Submitted, "#query")
    def _query_done(self) -> None:
        self.rows.focus()

    @on(RowList.Chosen, "#facets")
    def _facet_chosen(self) -> None:
        facets = self.query_one(FacetList)
        line = facets.current
        if line is None or not line.value:
            return
        if line.count is None:
            facets.open_rest(line.field)
        else:
            from tui import query_text

            self.set_query(query_text.toggle(self._query, line.field, line.value))

    def do_filter(self) -> None:
        self.query_one("#query", Input).focus()

    def do_back(self) -> None:
        """Out of a pane first, then the marks, then the query."""
        if self.has_class("-detail", "-facets") or self.focused is not self.rows:
            self.remove_class("-detail", "-facets")
            self.rows.focus()
        elif self.order.marks:
            self.order.marks.clear()
            self.marks_changed()
        else:
            self.set_query("")

    def do_sort(self) -> None:
        from registry.query_order import SORT_NAMES
        from tui import query_text
        from tui.widgets.dialogs import Choose

        remarks = {"name": "from A to Z", "base": "from A to Z", "added": "newest first", "rating": "best first"}
        options = [(name, name, remarks.get(name, "largest first")) for name in SORT_NAMES]
        options += [(f"-{name}", f"{name}, reversed", "") for name in SORT_NAMES]

        def chosen(name: str | None) -> None:
            if name is not None:
                self.set_query(query_text.with_order(self._query, "" if name == "name" else name))

        self.app.push_screen(Choose("Sort by", options, at=query_text.order_of(self._query) or "name"), chosen)

    # panes --------------------------------------------------------------------------------------------------------

    def do_facets(self) -> None:
        facets = self.query_one(FacetList)
        if self.has_class("-wide"):
            facets.focus()
            return
        self.toggle_class("-facets")
        (facets if self.has_class("-facets") else self.rows).focus()

    async def do_cards(self) -> None:
        from tui.widgets.gallery import Gallery

        before = self.rows
        if not self.query(Gallery):
            gallery = Gallery(self.order, lambda version: _picture(self.registry, version), id="cards")
            await self.query_one("#panes").mount(gallery, after="#models")
        self._cards = not self._cards
        self.set_class(self._cards, "-cards")
        self.rows.empty = before.empty
        self.rows.rows_changed(before.cursor)
        self.rows.focus()

    # marks --------------------------------------------------------------------------------------------------------

    def do_mark(self) -> None:
        row = self.current
        if row is not None:
            self.order.marks ^= {row.id}
            self.rows.cursor += 1
            self.marks_changed()

    def do_mark_all(self) -> None:
        """Mark all that the query finds."""
        self.order.marks = set(self.order.ids)
        self.marks_changed()

    def do_invert(self) -> None:
        self.order.marks = set(self.order.ids) - self.order.marks
        self.marks_changed()

    def marks_changed(self) -> None:
        self.rows.refresh()
        self._show_hits()


def _rows(registry: Registry, ids: Sequence[str]) -> list[ModelRow]:
    from registry import library

    return library.model_rows(registry, ids)


def _ids(registry: Registry, text: str) -> tuple[list[str], int]:
    from registry import library

    return library.model_ids(registry, text), library.count(registry)


def _first_ids(registry: Registry, text: str) -> tuple[list[str], int]:
    from registry import library

    return library.first_ids(registry, text, FIRST), library.count(registry)


def _facets(registry: Registry, text: str) -> dict[str, list[tuple[str, int]]]:
    from registry import facets

    return facets.facets(registry, text)


def _detail(registry: Registry, model: str) -> ModelDetail:
    from registry import library

    return library.show(registry, model)


def _picture(registry: Registry, version: str) -> Path | None:
    from tui.pictures import of_version

    return of_version(registry, version)
