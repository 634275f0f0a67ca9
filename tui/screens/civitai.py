"""Mode 2: search Civitai, and pull into the library."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.binding import BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Input, Static

from tui import actions, formats
from tui.screens.base import HubScreen
from tui.widgets.columns import Column
from tui.widgets.detail import Row, drawn, plain
from tui.widgets.picture import Picture
from tui.widgets.rows import Cell, RowList

if TYPE_CHECKING:
    from hubman.civitai.records import RemoteModel, RemoteVersion
    from tui.civitai_search import Hit, Page
    from tui.looks import Looks
    from tui.services.watch import Snapshot

EMPTY = """Search LoRAs on the site: / writes, enter searches.

space  downloads the model under the cursor: resumed, verified, then indexed
+      pulls by a page's address, an AIR, an id or a hash
b      switches to the local sandbox (hubman sandbox runs it)"""
NOTHING = "Nothing found.\n\nTry fewer or other words."


class HitList(RowList["Hit"]):
    """Models of the site; a tick for those that are here."""

    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("", 1),
        Column("Name", 18, grow=True),
        Column("Type", 6, drop=4),
        Column("Base", 12, drop=1),
        Column("Creator", 12, drop=3),
        Column("Downloads", 9, drop=2, right=True),
        Column("Size", 8, drop=5, right=True),
    )

    def cells(self, item: Hit) -> Sequence[Cell]:
        model = item.model
        newest = model.versions[0] if model.versions else None
        file = newest.primary_file if newest else None
        all_held = newest is not None and newest.id in item.held
        return (
            ("✔" if all_held else "↑" if item.held else " ", "good" if all_held else "warn"),
            (formats.one_line(model.name), ""),
            (model.type, "muted"),
            (formats.one_line(newest.base_model) if newest else "", "muted"),
            (formats.one_line(model.creator), "muted"),
            (f"{model.stats.download_count:,}", "muted"),
            (formats.size(file.size) if file else "", "muted"),
        )


class CivitaiScreen(HubScreen):
    """A search line, results, and the model under the cursor."""

    SCOPE = "civitai"
    CSS_PATH = "civitai.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        *actions.bindings("civitai"),
        *actions.bindings("move", only=("left", "right")),
    ]
    AUTO_FOCUS = "#hits"

    def __init__(self) -> None:
        super().__init__()
        self._site: str | None = None
        self._text = ""
        self._following = ""
        self._address = ""
        self._hits: list[Hit] = []
        self._version_at = 0
        self._pulls: frozenset[str] = frozenset()

    def body(self) -> Iterable[Widget]:
        with Horizontal(id="query-row"):
            yield Static("/", id="slash")
            yield Input(placeholder="search LoRAs by name or tag", id="search")
            yield Static("", id="site", markup=False)
        yield Static("", id="problem", markup=False)
        with Horizontal(id="panes"):
            yield HitList(id="hits")
            with VerticalScroll(id="detail"):
                yield Picture(id="picture")
                yield Static("", id="facts", markup=False)

    def on_mount(self) -> None:
        self.query_one(HitList).empty = EMPTY
        self.query_one(Picture).caption = ""
        self._show_site()

    def _show_site(self) -> None:
        from tui.civitai_search import site_name

        self.query_one("#site", Static).update(site_name(self._site))

    # searching ----------------------------------------------------------------------------------------------------

    @on(Input.Submitted, "#search")
    def _submitted(self, event: Input.Submitted) -> None:
        self._text = event.value.strip()
        self._search()

    def _search(self, following: str = "") -> None:
        text, site = self._text, self._site
        rows = self.query_one(HitList)
        if not following:
            self._hits = []
            rows.empty = "Asking the site …"
            rows.set_items([])
        self._problem("")

        def show(page: Page) -> None:
            rows.empty = NOTHING
            self._following, self._address = page.following, page.site
            self._hits += page.hits
            rows.set_items(list(self._hits), cursor=None if following else 0)
            rows.focus()

        def failed(reason: str) -> None:
            rows.empty = EMPTY
            rows.refresh()
            self._problem(reason)

        from tui import civitai_search

        self.in_thread(
            lambda registry: civitai_search.search(registry, text, site, following), show, group="search", failed=failed
        )

    def _problem(self, reason: str) -> None:
        problem = self.query_one("#problem", Static)
        problem.update(reason)
        problem.display = bool(reason)

    @property
    def hit(self) -> Hit | None:
        return self.query_one(HitList).current

    @property
    def version(self) -> RemoteVersion | None:
        versions = self.hit.model.versions if self.hit else ()
        return versions[min(self._version_at, len(versions) - 1)] if versions else None

    def lacks(self, need: str) -> str:
        if need == "result" and self.version is None:
            return "search first, then choose a model"
        if need == "more" and not self._following:
            return "there are no more results"
        return ""

    # detail -------------------------------------------------------------------------------------------------------

    @on(RowList.Highlighted)
    def _follow_cursor(self) -> None:
        self._version_at = 0
        self.query_one("#detail", VerticalScroll).scroll_home(animate=False)
        self._draw()

    def _draw(self) -> None:
        hit, version = self.hit, self.version
        self.refresh_actions()
        facts, picture = self.query_one("#facts", Static), self.query_one(Picture)
        picture.path, picture.words = None, ()
        if hit is None:
            facts.update("")
            picture.caption = ""
            return
        facts.update(describe(hit.model, version, hit.held, facts.size.width or 40))
        picture.caption = "…" if version and version.images else "no picture"
        if version is None:
            return
        site, threshold = self._site, self.hub.looks.threshold

        def show(data: bytes | None) -> None:
            picture.caption = "no picture"
            picture.path = data

        from tui import civitai_search

        picture.words = civitai_search.words(version, threshold)
        self.in_thread(
            lambda registry: civitai_search.picture(registry, version, site, threshold), show, group="picture"
        )

    def show_looks(self, looks: Looks) -> None:
        del looks
        if self.hit is not None:
            self._draw()

    def do_left(self) -> None:
        self._step(-1)

    def do_right(self) -> None:
        self._step(1)

    def _step(self, by: int) -> None:
        if self.hit is not None:
            self._version_at = max(0, min(self._version_at + by, len(self.hit.model.versions) - 1))
            self._draw()

    @on(RowList.Chosen)
    def _open(self) -> None:
        if self.has_class("-narrow"):
            self.toggle_class("-detail")
        self.query_one("#detail", VerticalScroll).focus()

    # actions ------------------------------------------------------------------------------------------------------

    def do_filter(self) -> None:
        self.query_one("#search", Input).focus()

    def do_back(self) -> None:
        self.remove_class("-detail")
        self.query_one(HitList).focus()

    def do_more(self) -> None:
        self._search(self._following)

    def do_pull(self) -> None:
        hit, version = self.hit, self.version
        if hit is None or version is None:
            return
        if version.id in hit.held:
            self.say(f"{hit.model.name} is in the library already")
            return
        self._pull(str(version.id), f"pull {formats.one_line(hit.model.name)}")

    def do_pull_ref(self) -> None:
        from tui.widgets.dialogs import Ask

        def done(text: str | None) -> None:
            if text:
                self._pull(text.strip(), f"pull {text.strip()}")

        hint = "A page's address, an AIR (urn:air:…), a version's number, or a hash."
        self.app.push_screen(Ask("pull from Civitai", hint=hint, check=_parse), done)

    def _pull(self, ref: str, title: str) -> None:
        self.start_job("pull", title, {"ref": ref, "site": self._site})

    def do_copy(self) -> None:
        if self.hit is not None:
            address = f"{self._address}/models/{self.hit.model.id}"
            self.app.copy_to_clipboard(address)
            self.say(f"copied {address}")

    def do_site(self) -> None:
        self._site = None if self._site else "sandbox"
        self._show_site()
        if self._text:
            self._search()

    def show_jobs(self, snapshot: Snapshot) -> None:
        """When a pull has ended, look again which results are here."""
        ended = frozenset(
            view.job.id for view in snapshot.views if view.job.kind == "pull" and view.job.state == "done"
        )
        if ended - self._pulls and self._hits:
            self._look_again()
        self._pulls = ended

    def _look_again(self) -> None:
        from tui import civitai_search

        models = [hit.model for hit in self._hits]

        def show(found: list[Hit]) -> None:
            if [hit.model for hit in self._hits] == models:
                self._hits = found
                self.query_one(HitList).set_items(list(found))

        self.in_thread(
            lambda registry: [civitai_search.Hit(model, civitai_search.held(registry, model)) for model in models],
            show,
            group="held",
        )


def describe(model: RemoteModel, version: RemoteVersion | None, held: frozenset[int], width: int) -> Content:
    """A model of the site in words. All texts come from outside: no markup, no control characters."""
    parts = [
        Content.styled(formats.one_line(model.name), "bold"),
        Content.styled(
            f"by {formats.one_line(model.creator) or 'unknown'} · {model.stats.download_count:,} downloads",
            "$foreground-muted",
        ),
        Content(""),
    ]
    rows = []
    if version is not None:
        place = (
            f"  ({model.versions.index(version) + 1} of {len(model.versions)}: h l)" if len(model.versions) > 1 else ""
        )
        file = version.primary_file
        rows = [
            Row("version", formats.one_line(version.name) + place),
            Row("base", formats.one_line(version.base_model) or "unknown"),
            Row("trigger", formats.one_line(", ".join(version.trained_words)) or "none"),
            Row("file", f"{formats.one_line(file.name)} · {formats.size(file.size)}" if file else "none"),
        ]
        if version.id in held:
            rows.append(Row("here", "✔ in the library", style="$text-success"))
    rows.append(Row("tags", formats.one_line(", ".join(model.tags)) or "none"))
    rows.append(Row("licence", licence(model)))
    parts += [drawn(row, width) for row in rows]
    if model.description:
        parts += [Content(""), Content(plain(model.description))]
    return Content("\n").join(parts)


def licence(model: RemoteModel) -> str:
    """What the creator allows: the five letters, and in words."""
    from hubman.civitai.facts import permissions
    from registry.licence import letters, words

    told = permissions(model) or {}
    return f"{letters(told)}  {words(told)}"


def _parse(text: str) -> object:
    from hubman.civitai.refs import parse_ref

    return parse_ref(text)
