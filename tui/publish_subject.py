"""Which versions go out together: of marked models, of a collection, or what a training made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from registry.database import Registry


def newest(registry: Registry, models: Sequence[str], collection: str = "") -> list[str]:
    """The newest version of each model, or of each in a collection; the oldest first, which the site shows last.

    For a thread.
    """
    from registry import collecting, edits, library

    found = collecting.members(registry, collection) if collection else models
    versions = [library.version(registry, version) for _, version in edits.newest_of(registry, found)]
    return [version.id for version in sorted(versions, key=lambda one: (one.added_at, one.id))]
