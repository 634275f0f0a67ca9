"""How a widget, a screen or the app carries out the actions of :mod:`tui.actions`."""

from __future__ import annotations

from collections.abc import Callable
from inspect import isawaitable
from typing import Any

from textual.dom import DOMNode

from tui.actions import ACTIONS, Action


class Acting(DOMNode):
    """``act('library.edit')`` calls ``do_edit``, unless :meth:`lacks` names what is missing."""

    def lacks(self, need: str) -> str:
        """Why an action that needs ``need`` can't be done now, in words; empty when it can."""
        del need
        return ""

    def why_not(self, action_id: str) -> str:
        need = ACTIONS[action_id].needs
        return self.lacks(need) if need else ""

    def in_footer(self, action: Action) -> bool:
        """Whether the footer has room for an action where the focus is now; it stays in the help."""
        return action.footer

    def label_of(self, action: Action) -> str:
        """What the footer calls an action now."""
        return action.label

    async def action_act(self, action_id: str) -> None:
        reason = self.why_not(action_id)
        if reason:
            self.app.notify(reason, severity="warning", timeout=4)
            return
        handler: Callable[[], Any] = getattr(self, f"do_{ACTIONS[action_id].name}")
        done = handler()
        if isawaitable(done):
            await done
