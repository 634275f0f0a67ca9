"""Take back the last changes to the library, backwards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from registry.database import Registry

DEPTH = 100

Step = Callable[["Registry"], None]


@dataclass(frozen=True)
class Change:
    """What was done, in words, and how to take it back."""

    label: str
    undo: Step


class UndoStack:
    """The last changes that were made from here; not kept when hubman ends."""

    def __init__(self) -> None:
        self._changes: list[Change] = []

    def __len__(self) -> int:
        return len(self._changes)

    def push(self, change: Change) -> None:
        self._changes.append(change)
        del self._changes[:-DEPTH]

    def pop(self) -> Change | None:
        return self._changes.pop() if self._changes else None
