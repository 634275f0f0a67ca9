"""Up to which level pictures and models are shown, until hubman ends: one menu for every screen that shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tui.screens.base import HubScreen


def choose(screen: HubScreen) -> None:
    from registry import levels
    from tui.widgets.dialogs import Choose

    looks = screen.hub.looks

    def chosen(name: str | None) -> None:
        if name:
            looks.show_up_to(name)
            screen.hub.looks_changed.publish(looks)
            screen.say(f"shown up to {levels.name_of(looks.threshold)}")

    options = [(name, levels.name_of(levels.parse(name)), "") for name in levels.RATED]
    screen.app.push_screen(Choose("Show up to", options, at=looks.up_to), chosen)
