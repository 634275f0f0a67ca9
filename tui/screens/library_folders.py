"""Adding folders to the library: those of other programs on this machine, or any."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from registry.errors import UsageError
from tui.screens.base import HubScreen

if TYPE_CHECKING:
    from registry.database import Registry
    from registry.webui_search import Installation
    from registry.webuis import Taken


def offer(screen: HubScreen) -> None:
    """Look for other programs' model folders and offer those that are not indexed, beside a folder to be typed."""

    def look(registry: Registry) -> list[Installation]:
        from registry import webui_search, webuis

        return [one for one in webui_search.find(Path.home()) if not webuis.is_covered(registry, one.folders)]

    screen.change(look, lambda found: _choose(screen, found) if found else _type(screen))


def _choose(screen: HubScreen, found: list[Installation]) -> None:
    from tui.widgets.dialogs import Choose

    def done(key: str | None) -> None:
        if key == "":
            _type(screen)
        elif key is not None:
            _take(screen, found[int(key)])

    options = [(str(at), f"{one.preset}  {one.base}", _names(one)) for at, one in enumerate(found)]
    screen.app.push_screen(Choose("add the models of", [*options, ("", "another folder…", "")], at="0"), done)


def _names(one: Installation) -> str:
    return ", ".join(dict.fromkeys(folder.path.name for folder in one.folders))


def _take(screen: HubScreen, one: Installation) -> None:
    def work(registry: Registry) -> list[Taken]:
        from registry import webuis

        return webuis.take(registry, list(one.folders))

    def done(taken: list[Taken]) -> None:
        new = [str(folder.root) for folder in taken if folder.is_new]
        screen.start_job("scan", f"index {len(new)} folders of {one.preset}", {"folders": new})

    screen.change(work, done)


def _type(screen: HubScreen) -> None:
    from tui.widgets.dialogs import Ask

    def done(text: str | None) -> None:
        if text:
            _add(screen, text)

    hint = "A folder with model files. They are indexed where they lie; nothing is moved or renamed."
    screen.app.push_screen(Ask("add a folder", "~/", hint=hint, check=_check), done)


def _add(screen: HubScreen, text: str) -> None:
    from tui.folders import expand

    folder = expand(text)

    def work(registry: Registry) -> str:
        from registry import roots

        return str(roots.add(registry, folder))

    screen.change(work, lambda root: screen.start_job("scan", f"index {root}", {"folders": [root]}))


def _check(text: str) -> None:
    from tui.folders import expand

    if not expand(text).is_dir():
        raise UsageError(f"{text} is not a folder", "give the path of one")
