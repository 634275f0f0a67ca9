"""Fingerprints made while nothing else is to be done, one file at a time."""

from __future__ import annotations

import os
from collections import deque

from registry.database import Registry
from registry.fingerprints import Wanted

_AHEAD = 64


class Background:
    """For :class:`registry.watch.Watcher`, in whose thread it works: a call makes one fingerprint.

    It stops at any point without a loss, as a file's fingerprint is there whole or not at all. Without NumPy, which
    comes with ``hubman[ml]``, it does nothing.
    """

    def __init__(self, registry: Registry) -> None:
        from hubman.lora.conflict import is_available

        self._registry = registry
        self._is_available = is_available()
        self._waiting: deque[Wanted] = deque()
        self._failed: set[str] = set()
        # A library of linear algebra takes all cores unless told otherwise before it is loaded.
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

    def __call__(self) -> bool:
        """Make one; False if none is lacking."""
        if not self._is_available:
            return False
        from hubman.lora import fingerprint_store
        from registry import fingerprints as kept

        if not self._waiting:
            self._waiting.extend(kept.wanted(self._registry, _AHEAD, but=self._failed))
        if not self._waiting:
            return False
        file = self._waiting.popleft()
        if fingerprint_store.try_one(self._registry, file):
            # Of damaged content that is kept; what could not be read just now is not tried again before the next start.
            self._failed.add(file.sha256)
        return True
