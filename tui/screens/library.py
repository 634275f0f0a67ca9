"""Mode 1: find a model, look at it, change it."""

from __future__ import annotations

from collections.abc import Iterable
from time import monotonic
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.binding import BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.widget import Widget
from textual.widgets import Input, Static

from registry.errors import HubError
from registry.query_terms import QueryError
from tui import actions, formats, library_reading, library_status
from tui.library_reading import Found
from tui.screens.library_marks import LibraryMarks
from tui.widgets.facets import FacetList
from tui.widgets.model_list import ModelList, ModelOrder
from tui.widgets.picture import Picture
from tui.widgets.rows import RowList

if TYPE_CHECKING:
    from registry.database import Registry
    from registry.records import ModelDetail, ModelRow
    from tui.looks import Looks
    from tui.pictures import Tile
    from tui.services.watch import Snapshot

EMPTY = """Nothing here yet.

A    add a folder of LoRA files; they stay where they are
+    pull one from Civitai by address, id or hash
2    search Civitai
3    train one from your own images"""

CHANGING_JOBS = frozenset(("scan", "downloads", "train", "sync", "fetch", "drop", "publish", "enrich", "updates"))
"""Kinds of jobs after which the list is read again."""


class LibraryScreen(LibraryMarks):
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
        self.order = ModelOrder(lambda ids: library_reading.rows(self.registry, ids), self._refuse)
        self.detail: ModelDetail | None = None
        self.version_at = 0
        self._total = 0
        self._more = False
        self._query = ""
        self._cards = False
        self._finished: frozenset[str] | None = None
        self._checked_at = ""
        self._speed = library_status.Speed()
        self._budget = ""
        self._ticks = 0

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
                yield Picture(id="picture", real=True)
                yield Static("", id="facts", markup=False)
        yield Static("", id="status", markup=False)

    def on_mount(self) -> None:
        if self.hub.polls:
            self.set_interval(1, self._show_age)
        # The panes are painted first; what fills them needs imports and the disk.
        self.call_after_refresh(self.reload, facets=True)

    # reading ------------------------------------------------------------------------------------------------------

    def reload(self, *, facets: bool = False, to: str | None = None) -> None:
        """Read the list again (and the facets, after a change); the cursor stays on its model, or goes to ``to``."""
        text, keep = self._query, to or (self.current.id if self.current else None)
        held = [*self.held(), *([keep] if keep else [])]

        def show(found: Found) -> None:
            self._show_ids(found, keep)
            if facets:
                self._count_facets(text)

        self.in_thread(
            lambda registry: library_reading.ids(registry, text, held),
            show,
            group="ids",
            failed=self._refuse,
            refused=self._refuse_query,
        )

    def _search(self, text: str) -> None:
        """Show the first rows of another query, then all of them, then the facets; a newer query stops the rest."""
        keep = self.current.id if self.current else None
        held = [*self.held(), *([keep] if keep else [])]

        def show(found: Found) -> None:
            if text.strip():
                self._last_query = text.strip()
            if len(found.ids) < library_reading.FIRST:
                self._show_ids(found, keep)
                self._count_facets(text)
                return
            self._show_ids(found, keep if keep in found.ids else None, more=True)
            self.reload(facets=True, to=keep)

        self.in_thread(
            lambda registry: library_reading.first_ids(registry, text, held),
            show,
            group="ids",
            failed=self._refuse,
            refused=self._refuse_query,
        )

    def _count_facets(self, text: str) -> None:
        self.in_thread(
            lambda registry: library_reading.facets(registry, text),
            lambda found: self.query_one(FacetList).show(found, text),
            group="facets",
        )

    def _show_ids(self, found: Found, keep: str | None, *, more: bool = False) -> None:
        self._refuse("")
        ids, total, self._checked_at, is_shared, now = found
        self.query_one(ModelList).shows_where = is_shared
        self._total, self.is_loaded = total, True
        self.rename(now)
        if ids != [now[model][0] if model in now else model for model in self.order.ids]:
            self._range_from = None
        keep = now[keep][0] if keep in now else keep
        self._more = more
        self.order.show(ids, more=more)
        rows = self.rows
        rows.empty = (
            EMPTY
            if not total
            else f"No model matches.\n\nesc clears the query; {formats.count(total, 'model')} without it."
        )
        self._show_order()
        cursor = ids.index(keep) if keep in ids else min(rows.cursor, max(0, len(ids) - 1))
        rows.rows_changed(cursor)
        self.marks_changed()
        self.refresh_actions()

    def _show_order(self) -> None:
        from tui import query_text

        self.query_one(ModelList).sorted_by = query_text.order_of(self._query) or "name"

    def show_status(self) -> None:
        if self.order.combo != self.hub.combo.models:
            self.order.combo = self.hub.combo.models
            self.rows.refresh()
        shown, marked = len(self.order.ids), len(self.order.marks)
        many = "+" if self._more else ""
        text = f"{shown:,}{many} of {self._total:,}" if shown != self._total else formats.count(self._total, "model")
        self.query_one("#hits", Static).update((f"{marked:,} marked · " if marked else "") + text)
        combo = f"combo {self.hub.combo.words}" if self.hub.combo.parts else ""
        range_ = "range: v keeps it" if self._range_from is not None else ""
        others = (
            range_,
            self.moving,
            combo,
            self._speed.words,
            self._budget,
            library_status.index_words(self.hub.index),
        )
        seconds = library_status.seconds_since(self._checked_at, self.hub.index, monotonic())
        said = library_status.line(self._total, seconds, marked, self.marked_bytes, others=others)
        self.query_one("#status", Static).update(said)

    def _show_age(self) -> None:
        """Called each second; the line is drawn again where it would tell another age."""
        self._ticks += 1
        seconds = library_status.seconds_since(self._checked_at, self.hub.index, monotonic())
        if library_status.is_due(self._ticks, seconds):
            self.show_status()

    def _refuse(self, reason: str) -> None:
        """Say what is wrong with the query; the last good list stays."""
        if reason and self.hub.looks.is_private:
            reason = "the query can't be read"
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
        self.tell_enriched(snapshot)
        self._speed.look(snapshot, monotonic())
        self._budget = library_status.budget_words(self.hub.data.home)
        self.show_status()

    def show_index(self) -> None:
        if self.is_loaded:
            self.show_status()

    def show_changes(self) -> None:
        self.reload(facets=True)

    @on(RowList.Chosen, "#models, #cards")
    def _open(self) -> None:
        if self.current is not None and self.current.where == "elsewhere" and self._knows_current:
            self.offer_fetch()
        else:
            self.look_at_detail()

    @property
    def _knows_current(self) -> bool:
        """Whether the detail has followed the cursor."""
        return self.current is not None and self.detail is not None and self.detail.id == self.current.id

    def look_at_detail(self) -> None:
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

    @on(FacetList.Negated)
    def _facet_negated(self) -> None:
        line = self.query_one(FacetList).current
        if line is not None and line.value and line.count is not None:
            from tui import query_text

            self.set_query(query_text.negate(self._query, line.field, line.value))

    def folder_at_cursor(self) -> str:
        return self._facet_at_cursor("folder")

    def collection_at_cursor(self) -> str:
        return self._facet_at_cursor("collection")

    def _facet_at_cursor(self, field: str) -> str:
        facets = self.query_one(FacetList)
        line = facets.current
        is_one = facets.has_focus and line is not None and line.field == field and line.count is not None
        return line.value if line is not None and is_one else ""

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
        """Out of a range or pane first, then the marks, then the query."""
        if self.drop_range():
            return
        if self._is_pane_open or self.focused is not self.rows:
            self.remove_class("-detail", "-facets")
            self.rows.focus()
        elif self.order.marks:
            self.order.marks.clear()
            self.marks_changed()
        else:
            self.set_query("")

    @property
    def _is_pane_open(self) -> bool:
        """Whether facets or detail stand where the list would."""
        return not self.has_class("-wide") and (self.has_class("-detail") or self.has_class("-facets"))

    def leave(self) -> bool:
        """``q`` drops a range and goes back to the list; from the list it quits."""
        if self._range_from is None and not self._is_pane_open and self.focused in (None, self.rows):
            return False
        self.do_back()
        return True

    def do_sort(self) -> None:
        from registry.query_order import SORT_NAMES
        from tui import query_text
        from tui.widgets.dialogs import Choose

        remarks = {"name": "from A to Z", "base": "from A to Z", "added": "newest first", "rating": "best first"}
        remarks |= {
            "used": "last used first",
            "uses": "most used first",
            "creator": "from A to Z",
            "file": "from A to Z",
        }
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
            gallery = Gallery(self.order, lambda version: _tile(self.registry, version, self.hub.looks), id="cards")
            await self.query_one("#panes").mount(gallery, after="#models")
        self._cards = not self._cards
        self.set_class(self._cards, "-cards")
        self.rows.empty = before.empty
        self.rows.rows_changed(before.cursor)
        self.rows.focus()


def _tile(registry: Registry, version: str, looks: Looks) -> Tile:
    from tui.pictures import of_version

    return of_version(registry, version, looks)
