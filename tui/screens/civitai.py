"""Mode 2: search Civitai, look at what is found, and queue downloads."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.binding import BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.widget import Widget
from textual.widgets import Input, Static

from tui import actions, civitai_search, remote_words, search_text
from tui.civitai_search import Hit
from tui.screens.civitai_base import called, page_address
from tui.screens.civitai_results import EMPTY, CivitaiResults
from tui.widgets.hit_list import HitList
from tui.widgets.picture import Picture
from tui.widgets.queue_strip import QueueStrip
from tui.widgets.rows import RowList

if TYPE_CHECKING:
    from hubman.civitai.records import RemoteVersion
    from tui.looks import Looks
    from tui.remote_words import Texts

_AHEAD = 20
"""Rows before the end of the list at which the next page is shown."""


class CivitaiScreen(CivitaiResults):
    """A search line, results as a list or cards, and the model under the cursor."""

    SCOPE = "civitai"
    CSS_PATH = "civitai.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        *actions.bindings("civitai"),
        *actions.bindings("move", only=("left", "right")),
    ]
    AUTO_FOCUS = "#hits"

    def __init__(self) -> None:
        super().__init__()
        self._version_at = 0
        self._cards = False
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
        self.show_site()

    @on(Input.Submitted, "#search")
    def _submitted(self, event: Input.Submitted) -> None:
        self.search_for(event.value.strip())

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
        if need == "more" and (self.found is None or not self.found.more):
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
            self.load_more()

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
        if self.found is None:
            return
        if self.searched_up_to != self.hub.looks.threshold and not search_text.value_of(self.line, "nsfw"):
            # What is asked of the site depends on it.
            self.search_for(self.line)
            return
        self._forget_pictures()
        self._draw()

    def _forget_pictures(self) -> None:
        from tui.widgets.hit_cards import HitCards

        for cards in self.query(HitCards):
            cards.forget()

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

        hit, found = self.hit, self.found
        if hit is None or found is None:
            return

        page = PageScreen(hit, found.asked, self.show_creator, at=self._version_at)
        self.app.push_screen(page, lambda _: self.look_again())

    def do_filter(self) -> None:
        self.query_one("#search", Input).focus()

    def do_back(self) -> None:
        self.rows.focus()

    def do_more(self) -> None:
        self.load_more()

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
        self.rows.set_items(list(self.hits), cursor=before.cursor)
        self.rows.focus()

    async def do_copy(self) -> None:
        if self.hit is not None and self.found is not None:
            await self.copy_address(page_address(self.found.asked.address, self.hit.model.id))

    def do_open(self) -> None:
        if self.hit is not None and self.version is not None and self.found is not None:
            self.open_address(page_address(self.found.asked.address, self.hit.model.id, self.version.id))

    def do_site(self) -> None:
        self.site = None if self.site else "sandbox"
        self.show_site()
        had_results = self.found is not None
        # What was found there is not to be pulled from here.
        self.clear_results()
        if had_results:
            self.search_for(self.line)


def _parse(text: str) -> object:
    from hubman.civitai.refs import parse_ref

    return parse_ref(text)
