"""The detail of the library screen: the model under the cursor, its versions and pictures, and what may be seen of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from textual import on
from textual.containers import VerticalScroll
from textual.widgets import Input, Static

from hubman.terminal import Pictures
from tui import formats
from tui.pictures import NONE
from tui.screens import level_menu
from tui.screens.library_views import LibraryViews
from tui.widgets.facets import FacetList
from tui.widgets.picture import Picture
from tui.widgets.rows import RowList

if TYPE_CHECKING:
    from collections.abc import Sequence

    from registry.database import Registry
    from registry.lineage import Relative
    from tui.detail_reading import Found
    from tui.looks import Looks
    from tui.pictures import Tile


class LibraryDetail(LibraryViews):
    """Follows the cursor; what it shows is read by a thread, and a later wish takes the place of an earlier one."""

    HIDES_ITSELF = True
    shown: Found | None = None

    @on(RowList.Highlighted, "#models, #cards")
    def _follow_cursor(self) -> None:
        row = self.current
        if row is not None:
            self._read_detail(row.id)
            return
        self.detail = self.shown = self.holders = None
        self.query_one("#facts", Static).update("")
        self.query_one(Picture).show(NONE)
        self.query_one(Picture).add_class("-none")
        self.refresh_actions()

    def _read_detail(self, model: str, picture: int = 0) -> None:
        at = self.version_at if self.detail is not None and self.detail.id == model else 0
        looks = self.hub.looks
        if self.has_class("-narrow"):
            looks = replace(looks, pictures=Pictures("off", "too few columns"))
        shown = self.query_one(Picture)
        size = shown.size

        def read(registry: Registry) -> Found:
            found = _read(registry, model, at, picture, looks)
            shown.draw_ahead(found.tile, size)
            return found

        self.in_thread(read, self._show_detail, group="detail")

    def on_resize(self) -> None:
        if self.is_loaded:
            self._follow_cursor()

    def _show_detail(self, found: Found) -> None:
        if self.detail is None or self.detail.id != found.model.id:
            self.query_one("#detail", VerticalScroll).scroll_home(animate=False)
        self.shown, self.detail, self.version_at, self.holders = found, found.model, found.at, found.holders
        self._draw_detail()
        self.refresh_actions()
        self._look_ahead()

    def _look_ahead(self) -> None:
        """Have the neighbours' pictures at hand: to shrink a large one takes longer than a key press may."""
        if any(worker.group == "ahead" and worker.is_running for worker in self.workers):
            return
        near = (self.order.row(self.rows.cursor + step) for step in (1, 2, -1))
        versions = [row.version_id for row in near if row is not None and row.preview]
        shown, looks = self.query_one(Picture), self.hub.looks
        size = shown.size

        def draw(registry: Registry) -> None:
            for version in versions:
                shown.draw_ahead(_tile(registry, version, looks), size)

        if versions and looks.has_pictures and not self.has_class("-narrow"):
            self.in_thread(draw, lambda _: None, group="ahead", failed=lambda _: None)

    def _draw_detail(self) -> None:
        from tui.widgets.detail import describe

        if self.shown is None:
            return
        looks = self.hub.looks
        facts, picture = self.query_one("#facts", Static), self.query_one(Picture)
        facts.update(describe(self.shown.about(looks), facts.size.width or 40))
        tile = self.shown.tile if looks.has_pictures else NONE
        picture.set_class(tile.path is None and not tile.words, "-none")
        picture.show(tile)

    def show_looks(self, looks: Looks) -> None:
        self.query_one("#query", Input).password = looks.is_private
        self._draw_detail()
        if not self.is_loaded:
            return
        self._follow_cursor()
        self.query_one(FacetList).refresh()
        self.rows.refresh()
        if self.query("#cards"):
            from tui.widgets.gallery import Gallery

            self.query_one(Gallery).forget()

    # versions and pictures ----------------------------------------------------------------------------------------

    def lacks(self, need: str) -> str:
        if need == "picture" and (self.shown is None or not self.shown.tile.of):
            return "the model has no picture"
        return super().lacks(need)

    def do_left(self) -> None:
        self._step_version(-1)

    def do_right(self) -> None:
        self._step_version(1)

    def _step_version(self, by: int) -> None:
        """To another version; of a model that has one only, to another epoch of its training."""
        if self.detail is None:
            return
        epochs = self.shown.lineage.epochs if self.shown is not None and self.shown.model.id == self.detail.id else ()
        if len(self.detail.versions) == 1 and epochs:
            self._step_epoch(epochs, by)
            return
        self.version_at = max(0, min(self.version_at + by, len(self.detail.versions) - 1))
        self._read_detail(self.detail.id)

    def _step_epoch(self, epochs: Sequence[Relative], by: int) -> None:
        at = next((at for at, one in enumerate(epochs) if self.version and one.version_id == self.version.id), 0) + by
        if not 0 <= at < len(epochs):
            self.say(f"this is the {'last' if by > 0 else 'first'} epoch that is here")
            return
        other = epochs[at]
        if other.model_id in self.order.ids:
            self.rows.cursor = self.order.ids.index(other.model_id)
            return
        which = f"epoch {other.epoch}, " if other.epoch is not None else ""
        self.say(f"{which}{formats.one_line(other.name)} is not in this list: a query without filters shows it")

    def do_next_picture(self) -> None:
        self._step_picture(1)

    def do_last_picture(self) -> None:
        self._step_picture(-1)

    def _step_picture(self, by: int) -> None:
        if self.shown is not None:
            tile = self.shown.tile
            self._read_detail(self.shown.model.id, max(0, min(tile.number + by, tile.of - 1)))

    # levels -------------------------------------------------------------------------------------------------------

    def do_level(self) -> None:
        level_menu.choose(self)

    def do_picture_level(self) -> None:
        """A person's own word on the level of the picture that is shown; it syncs."""
        from registry import levels
        from tui.widgets.dialogs import Choose

        shown = self.shown
        if shown is None or self.version is None:
            return
        version, number = self.version.id, shown.tile.number

        def chosen(name: str | None) -> None:
            if name is not None:
                level = levels.parse(name) if name else None
                self.change(
                    lambda registry: _set_level(registry, version, number, level),
                    lambda _: self._read_detail(shown.model.id, number),
                )

        options = [(name, levels.name_of(levels.parse(name)), "") for name in levels.RATED]
        options.append(("", "take it back", "what Civitai or the model says then counts"))
        self.app.push_screen(Choose("Level of this picture", options), chosen)


def _read(registry: Registry, model: str, at: int, picture: int, looks: Looks) -> Found:
    from tui.detail_reading import read

    return read(registry, model, at, picture, looks)


def _tile(registry: Registry, version: str, looks: Looks) -> Tile:
    from tui.pictures import of_version

    return of_version(registry, version, looks, large=True)


def _set_level(registry: Registry, version: str, number: int, level: int | None) -> None:
    from registry import edits, previews

    found = previews.shown(registry, version, number)
    if found is not None:
        edits.set_picture_level(registry, version, found.sha256, level)
