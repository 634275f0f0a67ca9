"""A model's page: its versions and files, what its creator wrote, pictures with their prompts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, ClassVar

from textual.binding import BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from tui import actions, civitai_page, following, formats, remote_words
from tui.civitai_page import VersionPage
from tui.screens.civitai_base import CivitaiBase, called, page_address
from tui.widgets.picture import Picture
from tui.widgets.queue_strip import QueueStrip

if TYPE_CHECKING:
    from hubman.civitai.image_records import SharedImage
    from hubman.civitai.records import RemoteVersion
    from registry.database import Registry
    from tui.civitai_search import Asked, Hit
    from tui.looks import Looks


class PageScreen(CivitaiBase):
    """Over the results. ``show_creator`` is called with the name of a creator whose models are wanted."""

    SCOPE = "page"
    MODE = "civitai"
    CSS_PATH = "civitai_page.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        *actions.bindings("page"),
        *actions.bindings("move", only=("left", "right")),
    ]
    AUTO_FOCUS = "#about"

    def __init__(self, hit: Hit, asked: Asked, show_creator: Callable[[str], object], *, at: int = 0) -> None:
        super().__init__()
        self._hit, self._asked, self._show_creator = hit, asked, show_creator
        self.site = asked.site
        self._at = at
        self._picture_at = 0
        self._pages: dict[tuple[int, int], VersionPage] = {}
        self._problem = ""

    def body(self) -> Iterable[Widget]:
        with Horizontal(id="panes"):
            with VerticalScroll(id="about"):
                yield Static("", id="facts", markup=False)
            with VerticalScroll(id="side"):
                yield Picture(id="picture", real=True)
                yield Static("", id="settings", markup=False)
        yield QueueStrip()

    def on_mount(self) -> None:
        self.query_one(Picture).caption = ""
        self.call_after_refresh(self._draw)

    @property
    def version(self) -> RemoteVersion | None:
        versions = self._hit.model.versions
        return versions[min(self._at, len(versions) - 1)] if versions else None

    @property
    def page(self) -> VersionPage | None:
        """What was fetched of the version that is shown; None until it is there."""
        return self._pages.get((self.version.id, self.hub.looks.threshold)) if self.version else None

    @property
    def image(self) -> SharedImage | None:
        images = self.page.images if self.page else ()
        return images[self._picture_at % len(images)] if images else None

    def lacks(self, need: str) -> str:
        page = self.page
        lacking = {
            "version": "" if self.version else "it has no version that is public",
            "picture": "" if page and page.images else "there is no picture that may be shown",
            "prompt": "" if page and self.image and civitai_page.prompt(self.image) else "the picture tells no prompt",
            "words": "" if self.version and self.version.trained_words else "it has no trigger words",
            "creator": "" if self._hit.model.creator else "the site does not tell its creator",
        }
        return lacking.get(need, "")

    # drawing ------------------------------------------------------------------------------------------------------

    def _draw(self) -> None:
        self._draw_facts()
        self._draw_picture()
        self.refresh_actions()
        version = self.version
        if version is None or self.page is not None:
            return
        model, link, site, threshold = self._hit.model, self.link, self.site, self.hub.looks.threshold

        def show(page: VersionPage) -> None:
            self._pages[version.id, threshold] = page
            self._draw()

        def failed(reason: str) -> None:
            self._problem = reason
            self._draw_facts()
            self._draw_picture()

        self._problem = ""
        self.in_thread(
            lambda _: civitai_page.read(link, site, model, version, threshold), show, group="page", failed=failed
        )

    def _draw_facts(self) -> None:
        facts, page = self.query_one("#facts", Static), self.page
        told = page.version if page else self.version
        texts = page.texts if page else ()
        facts.update(
            remote_words.describe(
                self._hit.model, told, self._hit.held, facts.size.width or 40, texts=texts, in_full=True
            )
        )

    def _draw_picture(self) -> None:
        picture, page, image = self.query_one(Picture), self.page, self.image
        picture.path, picture.words = None, ()
        picture.border_subtitle = ""
        settings = self.query_one("#settings", Static)
        if page is None or image is None:
            picture.caption = "no picture" if page or self._problem or self.version is None else "…"
            picture.words = (f"{page.above:,} above", self._level()) if page and page.above else ()
            settings.update(self._problem)
            return
        settings.update(self._settings(page, image))
        link, site = self.link, self.site
        picture.caption = "…"
        if not self.hub.looks.has_pictures:
            picture.caption = "hidden"
            return

        def show(data: bytes | None) -> None:
            if self.image is image:
                picture.caption = "no picture"
                picture.path = data

        self.in_thread(lambda _: civitai_page.picture(link, site, image), show, group="picture")

    def _level(self) -> str:
        from registry.levels import name_of

        return name_of(self.hub.looks.threshold)

    def _settings(self, page: VersionPage, image: SharedImage) -> Content:
        width = self.query_one("#settings", Static).size.width or 30
        covered = f"{page.above:,} above {self._level()} left out: L" if page.above else ""
        age = f"as of {formats.age(page.as_of)} ago".replace("now ago", "just now") if page.as_of else ""
        where = f"{self._picture_at % len(page.images) + 1} of {len(page.images)}: [ ]"
        return civitai_page.described(image, width, remarks=[where, covered, age])

    def show_looks(self, looks: Looks) -> None:
        del looks
        if self.is_mounted:
            self._picture_at = 0
            self._draw()

    def show_arrivals(self) -> None:
        model, is_rehearsal = self._hit.model, self._asked.is_rehearsal

        def work(registry: Registry) -> Hit:
            from tui import civitai_search

            return civitai_search.look(registry, [model], is_rehearsal=is_rehearsal)[0]

        def show(hit: Hit) -> None:
            self._hit = hit
            self._draw_facts()

        self.in_thread(work, show, group="held")

    # actions ------------------------------------------------------------------------------------------------------

    def do_left(self) -> None:
        self._step(-1)

    def do_right(self) -> None:
        self._step(1)

    def _step(self, by: int) -> None:
        last = max(0, len(self._hit.model.versions) - 1)
        self._at, self._picture_at = max(0, min(self._at + by, last)), 0
        self.query_one("#about", VerticalScroll).scroll_home(animate=False)
        self._draw()

    def do_next_picture(self) -> None:
        self._picture_at += 1
        self._draw_picture()
        self.refresh_actions()

    def do_last_picture(self) -> None:
        self._picture_at -= 1
        self._draw_picture()
        self.refresh_actions()

    def do_look(self) -> None:
        from tui.screens.look import LookScreen

        picture, image = self.query_one(Picture), self.image
        if image is not None and picture.path is not None:
            title = f"by {formats.one_line(image.username) or 'unknown'}"
            self.app.push_screen(LookScreen(picture.path, title))

    def do_pull(self) -> None:
        version = self.version
        if version is None:
            return
        name = called(self._hit.model.name, self._hit.model.id)
        if self._hit.held.get(version.id) == "here":
            self.say(f"{name} is in the library already", private="it is in the library already")
        else:
            self.queue_pull(str(version.id), f"{name} {formats.one_line(version.name)}".strip())

    async def do_test(self) -> None:
        from tui.screens.generate import GenerateScreen

        prompt = civitai_page.prompt(self.image) if self.image else ""
        self.dismiss(None)
        await self.app.switch_mode("generate")
        if isinstance(self.app.screen, GenerateScreen):
            self.app.screen.take_prompt(prompt)

    async def do_copy_words(self) -> None:
        if self.version is not None:
            await self.copy_address(formats.one_line(", ".join(self.version.trained_words)))

    def do_creator(self) -> None:
        self.dismiss(None)
        self._show_creator(self._hit.model.creator)

    def do_follow(self) -> None:
        creator = self._hit.model.creator
        self.change(
            lambda registry: following.turn(registry, creator),
            lambda is_followed: self.say(following.told(formats.one_line(creator), is_followed=is_followed)),
        )

    async def do_copy(self) -> None:
        await self.copy_address(self._address)

    def do_open(self) -> None:
        self.open_address(self._address)

    @property
    def _address(self) -> str:
        return page_address(self._asked.address, self._hit.model.id, self.version.id if self.version else 0)

    def do_back(self) -> None:
        self.dismiss(None)
