"""The views of the library screen: pick one, save the query as one, rename and remove one's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tui.screens.library_where import LibraryWhere

if TYPE_CHECKING:
    from registry.database import Registry


class LibraryViews(LibraryWhere):
    """``F`` and what follows from it. A view is picked by putting its name into the query line."""

    def do_views(self) -> None:
        self.in_thread(_own, self._choose_view, group="views")

    def _choose_view(self, own: dict[str, str]) -> None:
        from registry.query import BUILT_IN_VIEWS
        from tui.widgets.dialogs import Choose

        options = [("", "all models", "")]
        options += [(f"@{name}", f"@{name}", line) for name, line in BUILT_IN_VIEWS.items()]
        options += [(f"@{name}", f"@{name}", line) for name, line in own.items() if name not in BUILT_IN_VIEWS]
        options.append(("is:trash", "the trash", "d brings models back"))
        dialog = Choose("Views", options, at=self._query.strip(), verbs=_VERBS)

        def chosen(query: str | None) -> None:
            if query is None:
                return
            name = query.removeprefix("@")
            if dialog.verb == "save":
                self._ask_name("save the query as a view", "", self._save_view)
            elif dialog.verb and name not in own:
                self.complain(f"only views of your own can be {dialog.verb}d")
            elif dialog.verb == "rename":
                self._ask_name(f"rename @{name}", name, lambda new: self._rename_view(name, new))
            elif dialog.verb == "remove":
                self._remove_view(name)
            else:
                self.set_query(query)

        self.app.push_screen(dialog, chosen)

    def _ask_name(self, title: str, value: str, done: Callable[[str], object]) -> None:
        from tui.widgets.dialogs import Ask

        def answered(name: str | None) -> None:
            if name and name != value:
                done(name)

        hint = "Letters, digits, - and _; @name then stands for the query line."
        self.app.push_screen(Ask(title, value, hint=hint), answered)

    def _save_view(self, name: str) -> None:
        line = self._query

        def work(registry: Registry) -> str:
            from registry import views

            return views.save(registry, name, line)

        self._change_view(work, f"saved {line} as @{name}")

    def _rename_view(self, old: str, new: str) -> None:
        def work(registry: Registry) -> str:
            from registry import views

            return views.rename(registry, old, new)

        self._change_view(work, f"@{old} is @{new} now")

    def _remove_view(self, name: str) -> None:
        def work(registry: Registry) -> str:
            from registry import views

            return views.remove(registry, name)

        self._change_view(work, f"removed @{name}")

    def _change_view(self, work: Callable[[Registry], str], said: str) -> None:
        def done(_name: str) -> None:
            self.refresh_actions()
            self.say(f"{said}  (z undoes)")

        self.change(work, done)


_VERBS = {"s": "save", "r": "rename", "d": "remove"}


def _own(registry: Registry) -> dict[str, str]:
    from registry import views

    return views.own(registry)
