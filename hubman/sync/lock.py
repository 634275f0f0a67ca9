"""One sync at a time on one registry."""

from __future__ import annotations

from contextlib import AbstractContextManager

from registry import locks
from registry.database import Registry
from registry.errors import HubError


class BusyError(HubError):
    """Another process of this machine is syncing this registry."""


def sync_lock(registry: Registry) -> AbstractContextManager[None]:
    """Raises :class:`BusyError` on entry when somebody else has it."""
    return locks.only_one(
        registry, "sync", BusyError("another sync is running on this machine", "try again when it is done")
    )
