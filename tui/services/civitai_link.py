"""The sessions with Civitai that the screens share: one a site, opened when first asked, used from any thread."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hubman.civitai.client import Civitai


class Link:
    """Keeps connections open between requests. ``site`` is as :func:`hubman.civitai.session.connect` takes it."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._lock = threading.Lock()
        self._clients: dict[str | None, Civitai] = {}
        self._dropped: list[Civitai] = []

    def client(self, site: str | None) -> Civitai:
        """Raises ``HubError`` when there is no such site."""
        from hubman.civitai.session import connect

        with self._lock:
            found = self._clients.get(site)
            if found is None:
                found = self._clients[site] = connect(self._home, site)
            return found

    def forget(self) -> None:
        """Open new sessions from now on: the key, or the sandbox, may be another one."""
        with self._lock:
            # Others may be in the middle of a request: the old ones are closed at the end.
            self._dropped += self._clients.values()
            self._clients = {}

    def close(self) -> None:
        self.forget()
        for client in self._dropped:
            client.close()
