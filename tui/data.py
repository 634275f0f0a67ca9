"""The registry for many threads: each gets a connection of its own when it first asks."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from registry.database import Registry


class Data:
    """Opens the registry under ``home`` once in every thread that uses it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._threads = threading.local()
        self._opening = threading.Lock()

    @property
    def registry(self) -> Registry:
        """The calling thread's registry. Raises ``HubError`` when it can't be opened."""
        # Imported here: the first paint must not wait for SQLite.
        from registry.database import Registry

        found: Registry | None = getattr(self._threads, "registry", None)
        if found is None:
            # One at a time: two threads that create the file together would meet a lock.
            with self._opening:
                found = self._threads.registry = Registry(self.home)
        return found
