"""What the parts of the library screen know of it, each of which does one thing more.

``LibraryBase`` ← ``LibraryEdits`` (fields, tags, marks' targets) ← ``LibraryTrash`` (trash, undo) ← ``LibraryUse`` (prompts, files,
screens over it) ← ``LibraryWhere`` (weights of other machines) ← ``LibraryViews`` ← ``LibraryDetail`` (the pane on the right) ←
``LibraryMarks`` ← ``LibraryScreen`` (query, list, facets).
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from tui.screens.base import HubScreen

if TYPE_CHECKING:
    from registry.records import ModelDetail, ModelRow
    from tui.widgets.model_list import ModelOrder
    from tui.widgets.rows import RowList


class LibraryBase(HubScreen):
    """The state that the parts share, and what :class:`tui.screens.library.LibraryScreen` does for them."""

    order: ModelOrder
    detail: ModelDetail | None
    version_at: int
    is_loaded: bool = False
    """Whether the list was read: before that nothing may open the registry, for the first paint's sake."""
    _query: str

    @property
    @abstractmethod
    def current(self) -> ModelRow | None:
        """The model under the cursor."""

    @property
    @abstractmethod
    def rows(self) -> RowList[ModelRow]:
        """The list or the cards, whichever is shown."""

    @abstractmethod
    def reload(self, *, facets: bool = False, to: str | None = None) -> None:
        """Read the list again, and the facets after a change; the cursor goes to ``to`` or stays."""

    @abstractmethod
    def set_query(self, text: str) -> None:
        """Put ``text`` into the query line, which is searched for then."""

    @abstractmethod
    def show_status(self) -> None:
        """Write the line of status anew."""
