"""The menus of the Civitai screen: each writes into the search line, and searches."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from tui import search_text
from tui.civitai_search import Lists
from tui.screens.civitai_base import CivitaiBase

if TYPE_CHECKING:
    from hubman.civitai.search_names import Names
    from registry.database import Registry

_ORDERS = {
    "": ("as the site likes", "words: what fits best; else highest rated"),
    "newest": ("newest", ""),
    "downloads": ("most downloaded", ""),
    "rating": ("highest rated", ""),
    "liked": ("most liked", ""),
    "discussed": ("most discussed", ""),
    "collected": ("most collected", ""),
    "images": ("most images", ""),
    "oldest": ("oldest", ""),
}
_PERIODS = {"": "all time", "day": "day", "week": "week", "month": "month", "year": "year"}


class CivitaiMenus(CivitaiBase):
    """``S P f @`` and what follows from them."""

    line: str = ""
    """What was searched for last."""

    def __init__(self) -> None:
        super().__init__()
        self.lists = Lists()

    @abstractmethod
    def search_for(self, line: str) -> None:
        """Put ``line`` into the search line, and search."""

    def do_sort(self) -> None:
        self._choose("Order", "sort", [(name, *shown) for name, shown in _ORDERS.items()])

    def do_period(self) -> None:
        self._choose("Published within", "period", [(name, shown, "") for name, shown in _PERIODS.items()])

    def _choose(self, title: str, field: str, options: list[tuple[str, str, str]]) -> None:
        from tui.widgets.dialogs import Choose

        def chosen(value: str | None) -> None:
            if value is not None:
                self.search_for(search_text.with_value(self.line, field, value))

        self.app.push_screen(Choose(title, options, at=search_text.value_of(self.line, field)), chosen)

    def do_values(self) -> None:
        """The lists come from the site; the bundled ones where it does not tell them."""
        lists, link, site = self.lists, self.link, self.site

        def work(_: Registry) -> Names:
            return lists.of(link, site)

        self.in_thread(work, self._pick, group="lists")

    def _pick(self, names: Names) -> None:
        from tui.screens.pick_values import PickValuesScreen

        kinds = [("type", "lora", "LoRA: LORA, LoCon and DoRA"), ("type", "any", "any type")]
        kinds += [("type", name, name) for name in names.types if name != "LORA"]
        bases = [("base", name.replace(" ", ""), name) for name in names.bases]
        line = self.line

        def done(new: str | None) -> None:
            if new is not None and new != line:
                self.search_for(new)

        self.app.push_screen(PickValuesScreen(line, [*kinds, *bases]), done)

    def show_creator(self, name: str) -> None:
        """Everything of a creator, the newest first."""
        line = search_text.with_value("type:any sort:newest", "by", name)
        level = search_text.value_of(self.line, "nsfw")
        self.search_for(search_text.with_value(line, "nsfw", level) if level else line)
