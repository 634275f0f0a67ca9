"""One process at a time for what two would spoil."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator

from registry.database import Registry
from registry.errors import HubError

WATCHED = "something else keeps this index live already"
"""What a second watcher of one registry says, and those who start one look for: it is no failure."""


@contextlib.contextmanager
def only_one(registry: Registry, name: str, busy: HubError) -> Iterator[None]:
    """Hold the lock ``name`` beside the database; the system lets go of it however the process ends.

    Raises ``busy`` at once when another process has it.
    """
    handle = os.open(registry.home / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise busy from None
        yield
    finally:
        os.close(handle)
