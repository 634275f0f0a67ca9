"""Handing things to other programs: the clipboard, the desktop's browser."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tui.screens.base import HubScreen


async def copy_text(screen: HubScreen, text: str) -> None:
    """Put ``text`` on the terminal's clipboard and, where there is a program for it, the system's; say which."""
    from tui.services import clipboard

    screen.app.copy_to_clipboard(text)
    tool = await asyncio.to_thread(clipboard.copy, text)
    screen.say(f"copied {text} to the terminal's clipboard" + (f" and with {tool}" if tool else ""))


def open_target(screen: HubScreen, target: str) -> None:
    """Open an address or a folder; where nothing can, it is copied."""
    from tui.services import opening

    def done(tool: str) -> None:
        if tool:
            screen.say(f"{tool} opens {target}")
        else:
            screen.app.copy_to_clipboard(target)
            screen.say(f"nothing here opens it; copied {target} to the terminal's clipboard")

    screen.in_thread(lambda _: opening.launch(target), done, group="open")
