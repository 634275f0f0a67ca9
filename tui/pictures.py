"""Which file to show for a version: a small, cached picture of its first preview."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from registry.database import Registry


def of_version(registry: Registry, version: str) -> Path | None:
    """The thumbnail of the version's first preview, or None. Decodes a picture at most once; for a thread."""
    from registry import library, previews
    from registry.errors import HubError

    try:
        shown = library.version(registry, version).previews
        return previews.thumbnail(registry, shown[0].sha256) if shown else None
    except HubError:
        return None
