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
    handle = _open(registry, name)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise busy from None
        yield
    finally:
        os.close(handle)


@contextlib.contextmanager
def in_turn(registry: Registry, name: str) -> Iterator[None]:
    """As :func:`only_one`, but waits for whoever has the lock: for one that is about to let go of it."""
    handle = _open(registry, name)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _open(registry: Registry, name: str) -> int:
    return os.open(registry.home / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
