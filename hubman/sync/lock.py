"""One sync at a time on one registry."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator

from registry.database import Registry
from registry.errors import HubError


class BusyError(HubError):
    """Another process of this machine is syncing this registry."""


@contextlib.contextmanager
def sync_lock(registry: Registry) -> Iterator[None]:
    """Hold the lock beside the database; the system lets go of it however the process ends.

    Raises :class:`BusyError` at once when somebody else has it.
    """
    handle = os.open(registry.home / "sync.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError("another sync is running on this machine", "try again when it is done") from None
        yield
    finally:
        os.close(handle)
