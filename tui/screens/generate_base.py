"""What the parts of the Generate screen know of it, each of which does one thing more.

``GenerateBase`` ← ``GenerateSetup`` (stack, settings, axes) ← ``GeneratePrompt`` (prompt, tags, remarks) ← ``GenerateDraw``
(jobs) ← ``GenerateCell`` (what is done with a picture) ← ``GenerateScreen``.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from tui.generation import Setup
from tui.screens.base import HubScreen

if TYPE_CHECKING:
    from tui.remarks import Remark
    from tui.screens.generate_result import ResultPane

MOST_UNDONE = 100


class GenerateBase(HubScreen):
    """The state that the parts share, and what :class:`tui.screens.generate.GenerateScreen` does for them."""

    setup: Setup
    remarks: tuple[Remark, ...] = ()
    _before: list[Setup]
    """What ``z`` goes back to, the last at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.setup = Setup()
        self._before = []

    @property
    @abstractmethod
    def result(self) -> ResultPane:
        """The pictures at the right."""

    @property
    def limit(self) -> float:
        """How long a grid may take before it is asked for, in seconds; 0 for as long as it likes."""
        return float(self.hub.settings.grid_seconds)

    @abstractmethod
    def show_setup(self) -> None:
        """Show prompt, stack, settings and axes anew."""

    @abstractmethod
    def look_over(self) -> None:
        """Ask anew what there is to say of the set-up."""

    def become(self, setup: Setup, *, remember: bool = True) -> None:
        """Change what is set up, and show it."""
        if setup == self.setup:
            return
        if remember:
            self._before.append(self.setup)
            del self._before[:-MOST_UNDONE]
        self.setup = setup
        self.show_setup()
        self.look_over()

    def do_undo(self) -> None:
        self.become(self._before.pop(), remember=False)
        self.say("undone")
