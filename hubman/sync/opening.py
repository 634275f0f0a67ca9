"""The one way to begin work with a remote: hold the lock, open the place, make sure of what lies there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from hubman.progress import Report, never, silent
from hubman.rate import Limit
from hubman.sync.lock import sync_lock
from hubman.sync.policies.policy import of_device
from hubman.sync.remote import find
from hubman.sync.secrecy.codecs import codec_of
from hubman.sync.session import Session
from hubman.sync.storages.readonly import open_remote
from hubman.sync.storages.storage import Storage
from hubman.sync.transfer import holding
from registry import clock, timestamps
from registry.database import Registry

_DEEP_EVERY = timedelta(hours=24)


@contextmanager
def opened(
    registry: Registry,
    remote_name: str = "",
    *,
    report: Report = silent,
    should_stop: Callable[[], bool] = never,
    deep: bool = False,
    storage: Storage | None = None,
    limit_rate: int = 0,
    by_hand: bool = False,
) -> Iterator[Session]:
    """A session with the remote (the only one, if not named), deep if none was for a day.

    ``limit_rate`` is in bytes a second each way, and stands above this machine's policy. What is asked for ``by_hand``
    moves also while files are held.

    Raises :class:`hubman.sync.lock.BusyError` when another one goes on, and what opening the place raises.
    """
    remote = find(registry, remote_name)
    with sync_lock(registry):
        own = of_device(registry.db, clock.device_id(registry.db))
        yield Session(
            registry,
            remote,
            open_remote(remote, storage),
            deep or _is_long_ago(remote.deep_at or remote.added_at),
            report,
            should_stop,
            codec_of(registry, remote),
            up=Limit(limit_rate or own.rate_up or 0),
            down=Limit(limit_rate or own.rate_down or 0),
            held=lambda: "" if by_hand else holding.reason(registry.db, own),
        )


def _is_long_ago(moment: str) -> bool:
    return datetime.now(UTC) - timestamps.parse(moment) > _DEEP_EVERY
