"""What the parts of the Train screen know of it, each of which does one thing more.

``TrainBase`` ← ``TrainImages`` (the data set) ← ``TrainRecipe`` (its recipe) ← ``TrainStart`` (the three choices) ← ``TrainScreen``.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from textual.message import Message

from tui.screens.base import HubScreen

if TYPE_CHECKING:
    from hubman.train.recipe import Kind, Recipe
    from tui.data_set import ImageLine, Sheet
    from tui.recipes import Draft

Undo = Callable[[], object]
MOST_UNDONE = 100


class Reading(Message):
    """So many images of a folder were read. Only the newest of a flood is delivered."""

    def __init__(self, done: int, total: int) -> None:
        super().__init__()
        self.done, self.total = done, total

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, Reading)


class TrainBase(HubScreen):
    """The state that the parts share, and what :class:`tui.screens.train.TrainScreen` does for them."""

    sheet: Sheet | None = None
    said: str = ""
    """What was told last of reading a folder, until one is read: also why one could not be."""
    draft: Draft | None = None
    base: str = ""
    """The base that was chosen, also before there is a data set."""
    kind: Kind = "style"
    forecast: str = ""
    """What the recipe takes of memory and time, once it was asked."""
    _undone: list[tuple[str, Undo]]
    """What ``z`` takes back, the last at the end, with what it is called."""

    @property
    @abstractmethod
    def line(self) -> ImageLine | None:
        """The image under the cursor."""

    @abstractmethod
    def open_dataset(self, folder: Path, recipe: Recipe | None = None) -> None:
        """Read, measure and check a folder; the recipe starts from what is in it, or is the given one."""

    @abstractmethod
    def show_sheet(self) -> None:
        """Show the images anew."""

    @abstractmethod
    def show_recipe(self) -> None:
        """Show the recipe anew."""

    @abstractmethod
    def show_choices(self) -> None:
        """Show what was chosen of folder, base and kind."""

    @abstractmethod
    def read_again(self) -> None:
        """Read the images anew."""

    @abstractmethod
    def check(self) -> None:
        """Measure the images against the recipe as it is now."""

    @abstractmethod
    def do_base(self) -> None:
        """Ask for the base."""

    @abstractmethod
    def do_kind(self) -> None:
        """Ask what to teach."""

    def remember(self, name: str, undo: Undo) -> None:
        """Let ``z`` take something back."""
        self._undone.append((name, undo))
        del self._undone[:-MOST_UNDONE]

    def do_undo(self) -> None:
        name, undo = self._undone.pop()
        undo()
        self.say(f"undone: {name}")
        self.refresh_actions()
