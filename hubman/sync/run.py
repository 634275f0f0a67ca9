"""One sync: look, read what others wrote, send what was done here, fetch what this machine wants."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from hubman.progress import Report, silent
from hubman.rate import Limit
from hubman.sync import devices, download, freeze, holding, identity, outgoing, policy, pull, queue, remotes
from hubman.sync.check import Finding, check
from hubman.sync.folder import FolderStorage
from hubman.sync.lock import sync_lock
from hubman.sync.merge import Merged
from hubman.sync.readonly import open_remote
from hubman.sync.remote import find
from hubman.sync.session import Session
from hubman.sync.storage import Storage
from registry import clock, timestamps
from registry.database import Registry

__all__ = ["Finding", "SyncResult", "check", "sync"]

_DEEP_EVERY = timedelta(hours=24)


class SyncResult(msgspec.Struct, frozen=True, kw_only=True):
    """What one sync did. ``warnings`` are lines for a person about what could not be done, and why."""

    remote: str
    sent_changes: int = 0
    received_changes: int = 0
    uploaded: int = 0
    uploaded_bytes: int = 0
    downloaded: int = 0
    downloaded_bytes: int = 0
    lost_races: int = 0
    """Edits of one field on two machines at once: the later one shows, the other is in ``lost_edits``."""
    strange_changes: int = 0
    """Kept without being understood: from a newer hubman, or malformed."""
    held: str = ""
    """Why files wait that could move: transfers are paused, or it is not their time."""
    new_device: bool = False
    """This database was restored or copied and goes on under a new device id."""
    warnings: tuple[str, ...] = ()


def sync(
    registry: Registry,
    remote_name: str = "",
    *,
    report: Report = silent,
    should_stop: Callable[[], bool] = lambda: False,
    deep: bool = False,
    models_folder: Path | None = None,
    storage: Storage | None = None,
    limit_rate: int = 0,
) -> SyncResult:
    """Bring this machine and a remote (the only one, if not named) to the same state.

    ``deep`` lists every log and asks again for every blob that was not there; it happens by itself once a day.
    Weights go to ``models_folder``, or the registry's own. ``limit_rate`` is in bytes a second for each way, and stands
    above this machine's policy. Killed or stopped anywhere, the next sync goes on.

    Raises :class:`HubError`: :class:`hubman.sync.lock.BusyError` when another sync runs,
    :class:`hubman.sync.storage.StorageError` when the remote fails, :class:`CancelledError` when ``should_stop``
    said so.
    """
    remote = find(registry, remote_name)
    with sync_lock(registry):
        own = policy.of_device(registry.db, clock.device_id(registry.db))
        session = Session(
            registry,
            remote,
            open_remote(remote, storage),
            deep or _is_long_ago(remote.deep_at or remote.added_at),
            report,
            should_stop,
            up=Limit(limit_rate or own.rate_up or 0),
            down=Limit(limit_rate or own.rate_down or 0),
            held=lambda: holding.reason(registry.db, own),
        )
        return _run(session, models_folder or registry.models_folder)


def _run(session: Session, folder: Path) -> SyncResult:
    session.tell("look")
    warnings: list[str] = []
    seen, is_new_device = _look(session, warnings)
    merged = _pull(session, seen, warnings)
    # After the others were heard: one of them may have said what this machine keeps.
    policy.introduce(session.registry)
    sent = outgoing.send(session, is_announced=seen.own_is_known, warnings=warnings)
    changes, up = sent.changes, sent.uploaded
    down = download.download(session, folder)
    warnings += down.problems
    if sent.is_allowed and freeze.is_waiting(session.db, session.repo):
        # That the files are here now is news to the others.
        changes += outgoing.send(session, is_announced=True, warnings=warnings).changes
    _finish(session)
    session.tell("done")
    return SyncResult(
        remote=session.remote.name,
        sent_changes=changes,
        received_changes=merged.changes,
        uploaded=up.blobs,
        uploaded_bytes=up.bytes,
        downloaded=down.blobs,
        downloaded_bytes=down.bytes,
        lost_races=merged.lost_races,
        strange_changes=merged.strange,
        held=up.held or down.held,
        new_device=is_new_device,
        warnings=tuple(warnings),
    )


def _look(session: Session, warnings: list[str]) -> tuple[pull.Look, bool]:
    """The heads, read again as a new device if this database was restored or copied."""
    seen = pull.look(session)
    if session.deep or not seen.own_is_known:
        # Our own head proves that this is our remote; without it, the remote has to say so.
        remotes.check_is_same(session.storage, session.remote)
    is_new = False
    if session.remote.is_read_only:
        pass
    elif seen.own_is_known:
        identity.confirm(session)
    elif seen.own is not None:
        is_new = identity.settle(session, seen.own)
    if is_new:
        warnings.append("this registry was restored or copied, and goes on as a new device")
        seen = pull.look(session)
    warnings += seen.problems
    return seen, is_new


def _pull(session: Session, seen: pull.Look, warnings: list[str]) -> Merged:
    merged, problems = pull.pull(session, seen.news)
    warnings += problems
    if devices.come_back(session.registry):
        warnings.append("this machine had been forgotten on another one, and is back")
    if policy.of_device(session.db, session.device).weights == "pinned":
        with session.registry.transaction():
            queue.want_pinned(session.registry, session.repo, session.device)
    return merged


def _finish(session: Session) -> None:
    now = timestamps.now()
    with session.registry.transaction() as db:
        db.execute("UPDATE remotes SET synced_at = ? WHERE repo = ?", (now, session.repo))
        if session.deep:
            db.execute("UPDATE remotes SET deep_at = ? WHERE repo = ?", (now, session.repo))
    if session.deep and isinstance(session.storage, FolderStorage):
        session.storage.remove_leftovers()


def _is_long_ago(moment: str) -> bool:
    return datetime.now(UTC) - timestamps.parse(moment) > _DEEP_EVERY
