"""Drive the app in tests: wait for its work, read its screen as plain text."""

from __future__ import annotations

import asyncio
from typing import Any

from textual.app import App
from textual.pilot import Pilot
from textual.widgets import Input

_ROUNDS = 4
_MOST_DRAWINGS = 50
"""What draws itself again and again, such as a spinner, is not waited for without end."""


async def settle(pilot: Pilot[Any]) -> None:
    """Wait until no worker is left and all messages are handled; new work that this begins is waited for too."""
    while True:
        await pilot.pause()
        # A message that is handled may send another, and what waits for a drawn screen comes after that.
        for _ in range(_ROUNDS):
            await pilot.pause(0)
        for _ in range(_MOST_DRAWINGS):
            # On a busy machine the timer that lays out and draws comes late; nothing public tells that it has to.
            if not (pilot.app.screen._layout_required or pilot.app.screen._dirty_widgets):
                break
            await pilot.pause(0)
        open_work = [worker for worker in pilot.app.workers if not worker.is_finished]
        if not open_work:
            return
        while open_work:
            await asyncio.gather(*(worker.wait() for worker in open_work), return_exceptions=True)
            await pilot.pause(0)
            open_work = [worker for worker in pilot.app.workers if not worker.is_finished]


async def press(pilot: Pilot[Any], *keys: str) -> None:
    """Press keys one after the other, each with all that it begins."""
    for key in keys:
        await pilot.press(key)
        await settle(pilot)


async def write(pilot: Pilot[Any], text: str) -> None:
    """Put text into the focused line, as if it had been pasted at the cursor."""
    field = pilot.app.focused
    assert isinstance(field, Input), field
    field.insert_text_at_cursor(text)
    await settle(pilot)


def text_of(app: App[Any]) -> str:
    """The screen as plain text, a line each, without what stands empty at the right."""
    compositor = app.screen._compositor
    return "\n".join("".join(segment.text for segment in strip).rstrip() for strip in compositor.render_strips())


def notes_of(app: App[Any]) -> list[str]:
    """The notifications that are shown."""
    return [notification.message for notification in app._notifications]
