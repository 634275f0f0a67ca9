"""A search under way: what was found so far, further pages, and what is told of them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING

from textual.widgets import Input, Static

from registry.errors import HubError
from registry.query_terms import QueryError
from tui import civitai_search, formats
from tui.civitai_search import Found, Hit
from tui.screens.civitai_menus import CivitaiMenus

if TYPE_CHECKING:
    from registry.database import Registry
    from tui.widgets.rows import RowList

EMPTY = """Search LoRAs on the site: / writes, enter searches.

/      such as: type:lora base:sdxl1.0 tag:ink by:ann sort:newest lighthouse
f      types and base models by menu; S the order, P the period
space  queues a download: resumed, verified, then indexed
enter  opens the model's page: versions, files, pictures with their prompts
+      pulls by a page's address, an AIR, an id or a hash
b      switches to the local sandbox (hubman sandbox runs it)"""
NOTHING = "Nothing found.\n\nTry fewer or other words, or other filters (f)."


class CivitaiResults(CivitaiMenus):
    """What was found last stays until another answer is there."""

    def __init__(self) -> None:
        super().__init__()
        self.found: Found | None = None
        self.hits: list[Hit] = []
        self.searched_up_to = 0
        self._left_out = (0, 0)
        self._is_loading = False
        self._allowance = ""

    @property
    @abstractmethod
    def rows(self) -> RowList[Hit]:
        """The list or the cards, whichever is shown."""

    def show_site(self) -> None:
        self.query_one("#site", Static).update(civitai_search.site_name(self.site))

    def _show_allowance(self) -> None:
        found = self.found
        if found is None:
            return
        address = found.asked.address

        def show(allowance: str) -> None:
            self._allowance = allowance
            if not self._is_loading:
                self._show_status()

        self.in_thread(lambda registry: civitai_search.allowance(registry, address), show, group="allowance")

    def search_for(self, line: str) -> None:
        self.line = line
        self.query_one("#search", Input).value = line
        link, lists, site = self.link, self.lists, self.site
        threshold = self.searched_up_to = self.hub.looks.threshold
        self.rows.empty = "Asking the site …"
        self.rows.refresh()
        self._say_problem("")
        self._show_status("asking the site …")

        def work(registry: Registry) -> Found:
            return civitai_search.begin(registry, link, lists, line, site, threshold)

        self._load(work, is_new=True)

    def clear_results(self) -> None:
        self.found, self.hits, self._left_out = None, [], (0, 0)
        self.rows.empty = EMPTY
        self.rows.set_items([])
        self._show_status()

    def load_more(self) -> None:
        found = self.found
        if found is not None and found.more and not self._is_loading:
            self._load(lambda registry: civitai_search.step(registry, found.asked), is_new=False)

    def _load(self, work: Callable[[Registry], Found], *, is_new: bool) -> None:
        """Another search replaces what is under way; its answer is then dropped."""
        self._is_loading = True

        def show(found: Found) -> None:
            self._is_loading = False
            self._take(found, is_new=is_new)
            self.rows.empty = NOTHING
            self.rows.set_items(list(self.hits), cursor=0 if is_new else None)
            self._show_allowance()
            if is_new:
                self.rows.focus()

        def failed(reason: str) -> None:
            self._is_loading = False
            self.rows.empty = EMPTY
            self.rows.refresh()
            self._say_problem(reason)
            self._show_status()
            self._show_allowance()

        def refused(error: HubError) -> None:
            if not isinstance(error, QueryError):
                self.link.forget()
            failed(_pointed(error, self.query_one("#search", Input).scroll_offset.x))

        self.in_thread(work, show, group="search", failed=failed, refused=refused)

    def _take(self, found: Found, *, is_new: bool) -> None:
        if is_new:
            self.hits, self._left_out = [], (0, 0)
        self.found = found
        self.hits += found.hits
        above, others = self._left_out
        self._left_out = (above + found.above, others + found.others)
        self._show_status()

    def _say_problem(self, reason: str) -> None:
        problem = self.query_one("#problem", Static)
        problem.update(reason)
        problem.display = bool(reason)

    def _show_status(self, news: str = "") -> None:
        """``news`` stands in the place of what is known of the results."""
        words = news or self._status_words()
        status = self.query_one("#status", Static)
        status.update(words)
        status.display = bool(words)

    def _status_words(self) -> str:
        found = self.found
        if found is None:
            return ""
        from registry.levels import name_of

        above, others = self._left_out
        here = sum(hit.mark == "here" for hit in self.hits)
        parts = [formats.count(len(self.hits), "model") + (" so far" if found.more else "")]
        parts += [f"{here:,} here"] if here else []
        parts += [f"{above:,} above {name_of(found.asked.up_to)} left out: L"] if above else []
        parts += [f"{others:,} ruled out by the line"] if others else []
        parts += ["the site led in a circle: there may be more"] if found.looped else []
        if found.as_of:
            parts.insert(0, f"no answer: as of {formats.age(found.as_of)} ago".replace("now ago", "just now"))
        return " · ".join([*parts, *([self._allowance] if self._allowance else [])])

    def show_arrivals(self) -> None:
        self.look_again()

    def look_again(self) -> None:
        """See anew which results are here."""
        found = self.found
        models = [hit.model for hit in self.hits]
        if found is None or not models:
            return
        is_rehearsal = found.asked.is_rehearsal

        def show(hits: tuple[Hit, ...]) -> None:
            if [hit.model for hit in self.hits[: len(hits)]] == [hit.model for hit in hits]:
                self.hits[: len(hits)] = hits
                self.rows.set_items(list(self.hits))
                self._show_status()

        self.in_thread(
            lambda registry: civitai_search.look(registry, models, is_rehearsal=is_rehearsal), show, group="held"
        )


def _pointed(error: HubError, scrolled: int) -> str:
    """What is wrong, under carets where it is a part of the line."""
    if not isinstance(error, QueryError):
        return str(error)
    from hubman.pointing import pointer

    carets = pointer(error)[1][scrolled:]
    return f"{carets}\n{error}" if carets.strip() else str(error)
