"""Change the saved views, and know how to take it back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from registry import views
from tui.services.undo import Change

if TYPE_CHECKING:
    from registry.database import Registry


def save(registry: Registry, name: str, line: str) -> Change:
    """Keep ``line`` as the view ``name``. Raises ``UsageError``."""
    before = views.own(registry)
    known = views.save(registry, name, line)
    return Change(f"view @{known}", lambda again: _bring_back(again, known, before.get(known)))


def rename(registry: Registry, old: str, new: str) -> Change:
    """Raises ``UsageError`` for a name that can't be or is taken."""
    known = views.rename(registry, old, new)
    return Change(f"view @{known}", lambda again: _rename_back(again, known, old))


def remove(registry: Registry, name: str) -> Change:
    """Raises ``NotFoundError``."""
    before = views.own(registry)
    known = views.remove(registry, name)
    return Change(f"view @{known}", lambda again: _bring_back(again, known, before[known]))


def _bring_back(registry: Registry, name: str, line: str | None) -> None:
    if line is None:
        views.remove(registry, name)
    else:
        views.save(registry, name, line)


def _rename_back(registry: Registry, new: str, old: str) -> None:
    views.rename(registry, new, old)
