"""The sessions with Civitai that the screens share: one a site, opened when first asked, used from any thread."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hubman.civitai.client import Civitai


class Link:
    """Keeps connections open between requests. ``site`` is as :func:`hubman.civitai.session.connect` takes it."""

    def __init__(self, home: Path, connect: Callable[[Path, str | None], Civitai] | None = None) -> None:
        self._home, self._connect = home, connect or _connect
        self._lock = threading.Lock()
        self._clients: dict[str | None, Civitai] = {}
        self._dropped: list[Civitai] = []

    def client(self, site: str | None) -> Civitai:
        """Raises ``HubError`` when there is no such site."""
        with self._lock:
            found = self._clients.get(site)
            if found is None:
                found = self._clients[site] = self._connect(self._home, site)
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


def _connect(home: Path, site: str | None) -> Civitai:
    # Imported when first asked: it loads the HTTP library.
    from hubman.civitai.session import connect

    return connect(home, site)
