"""Make a remote one of the newest format that this version writes; older versions then refuse it in one line."""

from __future__ import annotations

import msgspec

from hubman.sync import remotes
from hubman.sync.opening import opened
from hubman.sync.records import layout
from hubman.sync.storages.storage import Storage
from registry.database import Registry
from registry.errors import UsageError


def upgrade(registry: Registry, name: str, *, storage: Storage | None = None) -> layout.Hub | None:
    """Write what the newest format asks of readers and writers into ``hub.json``; None where it says so already.

    It is the one change that ``hub.json`` ever sees. Raises :class:`UsageError` for a remote that is only read and
    :class:`HubError` where it can't be written.
    """
    with opened(registry, name, storage=storage) as session:
        if session.remote.is_read_only:
            raise UsageError(f"{session.remote.name} is only read by this machine", "upgrade it where it is written")
        hub = remotes.need_writable(session.storage, session.remote)
        newest = msgspec.structs.replace(
            hub,
            format=layout.FORMAT,
            min_reader=max(hub.min_reader, layout.MIN_READER),
            min_writer=max(hub.min_writer, layout.MIN_WRITER),
        )
        if newest == hub:
            return None
        session.storage.put(layout.HUB, layout.encode(newest))
        return newest
