"""``r`` of the library screen: a model's name, and its files with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from registry.errors import UsageError
from tui import formats
from tui.screens.base import HubScreen

if TYPE_CHECKING:
    from registry.database import Registry
    from registry.journal import Entry
    from registry.organise import Line
    from registry.records import ModelDetail, VersionRow

Done = Callable[["Entry | None"], object]


def offer(screen: HubScreen, model: ModelDetail, version: VersionRow, done: Done) -> None:
    """Ask for the new name, then whether the version's files are to be named so too."""
    from tui.widgets.dialogs import Ask

    def answered(name: str | None) -> None:
        if name is not None:
            screen.in_thread(
                lambda registry: _plan(registry, model.id, version.id, name),
                lambda lines: _choose(screen, model.id, name, lines, done),
                group="plan",
            )

    screen.app.push_screen(Ask(f"rename {formats.one_line(model.name)}", model.name, check=_check), answered)


def _choose(screen: HubScreen, model: str, name: str, lines: list[Line], done: Done) -> None:
    from tui.widgets.dialogs import Choose

    def go(moved: list[Line]) -> None:
        screen.change(lambda registry: _rename(registry, model, name, moved), done)

    if not lines:
        go([])
        return
    sound = [line for line in lines if not line.conflict]
    options = [("name", "only the model's name", "files keep theirs")]
    if sound:
        count = sum(len(line.moves) for line in sound)
        new = Path(sound[0].target).name
        options.append(("files", "its files too", f"{formats.one_line(new)}, {formats.count(count, 'file')}"))
    options += [("name", f"✘ {Path(line.source).name} stays", line.conflict) for line in lines if line.conflict]

    def chosen(key: str | None) -> None:
        if key is not None:
            go(sound if key == "files" else [])

    screen.app.push_screen(Choose(f"rename to {formats.one_line(name)}", options), chosen)


def _check(text: str) -> None:
    if not text.strip():
        raise UsageError("an empty name is no name", "write what the model is to be called")


def _plan(registry: Registry, model: str, version: str, name: str) -> list[Line]:
    from registry import renaming

    return renaming.plan(registry, model, version, name)


def _rename(registry: Registry, model: str, name: str, lines: list[Line]) -> Entry | None:
    from registry import renaming

    return renaming.rename(registry, model, name, lines)
