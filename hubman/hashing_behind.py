"""The SHA-256 of a file that is still arriving: read behind the writers, so that it is known when the last byte is."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable

_PIECE = 1 << 20
_LOOK_S = 0.02


class HashBehind(threading.Thread):
    """Hashes the first ``ready()`` bytes of an open file, then more of them as they come.

    Reading them back from the system's cache costs a tenth of hashing them, and works for bytes in whatever order.
    """

    def __init__(self, file: int, ready: Callable[[], int]) -> None:
        super().__init__(name="hash", daemon=True)
        self._file, self._ready = file, ready
        self._digest = hashlib.sha256()
        self._at = 0
        self._ending, self._dropped = threading.Event(), False
        self.start()

    def finish(self) -> str:
        """The hash of all that is there now."""
        self._ending.set()
        self.join()
        return self._digest.hexdigest()

    def drop(self) -> None:
        """Stop soon; nobody asks for the hash."""
        self._dropped = True
        self._ending.set()
        self.join()

    def run(self) -> None:
        buffer = memoryview(bytearray(_PIECE))
        while not self._dropped:
            is_last = self._ending.is_set()
            ready = self._ready() - self._at
            if ready >= _PIECE or (is_last and ready > 0):
                count = os.preadv(self._file, [buffer[: min(ready, _PIECE)]], self._at)
                if not count:
                    return
                self._digest.update(buffer[:count])
                self._at += count
            elif is_last:
                return
            else:
                self._ending.wait(_LOOK_S)
