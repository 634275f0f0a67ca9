"""Mode 2: search Civitai, look at what is found, and queue downloads."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.binding import BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.widget import Widget
from textual.widgets import Input, Static

from registry.errors import HubError
from registry.query_terms import QueryError
from tui import actions, civitai_search, formats, remote_words, search_text
from tui.civitai_search import Found, Hit
from tui.screens.civitai_base import called, page_address
from tui.screens.civitai_menus import CivitaiMenus
from tui.widgets.hit_list import HitList
from tui.widgets.picture import Picture
from tui.widgets.queue_strip import QueueStrip
from tui.widgets.rows import RowList

if TYPE_CHECKING:
    from hubman.civitai.records import RemoteVersion
    from registry.database import Registry
    from tui.looks import Looks
    from tui.remote_words import Texts

EMPTY = """Search LoRAs on the site: / writes, enter searches.

/      such as: type:lora base:sdxl1.0 tag:ink by:ann sort:newest lighthouse
f      types and base models by menu; S the order, P the period
space  queues a download: resumed, verified, then indexed
enter  opens the model's page: versions, files, pictures with their prompts
+      pulls by a page's address, an AIR, an id or a hash
b      switches to the local sandbox (hubman sandbox runs it)"""
NOTHING = "Nothing found.\n\nTry fewer or other words, or other filters (f)."
_AHEAD = 20
"""Rows before the end of the list at which the next page is shown."""


class CivitaiScreen(CivitaiMenus):
    """A search line, results as a list or cards, and the model under the cursor.

    What was found last stays until another answer is there.
    """

    SCOPE = "civitai"
    CSS_PATH = "civitai.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        *actions.bindings("civitai"),
        *actions.bindings("move", only=("left", "right")),
    ]
    AUTO_FOCUS = "#hits"

    def __init__(self) -> None:
        super().__init__()
        self._found: Found | None = None
        self._hits: list[Hit] = []
        self._left_out = (0, 0)
        self._version_at = 0
        self._cards = False
        self._is_loading = False
        self._texts: tuple[int, Texts] = (0, ())

    def body(self) -> Iterable[Widget]:
        with Horizontal(id="query-row"):
            yield Static("/", id="slash")
            yield Input(placeholder="such as type:lora base:sdxl1.0 tag:ink lighthouse", id="search")
            yield Static("", id="site", markup=False)
        yield Static("", id="problem", markup=False)
        with Horizontal(id="panes"):
            yield HitList(id="hits")
            with VerticalScroll(id="detail"):
                yield Picture(id="picture")
                yield Static("", id="facts", markup=False)
        yield Static("", id="status", markup=False)
        yield QueueStrip()

    def on_mount(self) -> None:
        self.rows.empty = EMPTY
        self.query_one(Picture).caption = ""
        self._show_site()

    def _show_site(self) -> None:
        self.query_one("#site", Static).update(civitai_search.site_name(self.site))

    # searching ----------------------------------------------------------------------------------------------------

    @on(Input.Submitted, "#search")
    def _submitted(self, event: Input.Submitted) -> None:
        self.search_for(event.value.strip())

    def search_for(self, line: str) -> None:
        self.line = line
        self.query_one("#search", Input).value = line
        link, lists, site, threshold = self.link, self.lists, self.site, self.hub.looks.threshold
        self.rows.empty = "Asking the site …"
        self.rows.refresh()
        self._say_problem("")
        self._show_status("asking the site …")

        def work(registry: Registry) -> Found:
            return civitai_search.begin(registry, link, lists, line, site, threshold)

        self._load(work, is_new=True)

    def _load_more(self) -> None:
        found = self._found
        if found is not None and found.more and not self._is_loading:
            self._load(lambda registry: civitai_search.step(registry, found.asked), is_new=False)

    def _load(self, work: Callable[[Registry], Found], *, is_new: bool) -> None:
        """Another search replaces what is under way; its answer is then dropped."""
        self._is_loading = True

        def show(found: Found) -> None:
            self._is_loading = False
            self._take(found, is_new=is_new)
            self.rows.empty = NOTHING
            self.rows.set_items(list(self._hits), cursor=0 if is_new else None)
            if is_new:
                self.rows.focus()

        def failed(reason: str) -> None:
            self._is_loading = False
            self.rows.empty = EMPTY
            self.rows.refresh()
            self._say_problem(reason)
            self._show_status()

        def refused(error: HubError) -> None:
            if not isinstance(error, QueryError):
                self.link.forget()
            failed(_pointed(error, self.query_one("#search", Input).scroll_offset.x))

        self.in_thread(work, show, group="search", failed=failed, refused=refused)

    def _take(self, found: Found, *, is_new: bool) -> None:
        if is_new:
            self._hits, self._left_out = [], (0, 0)
        self._found = found
        self._hits += found.hits
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
        found = self._found
        if found is None:
            return ""
        from registry.levels import name_of

        above, others = self._left_out
        here = sum(hit.mark == "here" for hit in self._hits)
        parts = [formats.count(len(self._hits), "model") + (" so far" if found.more else "")]
        parts += [f"{here:,} here"] if here else []
        parts += [f"{above:,} above {name_of(self.hub.looks.threshold)} left out: L"] if above else []
        parts += [f"{others:,} ruled out by the line"] if others else []
        parts += ["the site led in a circle: there may be more"] if found.looped else []
        if found.as_of:
            parts.insert(0, f"no answer: as of {formats.age(found.as_of)} ago".replace("now ago", "just now"))
        return " · ".join(parts)

    # what is shown ------------------------------------------------------------------------------------------------

    @property
    def rows(self) -> RowList[Hit]:
        """The list or the cards, whichever is shown."""
        if self._cards:
            from tui.widgets.hit_cards import HitCards

            return self.query_one(HitCards)
        return self.query_one(HitList)

    @property
    def hit(self) -> Hit | None:
        return self.rows.current

    @property
    def version(self) -> RemoteVersion | None:
        versions = self.hit.model.versions if self.hit else ()
        return versions[min(self._version_at, len(versions) - 1)] if versions else None

    def lacks(self, need: str) -> str:
        if need == "result" and self.version is None:
            return "search first, then choose a model"
        if need == "more" and (self._found is None or not self._found.more):
            return "there are no more results"
        return ""

    @on(RowList.Highlighted)
    def _follow_cursor(self, event: RowList.Highlighted) -> None:
        if event.rows is not self.rows:
            return
        self._version_at = 0
        self.query_one("#detail", VerticalScroll).scroll_home(animate=False)
        self._draw()
        if self.rows.row_count and self.rows.cursor >= self.rows.row_count - _AHEAD:
            self._load_more()

    def _draw(self) -> None:
        hit, version = self.hit, self.version
        self.refresh_actions()
        self._draw_picture(version)
        self._draw_words()
        if hit is None or self._texts[0] == hit.model.id:
            return
        model = hit.model

        def show(texts: Texts) -> None:
            self._texts = (model.id, texts)
            self._draw_words()

        self.in_thread(lambda _: remote_words.texts(model, None), show, group="texts")

    def _draw_words(self) -> None:
        hit, facts = self.hit, self.query_one("#facts", Static)
        if hit is None:
            facts.update("")
            return
        texts = self._texts[1] if self._texts[0] == hit.model.id else ()
        facts.update(remote_words.describe(hit.model, self.version, hit.held, facts.size.width or 40, texts=texts))

    def _draw_picture(self, version: RemoteVersion | None) -> None:
        picture = self.query_one(Picture)
        picture.path, picture.words, picture.caption = None, (), ""
        if version is None:
            return
        looks, link, site = self.hub.looks, self.link, self.site
        image = civitai_search.still(version, looks.threshold) if looks.has_pictures else None
        picture.words = civitai_search.words(version, looks.threshold)
        picture.caption = "…" if image else "no picture"
        if image is None:
            self.workers.cancel_group(self, "picture")
            return

        def show(data: bytes | None) -> None:
            picture.caption = "no picture"
            picture.path = data

        self.in_thread(lambda _: civitai_search.picture(link, site, image.url, image.type), show, group="picture")

    def show_looks(self, looks: Looks) -> None:
        del looks
        if self._found is None:
            return
        if not search_text.value_of(self.line, "nsfw"):
            # What is asked of the site depends on it.
            self.search_for(self.line)
        elif self._cards:
            self._forget_pictures()
            self._draw()
        else:
            self._draw()

    def _forget_pictures(self) -> None:
        from tui.widgets.hit_cards import HitCards

        for cards in self.query(HitCards):
            cards.forget()

    def show_arrivals(self) -> None:
        self._look_again()

    def _look_again(self) -> None:
        """See anew which results are here."""
        found = self._found
        models = [hit.model for hit in self._hits]
        if found is None or not models:
            return
        is_rehearsal = found.asked.is_rehearsal

        def show(hits: tuple[Hit, ...]) -> None:
            if [hit.model for hit in self._hits[: len(hits)]] == [hit.model for hit in hits]:
                self._hits[: len(hits)] = hits
                self.rows.set_items(list(self._hits))
                self._show_status()

        self.in_thread(
            lambda registry: civitai_search.look(registry, models, is_rehearsal=is_rehearsal), show, group="held"
        )

    # actions ------------------------------------------------------------------------------------------------------

    def do_left(self) -> None:
        self._step(-1)

    def do_right(self) -> None:
        self._step(1)

    def _step(self, by: int) -> None:
        if self.hit is not None:
            self._version_at = max(0, min(self._version_at + by, len(self.hit.model.versions) - 1))
            self._draw()

    @on(RowList.Chosen)
    def _open_page(self) -> None:
        from tui.screens.civitai_page import PageScreen

        hit, found = self.hit, self._found
        if hit is None or found is None:
            return

        page = PageScreen(hit, found.asked, self.show_creator, at=self._version_at)
        self.app.push_screen(page, lambda _: self._look_again())

    def do_filter(self) -> None:
        self.query_one("#search", Input).focus()

    def do_back(self) -> None:
        self.rows.focus()

    def do_more(self) -> None:
        self._load_more()

    def do_pull(self) -> None:
        hit, version = self.hit, self.version
        if hit is None or version is None:
            return
        name = called(hit.model.name, hit.model.id)
        if hit.held.get(version.id) == "here":
            self.say(f"{name} is in the library already", private="it is in the library already")
            return
        self.queue_pull(str(version.id), name)

    def do_pull_ref(self) -> None:
        from tui.widgets.dialogs import Ask

        def done(text: str | None) -> None:
            if text:
                self.queue_pull(text.strip(), text.strip())

        hint = "A page's address, an AIR (urn:air:…), a version's number, or a hash."
        self.app.push_screen(Ask("pull from Civitai", hint=hint, check=_parse), done)

    def do_creator(self) -> None:
        if self.hit is not None and self.hit.model.creator:
            self.show_creator(self.hit.model.creator)
        else:
            self.say("the site does not tell its creator")

    async def do_cards(self) -> None:
        from tui.widgets.hit_cards import HitCards

        before = self.rows
        if not self.query(HitCards):
            cards = HitCards(lambda url, kind: civitai_search.picture(self.link, self.site, url, kind), id="cards")
            await self.query_one("#panes").mount(cards, after="#hits")
        self._cards = not self._cards
        self.set_class(self._cards, "-cards")
        self.rows.empty = before.empty
        self.rows.set_items(list(self._hits), cursor=before.cursor)
        self.rows.focus()

    async def do_copy(self) -> None:
        if self.hit is not None and self._found is not None:
            await self.copy_address(page_address(self._found.asked.address, self.hit.model.id))

    def do_open(self) -> None:
        if self.hit is not None and self.version is not None and self._found is not None:
            self.open_address(page_address(self._found.asked.address, self.hit.model.id, self.version.id))

    def do_site(self) -> None:
        self.site = None if self.site else "sandbox"
        self._show_site()
        if self._found is not None or self.line:
            self.search_for(self.line)


def _pointed(error: HubError, scrolled: int) -> str:
    """What is wrong, under carets where it is a part of the line."""
    if not isinstance(error, QueryError):
        return str(error)
    from hubman.pointing import pointer

    carets = pointer(error)[1][scrolled:]
    return f"{carets}\n{error}" if carets.strip() else str(error)


def _parse(text: str) -> object:
    from hubman.civitai.refs import parse_ref

    return parse_ref(text)
