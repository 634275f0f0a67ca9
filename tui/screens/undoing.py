"""``z`` on screens that are not the library's."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tui import formats

if TYPE_CHECKING:
    from registry.database import Registry
    from registry.undo import Undone
    from tui.screens.base import HubScreen


def undo(screen: HubScreen, done: Callable[[], object]) -> None:
    """Take the last change back, say what that was and what of it stays, and call ``done``."""

    def told(undone: Undone) -> None:
        screen.say(f"undone: {undone.entry.label}", private="one change undone")
        if undone.kept:
            first, others = undone.kept[0], len(undone.kept) - 1
            more = f", and {formats.count(others, 'other field')}" if others else ""
            screen.complain(f"{first.field} of {first.name} {first.reason} and stays{more}")
        done()

    screen.change(_undo, told)


def _undo(registry: Registry) -> Undone:
    from registry import undo

    return undo.undo(registry)
